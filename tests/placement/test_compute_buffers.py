"""Compute buffers against those that a server printed for models of GLM-5.2's width (CPU backend, f16 cache)."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gpubox.gguf import read_header
from gpubox.placement import Flags, read_model
from gpubox.placement.attention import heads_per_step
from gpubox.placement.forward_pass import Setting, draft_compute_buffers, main_compute_buffers
from gpubox.placement.sizes import MIB
from placement.glm_models import glm
from placement.small_models import MODELS, write_small_model

if TYPE_CHECKING:
    from pathlib import Path


def setting(**changed: object) -> Setting:
    """Return all of the model on the host: one backend, as measured."""
    model = glm("2.244bpw")
    flags = Flags(**{"ctx_size": 131_072, "ubatch_size": 2048, "attention_max_batch": 512, **changed})  # type: ignore[arg-type]  # a test's few fields
    homes = dict.fromkeys(model.tensors, 0)
    return Setting(model, flags, flags.ctx_size, flags.mla, False, homes, [0] * model.n_layer, 0)


@pytest.mark.parametrize(
    ("ubatch", "cap", "printed"),
    [
        (512, 512, 988),
        (1024, 512, 1247),
        (2048, 512, 1688.5),
        (4096, 512, 2689),
        (2048, 1024, 2495),
        (2048, 256, 1350.5),
    ],
)
def test_mla_3_has_the_printed_compute_buffer(ubatch: int, cap: int, printed: float) -> None:
    predicted = main_compute_buffers(setting(ubatch_size=ubatch, attention_max_batch=cap))
    assert predicted[0] / MIB == pytest.approx(printed, rel=0.005)


def test_the_draft_context_has_the_printed_compute_buffer() -> None:
    assert draft_compute_buffers(setting(mla=1))[0] / MIB == pytest.approx(1300.5, rel=0.001)


def test_mla_1_has_the_printed_compute_buffer_whatever_the_cap() -> None:
    sizes = {main_compute_buffers(setting(mla=1, attention_max_batch=cap))[0] for cap in (0, 256, 512)}
    assert len(sizes) == 1
    assert sizes.pop() / MIB == pytest.approx(1302.7, rel=0.03)


def test_without_a_cap_all_heads_are_expanded_at_once() -> None:
    assert main_compute_buffers(setting(attention_max_batch=0))[0] / MIB > 19_000


@pytest.mark.parametrize(("size", "cap", "heads"), [(14_336, 512, 2), (14_336, 0, 64), (400, 512, 64), (2**20, 1, 1)])
def test_heads_are_expanded_as_many_at_a_time_as_the_cap_allows(size: int, cap: int, heads: int) -> None:
    assert heads_per_step(64, size, cap) == heads


@pytest.mark.parametrize("moved", [range(0), range(3, 78), range(3, 40), range(6, 78, 2), (6, 41, 77)])
def test_few_layers_stand_for_all(moved: range | tuple[int, ...]) -> None:
    model = glm("2.244bpw")
    homes = {name: int(name == "token_embd.weight") for name in model.tensors}
    homes |= {name: 1 for layer in moved for name in model.layers[layer] if "_exps." in name}
    few = replace(setting(), homes=homes, gpus=1)
    assert main_compute_buffers(few) == main_compute_buffers(replace(few, representatives=False))


@pytest.mark.parametrize("seed", range(30))
def test_few_layers_stand_for_all_of_random_placements(seed: int, tmp_path: Path) -> None:
    choose = random.Random(seed)
    name = choose.choice([*MODELS])
    model = read_model(read_header(write_small_model(tmp_path / "m.gguf", name, choose.choice([4, 11, 20, 31]))))
    gpus = choose.randint(1, 4)
    outside = ["output.weight", *(tensor for tensor in model.tensors if not tensor.startswith("blk."))]
    homes = {tensor: choose.randint(0, gpus) for tensor in outside}
    kv_homes: list[int] = []
    for layer in range(model.n_layer):
        stays = layer > 0 and choose.random() < 0.9
        home = kv_homes[-1] if stays else choose.randint(0, gpus)
        experts = homes.get(f"blk.{layer - 1}.ffn_up_exps.weight", home) if stays else choose.randint(0, gpus)
        kv_homes.append(home)
        homes |= {tensor: experts if "_exps." in tensor else home for tensor in model.layers[layer]}
    flags = Flags(ctx_size=8192, ubatch_size=choose.choice([256, 512, 1024]), mla=choose.choice([1, 3]))
    few = Setting(model, flags, 8192, flags.mla if model.mla else 0, False, homes, kv_homes, gpus)
    assert main_compute_buffers(few) == main_compute_buffers(replace(few, representatives=False))

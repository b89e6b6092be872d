"""Whatever a command line says, it is planned or refused in words, and no tensor is lost."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gpubox.errors import GpuboxError
from gpubox.gguf import read_header
from gpubox.placement import Flags, Machine, Model, Placement, place, read_flags, read_model
from gpubox.placement.sizes import GIB
from gpubox.placement.weights import gpu_tensor_bytes
from placement.glm_models import IK
from placement.small_models import MODELS, write_small_model

if TYPE_CHECKING:
    from pathlib import Path

CASES = int(os.environ.get("GPUBOX_FLAG_SETS", "25"))  # for each model; more take longer
CHOICES: dict[str, tuple[str, ...]] = {
    "-ngl": ("-1", "0", "1", "2", "3", "4", "5", "99", "2147483647", "many"),
    "-c": ("0", "1", "255", "4096", "100000", "-5"),
    "-b": ("1", "512", "8192", "0"),
    "-ub": ("1", "512", "4096", "0"),
    "-np": ("1", "4", "0"),
    "-ctk": ("f16", "q8_0", "q4_0", "nonsense"),
    "-ctv": ("f16", "q8_0", "q4_0"),
    "-sm": ("layer", "none", "graph", "attn", "row"),
    "-mg": ("0", "1", "9", "-1"),
    "-ts": ("1", "0,1", "3,1", "1,1,1,1", "0,0", "a,b", "-1,1", "nan,1"),
    "-mla": ("0", "1", "2", "3", "7"),
    "-amb": ("0", "1", "512"),
    "-wgt": ("0", "1", "9999999"),
    "-ncmoe": ("0", "1", "2", "999"),
    "-ot": ("exps=CPU", "blk\\.0\\..*=CUDA1", ".=CUDA7", "([=CPU", "ffn_(up|gate)=CUDA0,attn=CPU", "", "=", "x"),
    "-cram": ("0", "-1"),
    "--spec-type": ("mtp:n_max=4", "mtp", "none"),
    "-t": ("0", "1000"),
}
SWITCHES = ("--merge-qkv", "-muge", "--no-mmap", "-rtr", "-nkvo", "-cmoe", "--fit", "-smgs", "-ger", "--no-such-flag")


def argv(random_: random.Random) -> list[str]:
    """Return arguments that may contradict each other, be repeated, or be wrong."""
    options = random_.choices(list(CHOICES), k=random_.randrange(9))
    pairs = [word for option in options for word in (option, random_.choice(CHOICES[option]))]
    return [*pairs, *random_.choices(SWITCHES, k=random_.randrange(4)), *(["-c"] if random_.random() < 0.05 else [])]


def machine(random_: random.Random) -> Machine:
    cards = tuple(random_.choice((0, 1, GIB // 4, GIB, 8 * GIB, 80 * GIB)) for _ in range(random_.randrange(5)))
    return Machine(cards, random_.choice((None, 0, 64 * GIB)), random_.choice((None, 1, 64)))


def check_sums(model: Model, placement: Placement) -> None:
    """Nothing is negative, and no loaded tensor is lost; GPUs hold none twice but an embedding that is the output too.

    The host's buffer of a mapped file reaches from its first tensor to its last, whatever lies between.
    """
    loaded = [model.tensors[name] for name in placement.weights.homes if name in model.tensors]
    held = [device.weights for device in placement.devices]
    if placement.split_mode == "layer":
        assert sum(tensor.nbytes for tensor in loaded) <= sum(held)
        tied = 0 if "output.weight" in model.tensors else gpu_tensor_bytes(model.tensors["token_embd.weight"])
        assert sum(held[:-1]) <= sum(map(gpu_tensor_bytes, loaded)) + tied
    assert all(value >= 0 for device in placement.devices for value in parts(device.as_json()))


def parts(shown: dict[str, object]) -> list[float]:
    """Return the sizes of a device's row, MiB."""
    return [value for name, value in shown.items() if name.endswith("_mib") and isinstance(value, int | float)]


@pytest.mark.parametrize("name", sorted(MODELS))
def test_no_command_line_breaks_the_planner(name: str, tmp_path: Path) -> None:
    model = read_model(read_header(write_small_model(tmp_path / "m.gguf", name)))
    for seed in range(CASES):
        random_ = random.Random(f"{name} {seed}")
        arguments, box = argv(random_), machine(random_)
        try:
            placement = place(model, read_flags(arguments, IK), box)
        except GpuboxError:
            continue
        except Exception as error:
            raise AssertionError(f"seed {seed}: {arguments} on {box}") from error
        check_sums(model, placement)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_longer_context_takes_more_cache_and_more_layers_on_the_gpus_put_more_there(
    name: str, tmp_path: Path
) -> None:
    model = read_model(read_header(write_small_model(tmp_path / "m.gguf", name)))
    box = Machine((8 * GIB, 8 * GIB), 64 * GIB)
    for seed in range(CASES // 5):
        random_ = random.Random(f"{name} {seed}")
        flags = Flags(
            n_gpu_layers=random_.randrange(6),
            ctx_size=random_.choice((1024, 4096, 16_384)),
            ubatch_size=random_.choice((32, 512)),
            mla=random_.choice((1, 3)),
            n_cpu_moe=random_.choice((0, 1)),
        )
        here, longer = place(model, flags, box), place(model, replace(flags, ctx_size=2 * flags.ctx_size), box)
        assert sum(one.kv for one in here.devices) < sum(one.kv for one in longer.devices), flags
        more = place(model, replace(flags, n_gpu_layers=flags.n_gpu_layers + 1), box)
        assert on_gpus(here) <= on_gpus(more), flags


def on_gpus(placement: Placement) -> int:
    """Return the weights on all GPUs, bytes."""
    return sum(device.weights for device in placement.devices[:-1])

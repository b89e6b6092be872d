"""A header that is sound GGUF but says what can't be is refused in words, or planned; it never ends in another error."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from gguf_writer import write_gguf

from gpubox.errors import GpuboxError, ModelFileError
from gpubox.fill import fill
from gpubox.gguf import read_header
from gpubox.lint import lint
from gpubox.placement import Machine, place, read_flags, read_model
from gpubox.placement.changes import nearest_changes
from placement.glm_models import IK
from placement.small_models import MODELS

if TYPE_CHECKING:
    from pathlib import Path

    from gguf_writer import Metadata, TensorInfo

EDGES = [0, 1, 2, 3, 7, 31, 33, 1000, 65_535, 2**31 - 1, 2**32 - 1]
COMMANDS = [
    "-ngl 99 -c 4096",
    "-ngl 3 -c 0 -mla 1",
    "-ngl 99 -sm graph -c 4096",
    "-ngl 99 -cmoe -c 2048 -ctk q8_0 -ctv q8_0",
    "--spec-type mtp -ngl 99 -c 1024 -mqkv -muge",
    "-ncmoe 2 -ngl 99 -c 2048 -no-fa",
]


def damaged(seed: int) -> tuple[list[Metadata], list[TensorInfo]]:
    """Return a small model with one or two faults in its numbers or tensors; the same seed gives the same."""
    chance = random.Random(seed)
    metadata, tensors = MODELS[chance.choice(sorted(MODELS))]()
    for _ in range(chance.randint(1, 2)):
        kind = chance.random()
        numbers = [index for index, (_, type_, _) in enumerate(metadata) if type_ in {"u32", "f32", "bool"}]
        index = chance.choice(numbers)
        key = metadata[index][0]
        wrong: list[tuple[str, Any]] = [
            ("[u32]", [chance.choice(EDGES) for _ in range(chance.randint(0, 5))]),
            ("string", "x"),
            ("i32", -1),
            ("u32", chance.choice(EDGES)),
            ("u32", chance.choice(EDGES)),
        ]
        if kind < 0.6:
            metadata[index] = (key, *chance.choice(wrong))
        elif kind < 0.7:
            del metadata[index]
        elif kind < 0.85:
            del tensors[chance.randrange(len(tensors))]
        else:
            at = chance.randrange(len(tensors))
            shape = tuple(chance.choice([1, 2, 3, 32, 100]) for _ in range(chance.randint(1, 4)))
            tensors[at] = (tensors[at][0], "f32", shape)
    return metadata, tensors


@pytest.mark.parametrize("first", range(0, 80, 8))
def test_every_damaged_model_is_planned_or_refused_in_words(first: int, tmp_path: Path) -> None:
    for seed in range(first, first + 8):
        chance = random.Random(seed)
        argv = chance.choice(COMMANDS).split()
        machine = Machine((chance.choice([2**28, 2**30, 2**33]),) * chance.randint(1, 2), chance.choice([None, 2**30]))
        with suppress(GpuboxError):
            model = read_model(read_header(write_gguf(tmp_path / f"{seed}.gguf", *damaged(seed))))
            placement = place(model, read_flags(argv, IK), machine)
            lint(IK, argv, placement)
            nearest_changes(placement)
            fill(model, placement.flags, machine, 2**20)


@pytest.mark.parametrize(
    ("key", "kind", "value", "fault"),
    [
        ("block_count", "u32", 2**32 - 1, "metadata 'qwen3moe.block_count' is 4294967295; 1 to 4096 are plausible"),
        ("block_count", "string", "x", "metadata 'qwen3moe.block_count' is not an integer"),
        ("embedding_length", "u32", 0, "metadata 'qwen3moe.embedding_length' is 0; 1 to 1048576 are plausible"),
        ("attention.head_count", "[u32]", [], "metadata 'qwen3moe.attention.head_count' is no array of integers"),
        (
            "attention.key_length",
            "i32",
            -1,
            "metadata 'qwen3moe.attention.key_length' is -1; 0 to 1048576 are plausible",
        ),
        ("rope.dimension_count", "u32", 1000, "rotates 1000 elements of heads that have 128"),
        ("expert_used_count", "u32", 65, "uses 65 of 64 experts"),
    ],
)
def test_a_number_that_can_not_be_is_named(key: str, kind: str, value: object, fault: str, tmp_path: Path) -> None:
    metadata, tensors = MODELS["qwen3moe"]()
    metadata = [entry for entry in metadata if entry[0] != f"qwen3moe.{key}"]
    path = write_gguf(tmp_path / "m.gguf", [*metadata, (f"qwen3moe.{key}", kind, value)], tensors)
    with pytest.raises(ModelFileError) as caught:
        read_model(read_header(path))
    assert str(caught.value) == f"{path}: {fault}; convert the model again"


@pytest.mark.parametrize(
    ("name", "shape", "fault"),
    [
        ("blk.1.ffn_up_exps.weight", (32, 32), "tensor 'blk.1.ffn_up_exps.weight' has fewer than 3 dimensions"),
        ("blk.1.attn_k_b.weight", (32,), "tensor 'blk.1.attn_k_b.weight' has fewer than 2 dimensions"),
        ("blk.1.attn_k_b.weight", None, "layer 1 has no latent attention: 'blk.1.attn_kv_b.weight' is missing"),
    ],
)
def test_a_tensor_that_can_not_be_is_named(
    name: str, shape: tuple[int, ...] | None, fault: str, tmp_path: Path
) -> None:
    metadata, tensors = MODELS["deepseek2"]()
    tensors = [tensor for tensor in tensors if tensor[0] != name] + ([(name, "f32", shape)] if shape else [])
    path = write_gguf(tmp_path / "m.gguf", metadata, tensors)
    with pytest.raises(ModelFileError) as caught:
        read_model(read_header(path))
    assert str(caught.value) == f"{path}: {fault}; convert the model again"


def test_a_cache_type_that_heads_do_not_divide_into_is_an_error_of_the_command_line(tmp_path: Path) -> None:
    metadata, tensors = MODELS["llama"]()
    metadata = [*metadata, ("llama.attention.key_length", "u32", 80)]
    model = read_model(read_header(write_gguf(tmp_path / "m.gguf", metadata, tensors)))
    argv = ["-ctk", "q8_0", "-c", "4096", "-ngl", "99"]
    told = [str(one) for one in lint(IK, argv, place(model, read_flags(argv, IK), Machine((2**33,))))]
    fault = "q8_0 has blocks of 32, which heads of 80 do not divide into (llama.cpp:7151, it aborts)"
    assert f"error: -ctk q8_0: {fault}; use f16 or q8_0" in told

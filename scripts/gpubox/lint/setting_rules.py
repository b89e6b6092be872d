"""Flags that do not do what they say, whatever the model and the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpubox.ggml_types import type_named
from gpubox.placement.flags import LEAST_ATTENTION_BATCH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpubox.lint.command_line import Arguments
    from gpubox.lint.finding import Finding
    from gpubox.placement import Flags


def setting_findings(line: Arguments, flags: Flags, split_mode: str, gpus: int) -> Iterator[Finding]:
    """Yield what is to be said about settings alone.

    Args:
        line: the command line.
        flags: what it says about memory.
        split_mode: the split mode in force, or as given where the model is not known.
        gpus: the number of GPUs.
    """
    yield from _split(line, flags, split_mode, gpus)
    yield from _cache(line, flags)
    yield from _batches(line, flags)


def _split(line: Arguments, flags: Flags, split_mode: str, gpus: int) -> Iterator[Finding]:
    if split_mode in {"graph", "attn"}:
        what = "is turned off by split mode graph"
        yield from line.about("--merge-qkv", "warning", what, "load-tensors.cpp:4395", "leave it out")
        if flags.overrides and not flags.graph_scheduling:
            what = "tensors are spread, but computed without graph scheduling, since there are tensor overrides"
            instead = "leave the overrides out, use layer, or try --split-mode-graph-scheduling"
            yield from line.about("--split-mode", "warning", what, "llama.cpp:7469, llama-model.cpp:1827", instead)
    if flags.split_mode == "none" and gpus > 1:
        what = "norms and KV cache still follow the layer split over all GPUs"
        why = "llama.cpp:3819, buft_layer keeps the layer's own device; seen on two H200s"
        yield from line.about("--split-mode", "warning", what, why, "give the server one GPU with `gpus: [0]`")
    if flags.tensor_split and gpus < 2:
        what = "does nothing with fewer than two GPUs"
        yield from line.about("--tensor-split", "warning", what, "llama.cpp:3611-3640", "leave it out")


def _cache(line: Arguments, flags: Flags) -> Iterator[Finding]:
    kind = flags.kv_type(key=True)
    if kind.block == 1:
        what = f"does nothing with a K cache of {kind.name}"
        yield from line.about("--k-cache-hadamard", "warning", what, "llama.cpp:6916", "leave it out")
    v_type = type_named(flags.cache_type_v)
    if not flags.flash_attn and v_type is not None and v_type.block > 1:
        what, why = "a quantised V cache needs flash attention", "common.cpp:4192"
        yield from line.about("--cache-type-v", "error", what, why, "leave flash attention on, or use f16")


def _batches(line: Arguments, flags: Flags) -> Iterator[Finding]:
    cap = _number(line, "--attention-max-batch")
    if cap is not None and 0 < cap < LEAST_ATTENTION_BATCH:
        what = f"is raised to {LEAST_ATTENTION_BATCH}"
        instead = f"write {LEAST_ATTENTION_BATCH}, or 0 for no cap"
        yield from line.about("--attention-max-batch", "warning", what, "common.cpp:1898", instead)
    tokens = _number(line, "--ubatch-size")
    if tokens is not None and tokens > flags.ubatch_size:
        limit = "the batch" if flags.batch_size == _given(line, flags) else "the context"
        what = f"is cut to {flags.ubatch_size}, {limit}"
        yield from line.about("--ubatch-size", "warning", what, "common.cpp:4114", "raise --batch-size, or lower it")


def _given(line: Arguments, flags: Flags) -> int:
    """Return the batch as given, or the default."""
    return _number(line, "--batch-size") or type(flags)().batch_size


def _number(line: Arguments, option: str) -> int | None:
    word = line.find(option)
    digits = word.values[0] if word is not None and word.values else ""
    return int(digits) if digits.isdigit() else None

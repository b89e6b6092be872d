"""What a command line of llama-server says about memory, with the engine's own defaults for the rest.

Defaults and parsing are those of ik_llama.cpp at 29a54f4: common/common.cpp (gpt_params_find_arg, get_batch_ubatch at
4114, common_model_params_to_llama at 4135, common_context_params_to_llama at 4219).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gpubox.catalogue.options import words
from gpubox.ggml_types import type_named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpubox.catalogue.options import Catalogue
    from gpubox.ggml_types import GgmlType

LEAST_ATTENTION_BATCH = 128  # MiB
ALL_LAYERS = 999  # what -cmoe stands for (common.cpp:2098)


@dataclass(frozen=True)
class Flags:
    """The settings that decide where memory goes.

    Attributes:
        n_gpu_layers: layers on the GPUs, counted from the last; one more than the model has takes the output along.
        split_mode: `layer`, `none`, `graph` or `attn`.
        tensor_split: each GPU's share; empty: by free memory.
        main_gpu: the GPU of split mode none.
        ctx_size: tokens of the KV cache; 0: the model's trained context.
        batch_size: tokens handed over at once.
        ubatch_size: tokens per pass.
        parallel: slots.
        cache_type_k: type of the K cache.
        cache_type_v: type of the V cache.
        flash_attn: whether flash attention is on.
        mla: the MLA variant that is asked for, 0 to 3.
        attention_max_batch: cap of the attention's K*Q buffer, MiB; 0: none.
        worst_graph_tokens: tokens with logits in the graph that sizes the buffers; 0: all.
        merge_qkv: whether the projections are merged.
        merge_up_gate: whether experts' up and gate are merged.
        n_cpu_moe: layers whose experts go to the CPU.
        overrides: the tensor overrides in their order, as (regular expression, buffer).
        mtp: whether the model's own draft layer is used.
        mmap: whether the file may be mapped.
        repack: whether CPU tensors are repacked at load.
        kv_offload: whether the KV cache lies with its layers.
        fused_moe: whether up and gate of experts are one operation.
        fused_up_gate: whether up and gate of a dense layer are one operation.
        fused_mul_multiadd: whether experts are weighed and summed in one operation.
        fit: whether the engine places the model itself.
        graph_scheduling: whether `graph` scheduling is forced in spite of overrides.
        cache_ram_mib: the prompt cache in host memory, MiB; -1: no limit.
        threads: CPU threads, None where the engine decides.
    """

    n_gpu_layers: int = 0
    split_mode: str = "layer"
    tensor_split: tuple[float, ...] = ()
    main_gpu: int = 0
    ctx_size: int = 0
    batch_size: int = 2048
    ubatch_size: int = 512
    parallel: int = 1
    cache_type_k: str = "f16"
    cache_type_v: str = "f16"
    flash_attn: bool = True
    mla: int = 3
    attention_max_batch: int = 0
    worst_graph_tokens: int = 0
    merge_qkv: bool = False
    merge_up_gate: bool = False
    n_cpu_moe: int = 0
    overrides: tuple[tuple[str, str], ...] = ()
    mtp: bool = False
    mmap: bool = True
    repack: bool = False
    kv_offload: bool = True
    fused_moe: bool = True
    fused_up_gate: bool = True
    fused_mul_multiadd: bool = True
    fit: bool = False
    graph_scheduling: bool = False
    cache_ram_mib: int = 8192
    threads: int | None = None

    @property
    def splits_tensors(self) -> bool:
        """Whether every layer is spread over all GPUs."""
        return self.split_mode in {"graph", "attn"}

    def kv_type(self, *, key: bool) -> GgmlType:
        """Return the type of the K or the V cache; one that ggml lacks counts as f16."""
        return type_named(self.cache_type_k if key else self.cache_type_v) or _f16()


_TEXTS = {
    "--split-mode": "split_mode",
    "--cache-type-k": "cache_type_k",
    "--cache-type-v": "cache_type_v",
}
_NUMBERS = {
    "--n-gpu-layers": "n_gpu_layers",
    "--main-gpu": "main_gpu",
    "--ctx-size": "ctx_size",
    "--batch-size": "batch_size",
    "--ubatch-size": "ubatch_size",
    "--parallel": "parallel",
    "--mla-use": "mla",
    "--attention-max-batch": "attention_max_batch",
    "--worst-graph-tokens": "worst_graph_tokens",
    "--n-cpu-moe": "n_cpu_moe",
    "--cache-ram": "cache_ram_mib",
    "--threads": "threads",
}
_SWITCHES = {
    "--merge-qkv": ("merge_qkv", True),
    "--merge-up-gate-experts": ("merge_up_gate", True),
    "--no-mmap": ("mmap", False),
    "--run-time-repack": ("repack", True),
    "--no-kv-offload": ("kv_offload", False),
    "--no-flash-attn": ("flash_attn", False),
    "--cpu-moe": ("n_cpu_moe", ALL_LAYERS),
    "--no-fused-moe": ("fused_moe", False),
    "--no-fused-up-gate": ("fused_up_gate", False),
    "--no-fused-mul-multiadd": ("fused_mul_multiadd", False),
    "--fit": ("fit", True),
    "--split-mode-graph-scheduling": ("graph_scheduling", True),
}


def read_flags(argv: Sequence[str], catalogue: Catalogue) -> Flags:
    """Return what a command line says about memory.

    Words that the catalogue does not know, and values that are no numbers, are passed over: `gpubox check` names them.

    Args:
        argv: the arguments of llama-server, without the program's name; of options that override each other the last.
        catalogue: the engine's options.
    """
    found: dict[str, object] = {}
    overrides: list[tuple[str, str]] = []
    for word in words(catalogue, argv):
        if word.option is None:
            continue
        name, value = word.option.name, word.values[0] if word.values else ""
        if name in _SWITCHES:
            field, setting = _SWITCHES[name]
            found[field] = setting
        elif name in _NUMBERS and value.lstrip("+-").isdigit():
            found[_NUMBERS[name]] = int(value)
        elif name in _TEXTS:
            found[_TEXTS[name]] = value
        elif name == "--flash-attn":
            found["flash_attn"] = value.lower() not in {"off", "0", "false"}
        elif name == "--tensor-split":
            found["tensor_split"] = _shares(value)
        elif name == "--override-tensor":
            overrides += parse_overrides(value)
        elif name == "--spec-type" and value.partition(":")[0] == "mtp":
            found["mtp"] = True
    flags = Flags(**found, overrides=tuple(overrides))  # type: ignore[arg-type]  # the tables above name its fields
    return _clamped(flags)


def parse_overrides(value: str) -> list[tuple[str, str]]:
    """Return the rules of one value of `-ot`, split at every `,` and each at its first `=` (common.cpp:840)."""
    pairs = [rule.partition("=") for rule in value.split(",")]
    return [(pattern, buffer) for pattern, equals, buffer in pairs if equals]


def _clamped(flags: Flags) -> Flags:
    """Return the flags with the batch no longer than the context, and the physical batch no longer than it."""
    batch = min(flags.batch_size, flags.ctx_size) if flags.ctx_size > 0 else flags.batch_size
    return replace(
        flags,
        n_gpu_layers=max(flags.n_gpu_layers, 0),  # -1 leaves the library's own default, 0 (common.cpp:4139)
        batch_size=batch,
        # A cap from 1 to 127 is raised (common.cpp:1898).
        attention_max_batch=max(flags.attention_max_batch, LEAST_ATTENTION_BATCH)
        if flags.attention_max_batch > 0
        else 0,
        ubatch_size=min(batch, flags.ubatch_size),
        mmap=flags.mmap and not flags.repack,
    )


def _shares(value: str) -> tuple[float, ...]:
    parts = [part for part in value.replace("/", ",").split(",") if part]
    try:
        return tuple(float(part) for part in parts)
    except ValueError:
        return ()


def _f16() -> GgmlType:
    f16 = type_named("f16")
    assert f16 is not None
    return f16

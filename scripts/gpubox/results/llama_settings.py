"""A server's settings as ik_llama.cpp's own benchmarks print them.

Names, order and defaults are those of llama-bench (llama-bench.cpp at 29a54f4, lines 1478 to 1563) and gpt_params (common.h,
lines 284 to 447). Its compare-llama-bench.py joins rows on these columns, so that one that is missing or NULL hides a row.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from gpubox.telemetry.judgement import used_gpus

if TYPE_CHECKING:
    from gpubox.record import Run

# llama-bench's name: the profile's `server` field, and what the engine takes where a profile does not say.
_OF_BOTH_ENGINES: dict[str, tuple[str, object]] = {
    "n_batch": ("batch_size", 2048),
    "n_ubatch": ("ubatch_size", 512),
    "type_k": ("cache_type_k", "f16"),
    "type_v": ("cache_type_v", "f16"),
    "n_gpu_layers": ("n_gpu_layers", -1),
    "split_mode": ("split_mode", "layer"),
    "main_gpu": ("main_gpu", 0),
    "no_kv_offload": ("no_kv_offload", False),
}
_OF_IK_LLAMA: dict[str, tuple[str, object]] = {
    "mla_attn": ("mla_use", 3),
    "attn_max_batch": ("attention_max_batch", 0),
    "ser": ("smart_expert_reduction", "-1,0"),
    "repack": ("run_time_repack", False),
    "mqkv": ("merge_qkv", False),
    "muge": ("merge_up_gate_experts", False),
    "defer_experts": ("defer_experts", False),
    "grouped_er": ("grouped_expert_routing", False),
    "no_fused_up_gate": ("no_fused_up_gate", False),
    "use_thp": ("transparent_huge_pages", False),
    "no_ooae": ("no_offload_only_active_experts", False),
    "rcache": ("rope_cache", False),
    "sas": ("scheduler_async", False),
    "max_gpu": ("max_gpu", 0),
    "cuda_params": ("cuda_params", ""),
}
_OVERRIDE_OPTIONS = {"-ot", "--override-tensor"}
_BUILD = re.compile(r"(\d+) \(([0-9a-f]{7,40})\)|b(\d+)-([0-9a-f]{7,40})")


def settings(run: Run) -> dict[str, Any]:
    """Return the settings of a run's server by llama-bench's names; None where nothing tells.

    Of a run without a profile nothing is known; of a profile on llama.cpp what ik_llama.cpp alone has is not.
    """
    server: dict[str, Any] = run.profile_document.get("server") or {}
    ours = run.engine.get("name") != "llama_cpp"
    known = bool(run.profile_document)

    def told(fields: dict[str, tuple[str, object]], *, defaults: bool) -> dict[str, Any]:
        return {
            theirs: server.get(field, default if known and defaults else None)
            for theirs, (field, default) in fields.items()
        }

    turned = {
        "flash_attn": _flash_attention(server, default=True if known and ours else None),
        "reuse": False if server.get("no_graph_reuse") else server.get("graph_reuse", True if known and ours else None),
        "fused_moe": False if server.get("no_fused_moe") else True if known and ours else None,
        "use_mmap": not (server.get("no_mmap") or server.get("run_time_repack")) if known else None,
        "embeddings": False if known else None,
    }
    split = server.get("tensor_split")
    texts = {
        "tensor_split": "/".join(f"{share:.2f}" for share in split) if split else "0.00" if known else None,
        "override_tensor": _overrides(run) if run.argv else None,
    }
    return told(_OF_BOTH_ENGINES, defaults=True) | told(_OF_IK_LLAMA, defaults=ours) | turned | texts


def build(run: Run) -> tuple[str | None, int | None]:
    """Return the engine's commit and its number, as far as its version or build says them."""
    found = next(filter(None, (_BUILD.search(str(run.engine.get(key) or "")) for key in ("version", "build"))), None)
    commit = run.engine.get("commit") or run.engine.get("build")
    if found is None:
        version = str(run.engine.get("version") or "")
        return commit, int(version) if version.isdecimal() else None
    number, sha = (found[1], found[2]) if found[1] else (found[3], found[4])
    return sha, int(number)


def gpu_names(run: Run) -> str | None:
    """Return the names of the GPUs that a run used, joined as llama-bench does; None where nothing is known of the host."""
    if "gpus" not in run.host:
        return None
    gpus = run.host["gpus"] or []
    wanted = run.profile_document.get("gpus", "all")
    dicts = [gpu for gpu in gpus if isinstance(gpu, dict)]
    used = used_gpus(wanted, dicts)
    names = [str(gpu.get("name")) for gpu in dicts if gpu.get("index") in used]
    return "/".join(names or [str(gpu) for gpu in gpus if not isinstance(gpu, dict) and wanted != "none"])


def threads(run: Run, *, batch: bool) -> int | None:
    """Return how many threads generate, or evaluate a prompt; None where the profile leaves that to the engine."""
    server = run.profile_document.get("server") or {}
    count = server.get("threads")
    found: int | None = server.get("threads_batch", count) if batch else count
    return found


def _flash_attention(server: dict[str, Any], *, default: bool | None) -> bool | None:
    told = server.get("flash_attn")
    if server.get("no_flash_attn") or told in {False, "off"}:
        return False
    return default if told is None else True


def _overrides(run: Run) -> str:
    return ",".join(value for option, value in pairwise(run.argv) if option in _OVERRIDE_OPTIONS)

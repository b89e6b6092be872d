"""Settings that take less memory, the gentlest first: what a proposal gives up where GPUs are too small for the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpubox.placement import Flags, Model

ATTENTION_BATCH = 512  # MiB
FEWEST_TOKENS_A_PASS = 512
SHORTEST_CONTEXT = 4096
_WIDE = ("f32", "f16", "bf16")


def easings(model: Model, flags: Flags) -> Iterator[dict[str, int | str]]:
    """Yield options of `server` by field, at first none, then ever more and smaller ones.

    Compute buffers shrink before the cache's type, and the context only at last, since it is what people ask for.

    Args:
        model: the model.
        flags: the flags as asked.
    """
    settings: dict[str, int | str] = {}
    yield dict(settings)
    if model.mla and flags.mla > 1 and not 0 < flags.attention_max_batch <= ATTENTION_BATCH:
        settings["attention_max_batch"] = ATTENTION_BATCH
        yield dict(settings)
    tokens = flags.ubatch_size // 2
    while tokens >= FEWEST_TOKENS_A_PASS:
        settings["ubatch_size"] = tokens
        yield dict(settings)
        tokens //= 2
    if flags.cache_type_k in _WIDE and flags.flash_attn:
        settings["cache_type_k"] = "q8_0"
        if not model.mla:
            settings["cache_type_v"] = "q8_0"
        yield dict(settings)
    tokens = (flags.ctx_size or model.n_ctx_train) // 2
    while tokens >= SHORTEST_CONTEXT:
        settings["ctx_size"] = tokens // 256 * 256
        yield dict(settings)
        tokens //= 2

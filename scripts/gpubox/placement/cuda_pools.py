"""What the CUDA backend takes of a GPU beyond the buffers that it prints: loaded kernels, and scratch pools that only grow.

Measured on one H200 (driver 580, CUDA 13) with GLM-5.2's shapes, 15 placements, and not derived: the figures are those of
tests/placement/h200_buffers.json, and other GPUs and models will differ by some hundred MiB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpubox.placement.machine import CUDA_CONTEXT
from gpubox.placement.sizes import MIB

if TYPE_CHECKING:
    from gpubox.placement.flags import Flags

_WARMED_UP = 212 * MIB  # kernels and pools after the warm-up
_WARMED_UP_MLA_3 = 88 * MIB
_WARMED_UP_DRAFT = 22 * MIB  # the MTP context has pools of its own
_GROWN = 246 * MIB
_GROWN_MLA_3 = 730 * MIB  # attention over the whole batch; less with small batches, no more with larger ones
_GROWN_DRAFT = 340 * MIB
_FULL_BATCH = 2048


def bytes_at_ready(mla: int, *, draft: bool) -> int:
    """Return what a GPU has lost, bytes, when the server is ready.

    Args:
        mla: the MLA variant in force; 0 for other models.
        draft: whether the MTP context computes on this GPU.
    """
    return CUDA_CONTEXT + _WARMED_UP + (_WARMED_UP_MLA_3 if mla > 1 else 0) + (_WARMED_UP_DRAFT if draft else 0)


def growth(flags: Flags, mla: int, *, draft: bool) -> int:
    """Return what the first long prompt takes in addition, bytes.

    Args:
        flags: of which the micro-batch counts.
        mla: the MLA variant in force; 0 for other models.
        draft: whether the MTP context computes on this GPU.
    """
    share = min(flags.ubatch_size, _FULL_BATCH) / _FULL_BATCH
    return _GROWN + (int(_GROWN_MLA_3 * share) if mla > 1 else 0) + (_GROWN_DRAFT if draft else 0)

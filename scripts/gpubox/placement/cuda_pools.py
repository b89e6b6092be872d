"""What the CUDA backend takes of a GPU beyond the buffers that it prints: loaded kernels, and scratch pools that only grow.

Measured on one, two and four H200s (driver 580, CUDA 13) with GLM-5.2's shapes, and not derived: the figures are those of
tests/placement/h200_buffers.json and several_h200_buffers.json, and other GPUs and models will differ by some hundred MiB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpubox.placement.machine import CUDA_CONTEXT
from gpubox.placement.sizes import MIB

if TYPE_CHECKING:
    from gpubox.placement.flags import Flags

PAGE = 2 * MIB
"""What CUDA hands out memory in; smaller pieces share a page, larger ones end with a part of one unused."""

_WARMED_UP = 212 * MIB  # kernels and pools after the warm-up
_WARMED_UP_DRAFT = 22 * MIB  # the MTP context has pools of its own
# With several GPUs, of each: NCCL's communicator, and the others' memory mapped; the second for those without NVLink.
_SEVERAL = (126 * MIB, 60 * MIB)
_EACH_OTHER = (196 * MIB, 93 * MIB)
_SPREAD = (533 * MIB, 247 * MIB)  # in split mode graph: buffers for sums over the GPUs
_GROWN = 246 * MIB
_GROWN_MLA_3 = 730 * MIB  # attention over the whole batch; less with small batches, no more with larger ones
_GROWN_DRAFT = 340 * MIB
_GROWN_SPREAD = 200 * MIB
_GROWN_SPREAD_MLA_3 = 304 * MIB
_GROWN_HOST_EXPERTS = 240 * MIB  # in split mode graph, on the GPU that computes them
_GROWN_HOST_LAYERS = 580 * MIB
_FULL_BATCH = 2048


def in_pages(size: int) -> int:
    """Return what CUDA takes for one allocation of `size` bytes."""
    return size if size < PAGE // 2 else -(-size // PAGE) * PAGE


def bytes_at_ready(*, draft: bool, gpus: int, spread: bool, nvlink: bool) -> int:
    """Return what a GPU has lost, bytes, when the server is ready.

    Args:
        draft: whether there is an MTP context.
        gpus: how many the server uses.
        spread: whether layers are spread over them.
        nvlink: whether they are linked by NVLink.
    """
    extra = _WARMED_UP_DRAFT if draft else 0
    if gpus > 1:
        link = 0 if nvlink else 1
        extra += _SEVERAL[link] + _EACH_OTHER[link] * (gpus - 1) + (_SPREAD[link] if spread else 0)
    return CUDA_CONTEXT + _WARMED_UP + extra


def growth(flags: Flags, mla: int, *, draft: bool) -> int:
    """Return what the first long prompt takes in addition, bytes, where a GPU computes whole layers.

    Args:
        flags: of which the micro-batch counts.
        mla: the MLA variant in force; 0 for other models.
        draft: whether the MTP layer is on this GPU.
    """
    return _GROWN + (int(_GROWN_MLA_3 * _share(flags)) if mla > 1 else 0) + (_GROWN_DRAFT if draft else 0)


def spread_growth(flags: Flags, mla: int, *, draft: bool, host_layers: bool, host_experts: bool) -> int:
    """Return what the first long prompt takes in addition, bytes, where layers are spread over the GPUs.

    Args:
        flags: of which the micro-batch counts.
        mla: the MLA variant in force; 0 for other models.
        draft: whether the MTP layer is on this GPU.
        host_layers: whether this GPU computes layers whose weights are on the host.
        host_experts: whether it computes experts whose weights are on the host.
    """
    grown = _GROWN_SPREAD + (int(_GROWN_SPREAD_MLA_3 * _share(flags)) if mla > 1 else 0)
    if host_layers:
        grown += _GROWN_HOST_LAYERS
    elif host_experts:
        grown += _GROWN_HOST_EXPERTS
    return grown + (_GROWN_DRAFT if draft else 0)


def _share(flags: Flags) -> float:
    return min(flags.ubatch_size, _FULL_BATCH) / _FULL_BATCH

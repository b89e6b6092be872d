"""The memory of a box, as far as a placement needs to know it."""

from __future__ import annotations

from dataclasses import dataclass

from gpubox.placement.sizes import MIB

CUDA_CONTEXT = 526 * MIB
"""What CUDA takes of each GPU before a server has allocated anything, bytes; measured on one H200 (driver 580, CUDA 13)."""


@dataclass(frozen=True)
class Machine:
    """Free memory, bytes, before the server starts.

    Attributes:
        gpus: of each GPU, in CUDA's order.
        ram: of the host; None where it is not known.
        cores: physical cores; None where not known.
        total_gpus: GPUs of the box, where a profile uses only some of them.
        whole: whether the GPUs' memory is all that they have, and not what was free.
        nvlink: whether the GPUs are linked by NVLink, for which NCCL keeps more buffers.
    """

    gpus: tuple[int, ...]
    ram: int | None = None
    cores: int | None = None
    total_gpus: int | None = None
    whole: bool = False
    nvlink: bool = False

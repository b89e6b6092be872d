"""Inputs of images, for tests."""

from __future__ import annotations

from typing import Any

COMMIT = "29a54f4b04cc0281850574247db075e20d68e7f1"
GPU: dict[str, Any] = {
    "index": 0,
    "name": "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition",
    "compute_capability": "12.0",
}


def variables(**changed: Any) -> dict[str, Any]:
    """Return the role's variables as an operator of a CUDA box leaves them, with what is changed."""
    return {
        "variant": "cuda",
        "commit": COMMIT,
        "build_base": f"nvidia/cuda:13.0.1-devel-ubuntu24.04@sha256:{'d' * 64}",
        "runtime_base": f"nvidia/cuda:13.0.1-runtime-ubuntu24.04@sha256:{'e' * 64}",
        "cuda_architectures": [],
        "fa_all_quants": False,
        "native": False,
        "cpu": "AMD EPYC 9175F 16-Core Processor",
        "cmake_flags": [],
    } | changed

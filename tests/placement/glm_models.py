"""GLM-5.2 as the planner sees it, and the published runs placed on their box."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from gguf_writer import write_gguf
from glm52 import metadata, tensors

from gpubox.catalogue import Catalogue
from gpubox.known_models import known_header
from gpubox.placement import Machine, Model, Placement, place, read_flags, read_model
from gpubox.placement.sizes import MIB
from writeup.published_runs import flags

if TYPE_CHECKING:
    from pathlib import Path

IK = Catalogue.load("ik_llama", "29a54f4")
CARD = 97_887 * MIB  # of one RTX PRO 6000 Blackwell
REVISIONS = {
    "1.630bpw": "451d18c5c05952bc322b9f9e612abc625d48b211",
    "2.244bpw": "16264a0f7b811d976a9acf704d8511f1127ada30",
}


def with_fewer_experts(path: Path, experts: int) -> Path:
    """Write GLM-5.2 in 1.630bpw with fewer routed experts than its 256, without data, and return the path."""
    fewer = [
        (name, kind, (*ne[:-1], experts) if "_exps." in name or "ffn_gate_inp" in name or "exp_probs_b" in name else ne)
        for name, kind, ne in tensors("iq1_s_r4")
    ]
    told = [(key, kind, experts if key.endswith(".expert_count") else value) for key, kind, value in metadata()]
    return write_gguf(path, told, fewer)


@cache
def glm(quantization: str) -> Model:
    """Return the model of one quantization, `1.630bpw` or `2.244bpw`."""
    name = f"GLM-5.2-GGUF-{quantization}"
    header = known_header(f"sokann/{name}", REVISIONS[quantization], f"{name}.gguf")
    assert header is not None
    return read_model(header)


def published(profile: str) -> Placement:
    """Return a published run on its box."""
    machine = Machine((CARD,) * (1 if "1gpu" in profile else 2), 768 * 10**9, 16)
    return place(glm("1.630bpw" if "1.630" in profile else "2.244bpw"), read_flags(flags(profile), IK), machine)

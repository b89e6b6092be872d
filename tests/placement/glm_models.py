"""GLM-5.2 as the planner sees it, and the published runs placed on their box."""

from __future__ import annotations

from functools import cache

from gpubox.catalogue import Catalogue
from gpubox.known_models import known_header
from gpubox.placement import Machine, Model, Placement, place, read_flags, read_model
from gpubox.placement.sizes import MIB
from writeup.published_runs import flags

IK = Catalogue.load("ik_llama", "29a54f4")
CARD = 97_887 * MIB  # of one RTX PRO 6000 Blackwell
REVISIONS = {
    "1.630bpw": "451d18c5c05952bc322b9f9e612abc625d48b211",
    "2.244bpw": "16264a0f7b811d976a9acf704d8511f1127ada30",
}


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

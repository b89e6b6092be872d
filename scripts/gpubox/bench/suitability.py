"""Whether what is deployed is made for the box, and whether the box is still what it was: asked before it is measured."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from gpubox.image_inputs import cpu_label
from gpubox.results.baselines import baseline_of, baseline_runs

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from gpubox.box_connection import BoxConnection
    from gpubox.results.store import Store

_ARCHITECTURE = re.compile(r"(\d+)([af]?)(-real|-virtual)?")


def image_labels(connection: BoxConnection, image: str) -> dict[str, str]:
    """Return the labels of an image on a box; none of one that has none.

    Raises:
        BoxError: the image is not there.
    """
    told = json.loads("".join(connection.lines(["podman", "image", "inspect", "--format={{json .Labels}}", image])))
    return dict(told or {})


def image_doubts(labels: Mapping[str, str], facts: Mapping[str, Any], gpus: Collection[int]) -> list[str]:
    """Return why an image is not made for a box, as flags of a run; empty where it is, or where it does not say.

    Args:
        labels: of the image, as `gpubox.image_recipe` writes them.
        facts: of the box, as `gpubox.host_facts`.
        gpus: indices of the GPUs that the profile uses.

    Returns:
        `image: …`, for each kind of GPU without code of its own, and for a CPU that is not the one it was compiled for.
    """
    found = []
    built = [word for word in labels.get("gpubox.cuda-architectures", "").split(";") if word]
    kinds = {
        str(gpu["compute_capability"]): str(gpu["name"])
        for gpu in facts.get("gpus") or []
        if gpu["index"] in gpus and gpu.get("compute_capability")
    }
    for capability, name in sorted(kinds.items()):
        if built and (fault := _fault(built, int(capability.replace(".", "")))):
            found.append(f"image: {fault} {name} (compute capability {capability}); it is built for {', '.join(built)}")
    cpu = labels.get("gpubox.native-cpu", "")
    if cpu and (here := cpu_label(str(facts.get("cpu") or ""))) and here != cpu:
        found.append(f"image: compiled for another CPU ({cpu}) than this ({here})")
    return found


def driver_doubts(store: Store, profile: str, facts: Mapping[str, Any]) -> list[str]:
    """Return whether NVIDIA's driver is another than at a profile's baseline on this box, as flags of a run.

    Without a baseline its last run there counts.

    Args:
        store: with earlier runs.
        profile: whose.
        facts: of the box now.
    """
    now = facts.get("driver")
    baseline = baseline_of(store, profile, str(facts.get("hostname") or ""))
    runs = baseline_runs(store, baseline) if baseline else store.runs(profile=profile, status="done")
    for run in runs:
        if run.host.get("hostname") != facts.get("hostname") or not run.host.get("driver"):
            continue
        before = run.host["driver"]
        return [] if before == now else [f"driver-changed: {before} in run {run.id}, {now or 'none'} now"]
    return []


def _fault(built: Collection[str], capability: int) -> str:
    """Return what is wrong with code for some architectures on a GPU; empty where some is made for it."""
    jit = False
    for word in built:
        match = _ARCHITECTURE.fullmatch(word)
        if match is None:
            continue
        number, exact, kind = int(match.group(1)), bool(match.group(2)), match.group(3)
        # Code runs on later GPUs of its own generation; that of an `a` only on the very one, which is the same number.
        if kind != "-virtual" and (
            number == capability or (not exact and number // 10 == capability // 10 and number < capability)
        ):
            return ""
        jit = jit or (kind != "-real" and not exact and number <= capability)
    return "the driver has to compile its code for" if jit else "it has no code for"

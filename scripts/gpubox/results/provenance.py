"""Where numbers come from: runs grouped by all that has to be equal to repeat them."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpubox.results.described import gpu_lines
from gpubox.results.wording import NOTHING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpubox.record import Run

PROVENANCE: dict[str, Callable[[Run], object]] = {
    "profile": lambda run: run.profile or NOTHING,
    "profile hash": lambda run: run.profile_hash,
    "engine": lambda run: " ".join(str(run.engine[key]) for key in ("name", "build", "version") if run.engine.get(key)),
    "image": lambda run: run.engine.get("image_digest"),
    "unit SHA-256": lambda run: run.engine.get("unit_sha256"),
    "model": lambda run: run.model.get("path"),
    "model SHA-256": lambda run: run.model.get("sha256"),
    "command": lambda run: shlex.join(run.argv),
    "host": lambda run: run.host.get("hostname"),
    "CPU": lambda run: run.host.get("cpu"),
    "GPUs": lambda run: "\n".join(gpu_lines(run.host.get("gpus") or [])),
    "driver": lambda run: run.host.get("driver"),
    "kernel": lambda run: run.host.get("kernel"),
    "endpoint": lambda run: run.endpoint,
    "gpubox": lambda run: run.tool_version,
}


@dataclass(frozen=True)
class Origin:
    """One set of inputs.

    Attributes:
        fields: what is known of it, name and value, in the order of `PROVENANCE`; of several GPUs a line each.
        run_ids: the runs that have it, in the order given.
    """

    fields: tuple[tuple[str, str], ...]
    run_ids: tuple[str, ...]


def origins(runs: Sequence[Run]) -> list[Origin]:
    """Return one origin for each set of inputs, so that a thousand runs of one box don't repeat it a thousand times."""
    found: dict[tuple[tuple[str, str], ...], list[str]] = {}
    alike: dict[tuple[object, ...], list[str]] = {}
    for run in runs:
        # Runs as they are read share what describes their box, so that most are told alike without looking into it.
        shared = tuple(id(described) for described in (run.engine, run.model, run.host))
        same = (run.profile, run.profile_hash, run.argv, run.endpoint, run.tool_version, shared)
        if same not in alike:
            known = {name: read(run) for name, read in PROVENANCE.items()}
            fields = tuple((name, str(value)) for name, value in known.items() if value)
            alike[same] = found.setdefault(fields, [])
        alike[same].append(run.id)
    return [Origin(fields, tuple(run_ids)) for fields, run_ids in found.items()]

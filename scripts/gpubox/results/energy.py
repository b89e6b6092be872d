"""What the tokens of runs took, of the power that was recorded beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpubox.results.telemetry import readings_of
from gpubox.telemetry.judgement import energy_of_tokens, used_gpus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gpubox.record import Run, Sample
    from gpubox.results.store import Store
    from gpubox.telemetry.judgement import Energy

# The heads of a table of it, after those that say whose it is.
HEADS = ("Power W", "J/token", "Tokens per Wh")


def energies(store: Store, runs: Iterable[Run], samples: Mapping[str, Sequence[Sample]]) -> dict[str, Energy]:
    """Return what generating a token took of the GPUs, by run id; of the runs alone where it is known.

    Args:
        store: the results.
        runs: of interest.
        samples: of every run, by run id.
    """
    found = {}
    for run in runs:
        energy = energy_of_tokens(samples[run.id], readings_of(store, run.id), gpus_of_run(run))
        if energy:
            found[run.id] = energy
    return found


def gpus_of_run(run: Run) -> set[int]:
    """Return the indices of the GPUs that a run used."""
    known = [gpu for gpu in run.host.get("gpus") or [] if isinstance(gpu, dict)]
    return used_gpus(run.profile_document.get("gpus", "all"), known)


def row_of(energy: Energy) -> tuple[str, ...]:
    """Return one cell for each of `HEADS`."""
    per_wh = 3600 / energy.joules if energy.joules else 0.0
    return f"{energy.watts:.0f}", f"{energy.joules:.2f}", f"{per_wh:.0f}"

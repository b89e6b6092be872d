"""What a run measured, and the latest run of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpubox.record import Run


def subject(run: Run) -> str:
    """Return what was measured: the profile, or the endpoint where there is none."""
    return run.profile or run.endpoint


def latest_done(runs: Sequence[Run]) -> list[Run]:
    """Return the latest finished run of each profile and workload.

    Args:
        runs: newest first.
    """
    latest: dict[tuple[str, str], Run] = {}
    for run in runs:
        if run.status == "done":
            latest.setdefault((run.workload.name, subject(run)), run)
    return list(latest.values())

"""Which runs answer the question whether drafting pays: those that differ in nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gpubox.results.mtp import MtpVerdict, drafts, mtp_verdict
from gpubox.results.pairing import are_paired

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from gpubox.record import Run, Sample

# What drafting is asked with, and what changes no speed.
_MAY_DIFFER = {"speculative", "description", "published", "port"}


def mtp_pairs(runs: Iterable[Run], samples: Mapping[str, Sequence[Sample]]) -> Iterator[tuple[Run, Run, MtpVerdict]]:
    """Give a run without drafts, one with, and the verdict, for each two of the same model, host, workload and profile.

    Args:
        runs: one for each workload and profile; those of a bare endpoint have no profile to be told by and are left out.
        samples: of every run, by run id.
    """
    plain: dict[str, Run] = {}
    drafting: list[tuple[str, Run]] = []
    for run in runs:
        if not run.profile_document:
            continue
        if drafts(samples[run.id]):
            drafting.append((_sameness(run), run))
        elif not run.profile_document.get("speculative"):
            plain.setdefault(_sameness(run), run)
    for sameness, run in drafting:
        without = plain.get(sameness)
        if without is None:
            continue
        sides = samples[without.id], samples[run.id]
        found = mtp_verdict(run.workload.name, *sides, paired=are_paired(without, run, *sides))
        if found is not None:
            yield without, run, found


def _sameness(run: Run) -> str:
    document = {key: value for key, value in run.profile_document.items() if key not in _MAY_DIFFER}
    model = run.model.get("sha256") or run.model.get("path")
    return json.dumps([run.workload.name, model, run.host.get("hostname"), document], sort_keys=True)

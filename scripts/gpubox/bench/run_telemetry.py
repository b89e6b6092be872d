"""What a box tells while runs are measured on it, handed on to each run and its samples."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from gpubox.results.telemetry import add_readings
from gpubox.telemetry.judgement import doubts, gpus_of, used_gpus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpubox.record import Sample
    from gpubox.results.store import Store
    from gpubox.switch_program.profiles import BoxProfile
    from gpubox.telemetry.box_watch import BoxWatch
    from gpubox.telemetry.readings import Reading


class RunTelemetry:
    """The telemetry of one run after the other, for `gpubox.bench.session`.

    Args:
        watch: of the box.
        profile: whose service is measured, as the box knows it.
    """

    def __init__(self, watch: BoxWatch, profile: BoxProfile) -> None:
        self._watch = watch
        self._profile = profile
        self._gpus = used_gpus(profile.gpus, watch.facts["gpus"])
        self._told_of: set[int] = set()
        self._readings: list[Reading] = []
        self._unkept: list[Reading] = []
        self._keep: Callable[[Sequence[Reading]], None] | None = None

    def seen(self, sample: Sample) -> Sample:
        """Return a sample that has just ended with what the GPUs did meanwhile, as far as the box has told."""
        self._take()
        began = datetime.fromisoformat(sample.started_at).timestamp()
        gpus = gpus_of([reading for reading in self._readings if reading.at >= began], self._gpus)
        return replace(sample, extra=sample.extra | {"gpus": gpus}) if gpus else sample

    def keep(self, store: Store, run_id: str) -> None:
        """Record what was read since the last call."""
        self._keep = lambda readings: add_readings(store, run_id, readings)
        self._take()

    def doubts(self) -> list[str]:
        """Wait for the word of the last moment, record it, and judge the run."""
        if self._keep is not None:
            self._watch.settle()
        self._take()
        # nvidia-smi tells of none where one is lost, also when that was before the run.
        if any(reading.gpu_fault for reading in self._readings):
            self._told_of |= self._gpus
        found = doubts(self._readings, self._profile.name, self._gpus, self._told_of)
        self._told_of |= {gpu.index for reading in self._readings for gpu in reading.gpus}
        self._readings, self._unkept, self._keep = [], [], None
        return found

    def _take(self) -> None:
        readings = self._watch.take()
        self._readings += readings
        self._unkept += readings
        if self._keep is not None:
            self._keep(self._unkept)
            self._unkept = []

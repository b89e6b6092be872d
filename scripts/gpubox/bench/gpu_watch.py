"""The GPUs of this machine while something is measured: NVML, else one nvidia-smi that goes on, read by a thread."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from gpubox.bench.gpu_readings import FIELDS, GpuReading, parse_reading, summarise_readings, throttle_flags
from gpubox.bench.nvml import LIBRARY, Nvml
from gpubox.telemetry.judgement import joules

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from types import TracebackType

    from gpubox.record import Sample
    from gpubox.results.store import Store

INTERVAL_MS = 500
KEPT_S = 3600  # the longest sample that still has all its readings
STOP_S = 5.0
# Of a GPU that says nothing for so long, and for four readings, nothing more will come.
LOST_S = 2.0


class GpuWatch:
    """Reads NVIDIA's library, or the stream of nvidia-smi where that can't be loaded. Use it as a context manager.

    Without both it knows nothing and costs nothing.

    Args:
        interval_ms: between two readings of each GPU.
        library: file name of NVML.
        only: indices of the GPUs that are of interest; None for all.
    """

    def __init__(
        self, interval_ms: int = INTERVAL_MS, library: str = LIBRARY, only: Collection[int] | None = None
    ) -> None:
        self._interval_ms = interval_ms
        self._library = library
        self._only = only
        self._ended = threading.Event()
        self._readings: deque[tuple[float, GpuReading]] = deque()
        self._lock = threading.Lock()
        self._fault = ""
        self._process: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        try:
            nvml = Nvml(self._library)
        except OSError:
            self._start_program()
            return self
        self._thread = threading.Thread(target=self._ask, args=(nvml,), name="nvml", daemon=True)
        self._thread.start()
        return self

    def _start_program(self) -> None:
        program = shutil.which("nvidia-smi")
        if program is None:
            return
        query = [f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader,nounits", f"--loop-ms={self._interval_ms}"]
        with suppress(OSError):
            self._process = subprocess.Popen(
                [program, *query], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace"
            )
            self._thread = threading.Thread(target=self._read, name="nvidia-smi", daemon=True)
            self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._thread is None:
            return
        if self._process is None:
            self._thread.join(STOP_S)
            return
        self._process.kill()
        self._process.wait()
        self._thread.join(STOP_S)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def seen(self, sample: Sample) -> Sample:
        """Return a sample that has just ended with what the GPUs did meanwhile, or as it is where nothing is known.

        `extra` gets `gpus`, and `tg_joules`: what all of them took from the first token on.
        """
        end = time.monotonic()
        start = end - sample.e2e_ms / 1e3
        with self._lock:
            known = list(self._readings)
        gpus = summarise_readings(reading for moment, reading in known if moment >= start)
        if not gpus:
            return sample
        extra = sample.extra | {"gpus": gpus}
        if sample.ttft_ms is not None:
            energy = _joules(known, start + sample.ttft_ms / 1e3, end)
            extra |= {} if energy is None else {"tg_joules": round(energy, 3)}
        return replace(sample, extra=extra, flags=(*sample.flags, *throttle_flags(gpus)))

    def keep(self, store: Store, run_id: str) -> None:
        """Keep nothing beside the samples, which have what the GPUs did."""

    def doubts(self) -> list[str]:
        """Return which GPUs are no longer told of, though they were, as flags of the run that ends now."""
        limit = time.monotonic() - max(LOST_S, 4 * self._interval_ms / 1e3)
        with self._lock:
            last = {reading.index: moment for moment, reading in self._readings}
            fault = self._fault or "it is no longer told of"
        return [f"gpu-lost: GPU {index}: {fault}" for index, moment in sorted(last.items()) if moment < limit]

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            reading = parse_reading(line)
            if reading is not None:
                self._keep([reading])
            elif line.strip():
                self._fault = line.strip()

    def _ask(self, nvml: Nvml) -> None:
        with nvml:
            while not self._ended.is_set():
                self._keep(nvml.read())
                self._ended.wait(self._interval_ms / 1e3)

    def _keep(self, readings: Sequence[GpuReading]) -> None:
        now = time.monotonic()
        with self._lock:
            self._readings.extend(
                (now, reading) for reading in readings if self._only is None or reading.index in self._only
            )
            while self._readings and self._readings[0][0] < now - KEPT_S:
                self._readings.popleft()


def _joules(readings: Sequence[tuple[float, GpuReading]], begin: float, end: float) -> float | None:
    """Return what GPUs took from `begin` to `end` (seconds), the last reading holding until then; None where one tells no power."""
    total = 0.0
    for index in {reading.index for _, reading in readings}:
        told = [(moment, reading.power_w) for moment, reading in readings if reading.index == index]
        power = [(moment, watts) for moment, watts in told if watts is not None]
        if len(power) < len(told) or power[-1][0] < end - LOST_S:
            return None
        taken = joules([*power, (end, power[-1][1])], begin, end)
        if taken is None:
            return None
        total += taken
    return total

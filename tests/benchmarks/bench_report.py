"""How long a report over 10,000 runs takes, and how much memory: limits 3 s and 300 MiB.

python tests/benchmarks/bench_report.py

The runs are those of 14 profiles and 4 workloads, 8 repetitions each, as nightly runs of half a year leave them. Prints the
medians of three for Markdown and for the page, as a share of the limits; on a busy machine the processor's time counts.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from gpubox.record import Sample, Workload  # noqa: E402  # the folder above is on the path only now
from gpubox.results.store import Store  # noqa: E402
from results.records import a_run, a_sample, at  # noqa: E402

RUNS, REPS, TIMES = 10_000, 8, 3
LIMIT_S, LIMIT_MIB = 3.0, 300
WORKLOADS = [Workload(f"pp{n}+tg128", n, 128) for n in (2048, 8192, 20480, 130_000)]
PROFILES = 14


def fill(database: Path) -> None:
    """Write the runs."""
    noise = random.Random(1)
    with Store.open(str(database)) as store:
        for number in range(RUNS):
            profile, workload = number % PROFILES, WORKLOADS[number // PROFILES % len(WORKLOADS)]
            drafts = profile % 2 == 1
            document: dict[str, object] = {"server": {"ctx_size": 131_072, "n_gpu_layers": 80 - profile // 2}}
            run = a_run(
                f"run-{number:06}",
                batch=f"batch-{number // PROFILES // len(WORKLOADS)}",
                profile=f"profile-{profile // 2}{'-mtp' if drafts else ''}",
                profile_document=document | ({"speculative": [{"type": "mtp", "n_max": 4}]} if drafts else {}),
                workload=workload,
                started_at=at(number * 300),
                status="done",
                finished_at=at(number * 300 + 200),
                flags=(),
            )
            store.add_all([(run, [sample(number, index, profile, noise, drafts=drafts) for index in range(REPS)])])


def sample(number: int, index: int, profile: int, noise: random.Random, *, drafts: bool) -> Sample:
    """Return one repetition, with the arrivals and the answer that a real one keeps."""
    return a_sample(
        index,
        started_at=at(number * 300 + index * 20),
        tg=(20 + profile) * noise.gauss(1, 0.01),
        pp=400 * noise.gauss(1, 0.01),
        draft_n=200 if drafts else None,
        draft_n_accepted=noise.randint(70, 80) if drafts else None,
        arrivals_ms=tuple(5000 + 25.125 * token for token in range(128)),
        extra={"route": "chat", "prompt_sha256": f"{index}", "answer": "one or two words " * 40},
    )


def measured(*words: str) -> tuple[float, float, float]:
    """Run gpubox; return its wall time and its processor time in seconds, and its peak memory in MiB."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "gpubox", *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    """Fill, measure, print."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "results.db"
        fill(database)
        for what, option in (("Markdown", "--output"), ("page", "--html")):
            runs = [measured("report", "--db", str(database), option, f"{folder}/report") for _ in range(TIMES)]
            seconds, processor, memory = (statistics.median(values) for values in zip(*runs, strict=True))
            print(
                f"{what:<9} {seconds:.2f} s ({processor:.2f} s of a processor) {memory:.0f} MiB  "
                f"{seconds / LIMIT_S:.2f} and {memory / LIMIT_MIB:.2f} of the limits"
            )


if __name__ == "__main__":
    main()

"""What watching a box costs there: CPU time of the program and of what it starts, percent of one core.

    python tests/benchmarks/bench_telemetry.py [SECONDS [FILE]]

Runs the program on this machine, as it runs on a box; FILE gets what it prints.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gpubox.bench.gpu_readings import FIELDS
from gpubox.host_facts import SOURCES
from gpubox.nvidia import GPU_FIELDS
from gpubox.telemetry import program

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process and of its children, seconds."""
    own = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return (int(own[11]) + int(own[12])) / TICKS + sum(cpu_s(int(child)) for child in children)


def main() -> None:
    """Measure and print."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    with tempfile.TemporaryDirectory() as folder:
        printed = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(folder) / "ticks.jsonl"
        told = {"who": "bench", "lock": f"{folder}/lock", "note": f"{folder}/note", "sources": SOURCES}
        told |= {"gpu_fields": ",".join(GPU_FIELDS), "gpu_query": ",".join(FIELDS)}
        argv = [sys.executable, "-ISB", program.__file__, json.dumps(told)]
        with printed.open("wb") as out, subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=out) as process:
            assert process.stdin is not None
            process.stdin.write(b'{"do": "watch", "profile": "none"}\n')
            process.stdin.flush()
            time.sleep(2)  # its start is not what is asked
            begin, began = cpu_s(process.pid), time.monotonic()
            while time.monotonic() - began < seconds:
                time.sleep(5)
                process.stdin.write(b'{"do": "alive"}\n')
                process.stdin.flush()
            share = (cpu_s(process.pid) - begin) / (time.monotonic() - began)
            process.stdin.close()
        ticks = printed.read_text().count('"event": "tick"')
    print(f"telemetry: {share:.2%} of one core, {ticks} readings")


if __name__ == "__main__":
    main()

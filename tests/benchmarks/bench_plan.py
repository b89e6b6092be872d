"""How fast and small `gpubox plan` is on a full-size header, beside two other tools that read headers.

python tests/benchmarks/bench_plan.py

The whole process is measured, several times, in turns with the others; wall time, CPU time and peak memory, each the
median. The others are installed into folders of their own, and left out where they can't be. Then the same header is
read over HTTP from a server on loopback that counts what it sends. llama-mdl answers for the machine that it runs on,
and takes much longer where that has a GPU.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / "gguf_header")]

from glm52 import write_glm52  # noqa: E402  # found by the path above
from range_server import serving  # noqa: E402  # likewise

from gpubox.gguf import read_header  # noqa: E402  # likewise

TIMES = 9
LIMIT_S = 0.30
LIMIT_MIB = 80
OVER_HEADER = 2**20  # bytes that may be sent beyond the header
# Package, program and the words before the file.
OTHERS: tuple[tuple[str, str, list[str]], ...] = (
    ("modelinfo-cli==1.4.4", "modelinfo", []),
    ("llama-mdl==0.14.0", "mdl", ["fit"]),
)
# A process inherits its parent's peak memory, so a small one starts what is measured.
MEASURE = """
import json, os, sys, time
started = time.monotonic()
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
_, _, usage = os.wait4(child, 0)
wall = time.monotonic() - started
print(json.dumps([wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024]), file=sys.stderr)
"""
SIZES = ["--gpu", "97887MiB", "--ram", "251GiB", "--json"]


def measured(command: list[str], home: Path) -> tuple[float, float, float]:
    """Return wall seconds, CPU seconds and peak memory (MiB) of one run of a command."""
    environment = {**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home), "XDG_CACHE_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-S", "-c", MEASURE, *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment,
        check=True,
    )
    wall, cpu, peak = json.loads(done.stderr.splitlines()[-1])
    return wall, cpu, peak


def installed(folder: Path, package: str, program: str) -> Path | None:
    """Return the program of a package in an environment of its own, or None where it can't be installed."""
    venv.create(folder, with_pip=True)
    pip = [str(folder / "bin/python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check", package]
    return folder / "bin" / program if subprocess.run(pip, check=False).returncode == 0 else None


def sent_over_http(model: Path) -> tuple[int, int]:
    """Return the bytes that a plan of a URL transfers, and those of the header."""
    with serving(model.parent) as server:
        url = f"{server.url}/{model.name}"
        plan = [sys.executable, "-m", "gpubox", "plan", "glm-5.2-2.244bpw-1gpu", "--model", url, *SIZES]
        subprocess.run(plan, check=True, stdout=subprocess.DEVNULL)
    return server.sent, read_header(model).data_offset


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = write_glm52(folder / "glm.gguf", "2.244")
        plan = [sys.executable, "-m", "gpubox", "plan", "glm-5.2-2.244bpw-1gpu", "--model", str(model), *SIZES]
        commands = {"gpubox plan": plan}
        for package, program, words in OTHERS:
            if path := installed(folder / program, package, program):
                commands[package] = [str(path), *words, str(model)]
        runs: dict[str, list[tuple[float, float, float]]] = {title: [] for title in commands}
        for _ in range(TIMES):
            for title, command in commands.items():
                runs[title].append(measured(command, folder))
        sent, header = sent_over_http(model)
    medians = {
        title: [statistics.median(values) for values in zip(*found, strict=True)] for title, found in runs.items()
    }
    ours = medians["gpubox plan"]
    print(f"{'':<22}    wall     CPU  memory  (load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs)")
    for title, (wall, cpu, peak) in medians.items():
        ratios = f"x{wall / ours[0]:.2f} x{cpu / ours[1]:.2f} x{peak / ours[2]:.2f}"
        print(f"{title:<22} {wall:.3f} s {cpu:.3f} s {peak:3.0f} MiB  {ratios}")
    best = min(wall for wall, _, _ in runs["gpubox plan"])
    print(f"{'limits':<22} {LIMIT_S:.3f} s         {LIMIT_MIB} MiB  (the fastest of {TIMES} plans took {best:.3f} s)")
    print(f"over HTTP: {sent} bytes for a header of {header}, {sent - header} more; the limit is {OVER_HEADER}")


if __name__ == "__main__":
    main()

"""How fast and small `gpubox plan` is on a full-size header, beside another tool that reads headers.

The whole process is measured, several times, alternating; the medians are shown as ratios. modelinfo-cli is installed
into a folder of its own, and left out where it can't be.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / "gguf_header")]

from glm52 import write_glm52  # noqa: E402  # found by the path above

TIMES = 7
LIMIT_S = 0.30
LIMIT_MIB = 80
OTHER = "modelinfo-cli==1.4.4"


def measured(command: list[str]) -> tuple[float, float]:
    """Return wall seconds and peak memory (MiB) of one run of a command."""
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, _, usage = os.wait4(process.pid, 0)
    return time.monotonic() - started, usage.ru_maxrss / 1024


def other_tool(folder: Path, model: Path) -> list[str] | None:
    """Return modelinfo-cli's command, or None where it can't be installed."""
    venv.create(folder, with_pip=True)
    installed = subprocess.run(
        [folder / "bin/python", "-m", "pip", "install", "-qq", "--disable-pip-version-check", OTHER], check=False
    )
    programs = [path for path in (folder / "bin").iterdir() if path.name.startswith("modelinfo")]
    return [str(programs[0]), str(model)] if installed.returncode == 0 and programs else None


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        model = write_glm52(Path(folder) / "glm.gguf", "2.244")
        plan = [sys.executable, "-m", "gpubox", "plan", "glm-5.2-2.244bpw-1gpu", "--model", str(model)]
        commands = {"gpubox plan": [*plan, "--gpu", "97887MiB", "--ram", "251GiB", "--json"]}
        if other := other_tool(Path(folder) / "other", model):
            commands["modelinfo-cli"] = other
        runs: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(TIMES):
            for name, command in commands.items():
                runs[name].append(measured(command))
    medians = {name: [statistics.median(values) for values in zip(*found, strict=True)] for name, found in runs.items()}
    seconds, memory = medians["gpubox plan"]
    for name, (wall, peak) in medians.items():
        best = min(one for one, _ in runs[name])
        print(
            f"{name:<14} {wall:.3f} s (best {best:.3f}) {peak:.0f} MiB  x{wall / seconds:.2f} time  x{peak / memory:.2f} memory"
        )
    print(
        f"limits         {LIMIT_S:.3f} s {LIMIT_MIB} MiB: {seconds / LIMIT_S:.2f} and {memory / LIMIT_MIB:.2f} of them used"
    )


if __name__ == "__main__":
    main()

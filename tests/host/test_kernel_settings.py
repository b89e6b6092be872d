"""Settings of a kernel whose files are made up, and of this machine's own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gpubox import kernel_settings
from gpubox.kernel_settings import apply, current, plan

GOVERNOR = "/sys/devices/system/cpu/cpu{}/cpufreq/scaling_governor"
SWAPPINESS = "/proc/sys/vm/swappiness"
HUGE_PAGES = "/sys/kernel/mm/transparent_hugepage/enabled"
NUMA_BALANCING = "/proc/sys/kernel/numa_balancing"
BEFORE = {SWAPPINESS: "60", HUGE_PAGES: "always", GOVERNOR.format(0): "schedutil", GOVERNOR.format(1): "powersave"}


@pytest.fixture
def box(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for name, text in BEFORE.items():
        path = root / name.removeprefix("/")
        path.parent.mkdir(parents=True)
        path.write_text(f"{text}\n")
    (root / HUGE_PAGES.removeprefix("/")).write_text("[always] madvise never\n")
    return root


def values(box: Path) -> dict[str, str]:
    return {name: current((box / name.removeprefix("/")).read_text()) for name in BEFORE}


@pytest.mark.parametrize(
    ("text", "value"), [("60\n", "60"), ("always [madvise] never\n", "madvise"), ("performance\n", "performance")]
)
def test_the_value_is_the_chosen_word_or_all(text: str, value: str) -> None:
    assert current(text) == value


def test_a_plan_names_what_differs_and_leaves_out_what_the_kernel_does_not_have(box: Path, tmp_path: Path) -> None:
    wanted = {GOVERNOR.format("*"): "powersave", HUGE_PAGES: "always", NUMA_BALANCING: "0", SWAPPINESS: "1"}
    assert plan(wanted, tmp_path / "memory", box) == {GOVERNOR.format(0): "powersave", SWAPPINESS: "1"}
    assert values(box) == BEFORE
    assert not (tmp_path / "memory").exists()


def test_what_is_no_longer_wanted_goes_back_to_what_it_was(box: Path, tmp_path: Path) -> None:
    memory = tmp_path / "state" / "memory"
    wanted = {GOVERNOR.format("*"): "performance", SWAPPINESS: "10"}
    assert apply(wanted, memory, box) == []
    assert apply(wanted | {SWAPPINESS: "1"}, memory, box) == []
    performance = {GOVERNOR.format(n): "performance" for n in (0, 1)}
    assert values(box) == {**BEFORE, **performance, SWAPPINESS: "1"}
    assert apply({SWAPPINESS: "1"}, memory, box) == []
    assert values(box) == {**BEFORE, SWAPPINESS: "1"}
    assert apply({}, memory, box) == []
    assert values(box) == BEFORE
    assert plan({}, memory, box) == {}


def test_it_runs_alone_and_says_what_the_kernel_refuses(tmp_path: Path) -> None:
    def run(verb: str, wanted: dict[str, str]) -> list[str] | dict[str, str]:
        argv = [sys.executable, "-I", "-", verb, json.dumps(wanted), str(tmp_path / "memory")]
        source = Path(kernel_settings.__file__).read_bytes()
        done = subprocess.run(argv, input=source, capture_output=True, check=True, cwd="/")
        said: list[str] | dict[str, str] = json.loads(done.stdout)
        return said

    swappiness = Path(SWAPPINESS).read_text().strip()
    assert run("plan", {SWAPPINESS: swappiness, "/proc/uptime": "x"}) == {"/proc/uptime": "x"}
    # Root may open the file, and its kernel then refuses the write.
    assert run("apply", {"/proc/uptime": "x"}) in (
        ["/proc/uptime can't be set to x (Input/output error)"],
        ["/proc/uptime can't be set to x (Permission denied)"],
    )

"""Whatever spoils a run is planted where it comes from, and the run says so in words; a run that nothing spoils says nothing.

The server is a stand-in behind a socket; nvidia-smi, systemctl, journalctl and sudo are stand-ins that are executed.
"""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from gguf_writer import write_gguf

from cli.console import Console
from cli.test_bench_command import free_port, server
from gpubox.bench.run_telemetry import RunTelemetry
from gpubox.bench.session import Subject, bench
from gpubox.box_connection import BoxConnection
from gpubox.endpoint import Endpoint
from gpubox.record import Workload
from gpubox.results.store import Store
from gpubox.switch_program.profiles import BoxProfile
from gpubox.telemetry.box_watch import LOCK, NOTE, BoxWatch
from standin.start import standin

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gpubox.record import Run, Sample

UUID = "GPU-0b1c2d3e-0001-4002-8003-00112233aabb"
QUIET, CAPPED = (f"0, {UUID}, 74347, 98, 291.37, 2100, 71, 0x{bits:016x}" for bits in (0, 4))
LOST = (
    "Unable to determine the device handle for GPU0: 0000:01:00.0: GPU is lost.  Reboot the system to recover this GPU"
)
SPEED = ("--pp", "4000", "--tg", "100")


def install(folder: Path, name: str, script: str) -> None:
    program = folder / name
    program.write_text(script)
    program.chmod(0o755)


def nvidia_smi(folder: Path, *, then: str, first: str = QUIET, driver: str = "580.95.05", apps: str = "") -> None:
    """Install a stand-in that says `first` for a second, and then something else for ever."""
    install(
        folder,
        "nvidia-smi",
        f"""#!/bin/sh
case "$*" in
*compute-apps*) while :; do [ -z "{apps}" ] || echo "{apps}"; sleep 0.5; done ;;
*loop-ms*) for i in 1 2 3 4 5; do echo "{first}"; sleep 0.2; done; while :; do echo "{then}"; sleep 0.2; done ;;
*--query-gpu=index,uuid,name,memory.total*) echo "0, {UUID}, Stand-in, 97887, 12.0, 00000000:01:00.0, {driver}" ;;
*) exit 6 ;;
esac
""",
    )


def flags(console: Console, *words: str) -> list[str]:
    done = console.run("bench", *words, "--json")
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)["results"]
    return list(result["flags"])


@pytest.mark.parametrize(
    ("planted", "told"),
    [
        (("--noise", "0.5"), []),
        (("--trend", "1"), ["warming-up: PP +6.7 %"]),
        (("--trend", "-1"), ["drift: PP -7.3 %"]),
        (("--noise", "25"), ["high-variance: PP 18.0 %"]),
    ],
    ids=["quiet", "warms up", "drifts", "varies"],
)
def test_a_server_that_warms_up_drifts_or_varies_is_told(
    tmp_path: Path, planted: tuple[str, ...], told: list[str]
) -> None:
    with standin(*SPEED, *planted) as url:
        found = flags(
            Console(tmp_path), "--endpoint", url, "--pp", "400", "--tg", "8", "--reps", "8", "--target", "0.0001"
        )
    # Of PP alone, which the stand-in computes: how a busy test machine schedules it does not show there.
    assert [flag.partition(",")[0] for flag in found if ": PP " in flag] == told


def test_a_server_whose_clock_is_wrong_is_told_with_how_much(tmp_path: Path) -> None:
    with standin(*SPEED, "--fault", "lie") as url:
        found = flags(Console(tmp_path), "--endpoint", url, "--pp", "1000", "--tg", "150", "--reps", "3")
    assert [re.sub(r"\d+(\.\d)?", "#", flag) for flag in found] == [
        "clocks-disagree-pp: TTFT is # ms (# %) more than the server's prompt time",
        "clocks-disagree-tg: tokens took # ms (# %) more than the server says",
    ]


@pytest.fixture
def local(tmp_path: Path) -> Console:
    """A machine whose nvidia-smi is a stand-in, also where NVIDIA's library is there."""
    console = Console(tmp_path)
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "libnvidia-ml.so.1").write_text("no library")
    console.environment |= {"PATH": f"{programs}:{os.environ['PATH']}", "LD_LIBRARY_PATH": str(programs)}
    (tmp_path / "fast.yml").write_text(
        f"model: {{path: /none.gguf}}\nengine: {{name: llama_cpp}}\nport: {free_port()}\nhealth: {{start_timeout: 9}}\n"
    )
    write_gguf(tmp_path / "model.gguf", tensors=[("a.weight", "f32", (32,))])
    nvidia_smi(programs, then=QUIET)
    return console


def served_here(console: Console, *effort: str) -> list[str]:
    """Return the flags of a run here, but those that a busy test machine itself calls for."""
    words = ("fast.yml", "--model", "model.gguf", "--pp", "64", *effort, "--server", server(*SPEED))
    return [flag for flag in flags(console, *words) if not flag.startswith(("clocks-disagree", "high-variance"))]


LONG, SHORT = ("--tg", "96", "--reps", "5", "--target", "0.0001"), ("--tg", "16", "--reps", "3")


@pytest.mark.parametrize(
    ("then", "told"),
    [
        (QUIET, []),
        (CAPPED, ["throttled: power cap"]),
        (LOST, [f"gpu-lost: GPU 0: {LOST}"]),
    ],
    ids=["nothing", "throttled", "lost"],
)
def test_a_gpu_of_this_machine_that_is_slowed_or_lost_is_told(local: Console, then: str, told: list[str]) -> None:
    nvidia_smi(local.folder / "programs", then=then)
    assert served_here(local, *LONG) == told


def test_a_driver_that_changed_on_this_machine_since_the_baseline_is_told(local: Console) -> None:
    assert served_here(local, *SHORT) == []
    assert local.run("baseline", "fast").returncode == 0
    (first,) = json.loads(local.run("results", "--json").stdout)["results"]
    nvidia_smi(local.folder / "programs", then=QUIET, driver="590.10")
    assert served_here(local, *SHORT) == [f"driver-changed: 580.95.05 in run {first['run']}, 590.10 now"]


SUDO = f"""#!{sys.executable}
import os, sys
words = [word.replace({LOCK!r}, os.environ["BOX"] + "/lock").replace({NOTE!r}, os.environ["BOX"] + "/note") for word in sys.argv[2:]]
os.execvp(words[0], words)
"""


PROFILE = BoxProfile(
    name="glm",
    hash="0123",
    file="/etc/containers/systemd/glm.container",
    file_sha256="ab",
    port=8000,
    gpus="all",
    conflicts=[],
    image="localhost/ik_llama",
    argv=[],
    models=[],
    start_timeout_s=9,
    stop_timeout_s=9,
    api_key_file="",
    verdict="",
    sha256={},
)


@dataclass
class Silent:
    """Nobody who wants to know."""

    def say(self, text: str) -> None:
        """Hear nothing."""

    def sample(self, run: Run, sample: Sample) -> None:
        """See nothing."""


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[str, ...]]:
    """Measure a stand-in server of a box that is this machine, and return the flags of its run."""
    for name, script in (("sudo", SUDO), ("systemctl", "#!/bin/sh\n"), ("journalctl", "#!/bin/sh\nexec sleep 60\n")):
        install(tmp_path, name, script)
    monkeypatch.setenv("BOX", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def run(**planted: Any) -> tuple[str, ...]:
        nvidia_smi(tmp_path, **planted)
        connection = BoxConnection("box", {"ansible_connection": "local"})
        with (
            Store.open(str(tmp_path / "r.db")) as store,
            connection,
            BoxWatch(connection, "a test") as watch,
            standin(*SPEED) as url,
            Endpoint(url) as endpoint,
        ):
            watch.follow(PROFILE.name)
            watch.settle(2)
            watch.take()
            telemetry = RunTelemetry(watch, PROFILE)
            workload = Workload("w", 64, 64, min_reps=6, max_reps=6, target=0.0001)
            (run_id,) = bench(
                store, endpoint, [workload], Subject(), batch="b", watcher=Silent(), telemetry=telemetry, gpus=telemetry
            )
            return store.run(run_id).flags  # of the run, not of its samples

    return run


def test_a_box_that_nothing_disturbs_has_no_flags(measured: Callable[..., tuple[str, ...]]) -> None:
    assert measured(then=QUIET) == ()


def test_a_box_whose_gpu_is_slowed_is_told(measured: Callable[..., tuple[str, ...]]) -> None:
    assert measured(then=CAPPED) == ("throttled: power cap",)


def test_a_box_whose_gpu_is_lost_is_told_with_what_nvidia_smi_says(measured: Callable[..., tuple[str, ...]]) -> None:
    assert measured(then=LOST) == (f"gpu-lost: GPU 0: {LOST}",)


def test_a_stranger_on_a_gpu_of_a_box_is_told(measured: Callable[..., tuple[str, ...]]) -> None:
    (flag,) = measured(then=QUIET, apps=f"{UUID}, 1, /usr/bin/trainer, 400")
    assert flag.startswith("shared-box: trainer (pid 1")
    assert flag.endswith(") holds memory of a GPU")

"""A box whose engine has a history: commits that build in a second to a server of known speed, or that don't."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2e.operator import Operator
from e2e.workshop import WORKSHOP, bases
from gpubox.tiny_model import make_tiny_model

if TYPE_CHECKING:
    from e2e.git_mirror import GitMirror
    from lab.box import Box
    from lab.lab import Lab

HERE = Path(__file__).parent
PROFILE = """
model: {path: /srv/models/tiny.gguf}
gpus: [0]
server: {ctx_size: 2048}
extra_args: ["--override-kv", "a$b=%c"]
health: {start_timeout: 30, stop_timeout: 1}
"""
CDI = {
    "cdiVersion": "0.5.0",
    "kind": "nvidia.com/gpu",
    "devices": [{"name": name, "containerEdits": {"env": ["GPU=0"]}} for name in ("0", "all")],
}
_CMAKE = """\
cmake_minimum_required(VERSION 3.18)
project(small C)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
add_executable(llama-server server.c)
"""
# An image gets nothing but the program, so that carries the stand-in, and hands it to Python as an open file.
_SERVER = """\
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
static const char standin[] = {BYTES};
int main(int argc, char **argv) {
    char path[32], *words[argc + 16];
    int n = 0, file = memfd_create("standin", 0);
    if (write(file, standin, sizeof standin) != sizeof standin) return 9;
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    words[n++] = "python3"; words[n++] = "-ISB"; words[n++] = path;
    words[n++] = "--engine"; words[n++] = "ik_llama"; words[n++] = "--pp"; words[n++] = "4000";
    words[n++] = "--tg"; words[n++] = "SPEED";
    if (FAULT && argc > 4) { words[n++] = "--fault"; words[n++] = FAULT; }
    for (int i = 1; i < argc; i++) words[n++] = argv[i];
    words[n] = NULL;
    execv("/usr/bin/python3", words);
    return 8;
}
"""


def history(mirror: GitMirror, speeds: list[int | str]) -> list[str]:
    """Commit engines of known speed and return their commits.

    Args:
        mirror: where.
        speeds: TG of each, oldest first, tokens per second; or one of the stand-in's faults, or `build`.
    """
    standin = (HERE.parent / "standin" / "llama_standin.py").read_bytes()
    commits = []
    for number, speed in enumerate(speeds):
        fault = f'"{speed}"' if isinstance(speed, str) else "NULL"
        source = _SERVER.replace("BYTES", ",".join(map(str, standin)))
        source = source.replace("SPEED", "100" if isinstance(speed, str) else str(speed)).replace("FAULT", fault)
        (mirror.folder / "CMakeLists.txt").write_text(_CMAKE)
        (mirror.folder / "server.c").write_text("#error no such luck\n" if speed == "build" else source)
        commits.append(mirror.commit(f"Step {number}"))
    return commits


class BisectingBox:
    """The box, where `other` serves and `glm` is deployed, and an operator who bisects `glm`.

    Args:
        lab: where the box is.
        folder: for the operator's inventory and results.
        mirror: of the engine, below a folder that `git_url` serves.
        commits: its history, oldest first.
        git_url: as the box sees it.
        profile: what both serve.
        image: further variables of the role ik_llama_image.
    """

    def __init__(
        self,
        lab: Lab,
        folder: Path,
        mirror: GitMirror,
        commits: list[str],
        git_url: str,
        *,
        profile: str = PROFILE,
        **image: object,
    ) -> None:
        self.folder = folder
        self.mirror = mirror
        self.commits = commits
        self.box: Box = lab.box(WORKSHOP)
        self.db = str(folder / "results.db")
        self.operator = Operator(folder, self.box)
        common = {"variant": "cpu", "native": False, "base_registry": "127.0.0.1:5000", "jobs": 2}
        image |= common | bases(self.box) | {"source": git_url + self.mirror.name, "commit": self.commits[0]}
        self.operator.variables = {f"ik_llama_image_{name}": value for name, value in image.items()}
        self._profile = profile

    def prepare(self) -> None:
        """Build the first commit's image and let `other` serve."""
        box = self.box
        (self.folder / "cdi.json").write_text(json.dumps(CDI))
        box.run("mkdir -p /srv/models /etc/cdi")
        box.put(self.folder / "cdi.json", "/etc/cdi/nvidia.json")
        box.put(HERE / "measured_smi.py", "/root/measured_smi.py")
        box.put(make_tiny_model(self.folder / "tiny.gguf"), "/srv/models/tiny.gguf")
        box.run("install -m 755 /root/measured_smi.py /usr/local/bin/nvidia-smi")
        for name in ("glm", "other"):
            self.operator.profile(name, self._profile)
        self.operator.declare(["glm", "other"], ["other"])
        self.operator.play("image.yml")
        self.operator.play("profiles.yml", "-e", "model_profiles_wait=true")

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start `gpubox`, as at a terminal."""
        return subprocess.Popen(
            [Path(sys.executable).with_name("gpubox"), *words, "--host", self.box.name],
            env={
                **os.environ,
                "GPUBOX_INVENTORY": str(self.folder),
                "XDG_STATE_HOME": str(self.folder / "state"),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_as_from_a_terminal,  # noqa: PLW1509  # a test has no other thread that could hold a lock
        )

    def bisect(self, *words: str) -> subprocess.Popen[str]:
        """Start `gpubox bench bisect` from the first commit to the last."""
        ends = ("--good", self.commits[0], "--bad", "main", "--source", str(self.mirror.folder), "--profile", "glm")
        effort = ("--pp", "64", "--tg", "32", "--reps", "5", "--threshold", "10", "--db", self.db)
        return self.start("bench", "bisect", *ends, *effort, *words)

    def await_line(self, process: subprocess.Popen[str], pattern: str) -> str:
        """Read what is told until a line has a pattern; return what was read."""
        assert process.stderr is not None
        read = ""
        for line in process.stderr:
            read += line
            if re.search(pattern, line):
                return read
        raise AssertionError(read)

    def deployed(self) -> list[str]:
        """Return what tells whether something deployed has changed: the image's record, the units and the services' starts."""
        files = "/etc/gpubox/image.json /etc/containers/systemd/*.container /var/lib/gpubox/profiles.json"
        return self.box.run(f"sha256sum {files}").stdout.splitlines()

    def left_over(self) -> str:
        """Return what is left of a trial: its unit, its container, a note; empty for nothing."""
        look = "ls /run/systemd/system | grep bisect; podman ps --all --quiet --filter name=bisect; cat /var/lib/gpubox/bench.json"
        return self.box.run(look, check=False).stdout

    def answer(self, process: subprocess.Popen[str], limit_s: float = 300.0) -> tuple[int, dict[str, Any], str]:
        """Wait for a bisection's end; return its exit status, its JSON and what it told."""
        printed, told = process.communicate(timeout=limit_s)
        return process.returncode, json.loads(printed or "{}"), told


def _as_from_a_terminal() -> None:
    """Listen to Ctrl-C, also where the tests themselves run in the background and ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)

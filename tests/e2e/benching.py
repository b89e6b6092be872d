"""A box with profiles to measure: stand-in engines of known speed, and a GPU of known power."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2e.operator import Operator
from gpubox.tiny_model import make_tiny_model
from lab.lab import PODMAN
from lab.release import TRIXIE

if TYPE_CHECKING:
    from lab.box import Box
    from lab.lab import Lab

HERE = Path(__file__).parent
CONTAINERFILE = """
FROM localhost/base:e2e
COPY llama_standin.py /opt/llama_standin.py
COPY {tools} /usr/local/bin/
USER 65534
ENTRYPOINT ["/usr/bin/python3", "-ISB", "/opt/llama_standin.py", "--pp", "{pp}", "--tg", "{tg}"]
"""
PROFILE = """
model: {{path: /srv/models/tiny.gguf}}
engine: {{name: llama_cpp, image: localhost/{name}:e2e}}
gpus: [0]
server: {{ctx_size: 2048}}
health: {{start_timeout: 30, stop_timeout: 1}}
security: {security}
"""
# As the engine's own prints it, where it is given the whole text and the model.
PERPLEXITY = """#!/bin/sh
[ "$(wc -c)" -gt 9000 ] || exit 3
case " $* " in *" --model /models/tiny.gguf"*" --ctx-size 256 --batch-size 256 --file /dev/stdin "*) ;; *) exit 4 ;; esac
printf '[1]4.0000,'
sleep 2
[ ! -e /models/slow ] || sleep 100
printf '[2]5.0000,[3]4.5000,\\n'
"""
# two wants a key.
SECURITY = {"one": "{}", "two": "{api_key_file: /etc/gpubox/two.key}"}
# PP and TG, tokens per second.
SPEEDS = {"one": (4000, 200), "two": (2000, 100)}
CDI = {
    "cdiVersion": "0.5.0",
    "kind": "nvidia.com/gpu",
    "devices": [{"name": "0", "containerEdits": {"env": ["GPU=0"]}}],
}


class BenchingBox:
    """The box and an operator who measures it; `one` serves.

    Args:
        lab: where the box is.
        folder: for the operator's inventory and results.
    """

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.box: Box = lab.box(PODMAN)
        self.folder = folder
        self.db = str(folder / "results.db")
        self.operator = Operator(folder, self.box)
        self._prepare(lab)

    def _prepare(self, lab: Lab) -> None:
        box = self.box
        box.put(lab.image_tar(TRIXIE), "/root/base.tar")
        box.put(HERE.parent / "standin" / "llama_standin.py", "/root/llama_standin.py")
        box.put(HERE / "measured_smi.py", "/root/measured_smi.py")
        (self.folder / "llama-perplexity").write_text(PERPLEXITY)
        box.put(self.folder / "llama-perplexity", "/root/llama-perplexity")
        box.run("chmod 755 /root/llama-perplexity")
        (self.folder / "cdi.json").write_text(json.dumps(CDI))
        box.run("mkdir -p /srv/models /etc/cdi /etc/gpubox && echo sesame > /etc/gpubox/two.key")
        box.put(self.folder / "cdi.json", "/etc/cdi/nvidia.json")
        box.put(make_tiny_model(self.folder / "tiny.gguf"), "/srv/models/tiny.gguf")
        box.run(
            "install -m 755 /root/measured_smi.py /usr/local/bin/nvidia-smi"
            " && podman import -q /root/base.tar localhost/base:e2e && rm /root/base.tar"
        )
        for name, (pp, tg) in SPEEDS.items():
            text = CONTAINERFILE.format(pp=pp, tg=tg, tools="llama-perplexity" if name == "one" else "llama_standin.py")
            (self.folder / "Containerfile").write_text(text)
            box.put(self.folder / "Containerfile", "/root/Containerfile")
            box.run(f"cd /root && podman build -q -t localhost/{name}:e2e -f Containerfile .")
            self.operator.profile(name, PROFILE.format(name=name, security=SECURITY[name]))
        self.operator.variables = {"gpubox_image": "localhost/one:e2e"}
        self.operator.declare(list(SPEEDS), ["one"])
        self.operator.play("profiles.yml", "-e", "model_profiles_wait=true")

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start `gpubox bench` for the box, as at a terminal."""
        return subprocess.Popen(
            [Path(sys.executable).with_name("gpubox"), "bench", *words, "--host", self.box.name, "--db", self.db],
            env={**os.environ, "GPUBOX_INVENTORY": str(self.folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_as_from_a_terminal,  # noqa: PLW1509  # a test has no other thread that could hold a lock
        )

    def bench(self, *words: str) -> tuple[int, str, str]:
        """Run `gpubox bench` to its end; return its exit status and what it printed."""
        process = self.start(*words)
        printed, told = process.communicate(timeout=120)
        return process.returncode, printed, told

    def results(self) -> list[dict[str, Any]]:
        """Return every run that was recorded, newest first."""
        words = ["results", "--json", "--limit", "0", "--db", self.db]
        gpubox = Path(sys.executable).with_name("gpubox")
        done = subprocess.run([gpubox, *words], capture_output=True, text=True, check=True)
        found: list[dict[str, Any]] = json.loads(done.stdout)["results"]
        return found[::-1]

    def measured(self, batch: str) -> list[str]:
        """Return the profiles of the runs of a batch that ended well, oldest first."""
        return [one["profile"] for one in self.results()[::-1] if one["batch"] == batch and one["status"] == "done"]

    def note(self) -> str:
        """Return what is left on the box to be put back; empty for nothing."""
        return self.box.run("cat /var/lib/gpubox/bench.json", check=False).stdout

    def await_line(self, process: subprocess.Popen[str], pattern: str) -> str:
        """Read what a benchmark tells until a line has a pattern; return what was read."""
        assert process.stderr is not None
        read = ""
        for line in process.stderr:
            read += line
            if re.search(pattern, line):
                return read
        raise AssertionError(read)

    def kill_while_measuring(self, profile: str, *words: str) -> None:
        """Begin a benchmark and kill it -9 when a profile has been measured once."""
        process = self.start(*words)
        self.await_line(process, rf"^{profile}: pp\S+ +1 of")
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
        self.await_unlocked()

    def await_unlocked(self, limit_s: float = 30.0) -> None:
        """Wait until nobody measures the box."""
        end = time.monotonic() + limit_s
        while self.box.run("flock -n /run/gpubox/bench.lock true", check=False).status:
            assert time.monotonic() < end, "the box is still locked"
            time.sleep(0.2)


def _as_from_a_terminal() -> None:
    """Listen to Ctrl-C, also where the tests themselves run in the background and ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)

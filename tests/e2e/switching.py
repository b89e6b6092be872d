"""A box with profiles to switch between: stand-in engines that behave as told, and GPUs that exist for nvidia-smi alone."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2e.operator import Operator
from gpubox.tiny_model import make_tiny_model
from lab.errors import CommandError
from lab.lab import PODMAN
from lab.release import TRIXIE

if TYPE_CHECKING:
    from lab.box import Box
    from lab.lab import Lab

HERE = Path(__file__).parent
PROGRAM = "/usr/local/lib/gpubox/switch.pyz"
IMAGE = "localhost/engine:e2e"
# The container's process 1 is Python itself, as a real server's is the server.
CONTAINERFILE = """
FROM localhost/base:e2e
COPY stand_in_engine.py /opt/stand_in_engine.py
USER 65534
ENTRYPOINT ["/usr/bin/python3", "-ISB", "/opt/stand_in_engine.py"]
"""
PROFILE = """
model: {{path: /srv/models/{model}.gguf, sha256: {sha256}}}
engine: {{name: llama_cpp, image: localhost/{model}:e2e}}
gpus: [{gpu}]
port: {port}
server: {{ctx_size: 2048, n_gpu_layers: 99}}
health: {{start_timeout: {start_timeout}, stop_timeout: 3}}
"""
# one and two exclude each other, three serves beside either.
PROFILES = {"one": (0, 8000), "two": (0, 8000), "three": (1, 8001)}
CDI = {
    "cdiVersion": "0.5.0",
    "kind": "nvidia.com/gpu",
    "devices": [{"name": str(index), "containerEdits": {"env": [f"GPU={index}"]}} for index in (0, 1)],
}


class SwitchingBox:
    """The box, its operator, and what they do to each other.

    Args:
        lab: where the box is.
        folder: for the operator's inventory.
    """

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.box: Box = lab.box(PODMAN)
        box = self.box
        box.put(lab.image_tar(TRIXIE), "/root/base.tar")
        (folder / "Containerfile").write_text(CONTAINERFILE)
        for name in ("stand_in_engine.py", "stand_in_smi.py"):
            box.put(HERE / name, f"/root/{name}")
        box.put(folder / "Containerfile", "/root/Containerfile")
        (folder / "cdi.json").write_text(json.dumps(CDI))
        box.run("mkdir -p /srv/models /etc/cdi")
        box.put(folder / "cdi.json", "/etc/cdi/nvidia.json")
        box.run(
            "install -m 755 /root/stand_in_smi.py /usr/local/bin/nvidia-smi"
            " && podman import -q /root/base.tar localhost/base:e2e && rm /root/base.tar"
            f" && cd /root && podman build -q -t {IMAGE} -f Containerfile ."
            + "".join(f" && podman tag {IMAGE} localhost/{name}:e2e" for name in PROFILES)
        )
        tiny = make_tiny_model(folder / "tiny.gguf")
        for name in PROFILES:
            box.put(tiny, f"/srv/models/{name}.gguf")
        self.operator = Operator(folder, box)
        self.operator.variables = {"gpubox_image": IMAGE}
        sha256 = hashlib.sha256(tiny.read_bytes()).hexdigest()
        for name, (gpu, port) in PROFILES.items():
            text = PROFILE.format(model=name, sha256=sha256, gpu=gpu, port=port, start_timeout=30)
            self.operator.profile(name, text)
        self.operator.declare(list(PROFILES), ["one"])
        self.operator.play("profiles.yml", "-e", "model_profiles_wait=true")

    def reset(self) -> None:
        """Let `one` serve, alone, with engines that behave."""
        told = self.box.run("ls /srv/models; rm -f /srv/models/*.json /run/vram.json").stdout.split()
        # An engine behaves as it was told when it started.
        if "one.json" in told or list(self.state()["active"]) != ["one"] or self.answering() != ["one"]:
            self.box.run("systemctl stop one two three; rm -f /var/lib/gpubox/state.json")
            said = self.program("switch", "one", "--watch=0", "--prewarm=no")
            assert said["outcome"] == "switched", said

    def behave(self, profile: str, **behaviour: object) -> None:
        """Tell a profile's engine how to behave from its next start on."""
        self._write(f"/srv/models/{profile}.json", behaviour)

    def behave_now(self, profile: str, **behaviour: object) -> None:
        """Start a profile that serves anew, with a behaviour."""
        self.behave(profile, **behaviour)
        self.box.run(f"systemctl restart {profile}")
        self.await_answers([profile])

    def forget_model(self, profile: str) -> None:
        """Let the page cache of the box forget a profile's model."""
        os.sync()  # what is not written yet would stay, and a box's own sync writes nothing: its disk is volatile
        forget = "import os, sys; os.posix_fadvise(os.open(sys.argv[1], os.O_RDONLY), 0, 0, os.POSIX_FADV_DONTNEED)"
        self.box.run(["python3", "-ISc", forget, f"/srv/models/{profile}.gguf"])

    def vram(self, **told: object) -> None:
        """Tell nvidia-smi what to say."""
        self._write("/run/vram.json", told)

    def _write(self, path: str, value: object) -> None:
        self.box.run(f"cat > {path}", stdin=json.dumps(value).encode())

    def gpubox(self, *words: str) -> subprocess.Popen[str]:
        """Start `gpubox`, as the operator does."""
        return subprocess.Popen(
            [Path(sys.executable).with_name("gpubox"), *words],
            env={**os.environ, "GPUBOX_INVENTORY": str(self.operator.folder)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip  # one call

    def run(self, *words: str) -> tuple[int, str]:
        """Run `gpubox` to its end; return its exit status and what it printed."""
        process = self.gpubox(*words)
        printed, _ = process.communicate(timeout=120)
        return process.returncode, printed

    def switch(self, profile: str, *options: str) -> tuple[int, str]:
        """Run `gpubox switch` on the box to its end; return its exit status and what it printed."""
        return self.run("switch", profile, "--host", self.box.name, *options)

    def program(self, *words: str) -> dict[str, Any]:
        """Run the box's own program and return the last thing that it says."""
        said = self.box.run(["python3", "-ISB", PROGRAM, *words], check=False)
        value: dict[str, Any] = json.loads((said.stdout or said.stderr).splitlines()[-1])
        return value

    def state(self) -> dict[str, Any]:
        """Return the box's state file."""
        value: dict[str, Any] = json.loads(self.box.run("cat /var/lib/gpubox/state.json").stdout)
        return value

    def last_id(self) -> str:
        """Return the id of the last switch."""
        switch = self.state()["switch"]
        return str(switch["id"]) if switch else "none"

    def await_step(self, step: str, last: str, limit_s: float = 30.0) -> None:
        """Wait until the switch after `last` is in a step."""
        file = "/var/lib/gpubox/state.json"
        look = f"""until grep -q '"step": "{step}"' {file} && ! grep -q '"id": "{last}"' {file}; do sleep 0.02; done"""
        self.box.run(look, limit_s=limit_s)

    def await_end(self, limit_s: float = 90.0) -> dict[str, Any]:
        """Wait until the last switch has ended; return it."""
        end = time.monotonic() + limit_s
        while True:
            try:
                last = self.state()["switch"]
                if last and last["outcome"]:
                    switch: dict[str, Any] = last
                    return switch
            except CommandError:  # the box is on its way down or up
                pass
            assert time.monotonic() < end, "the switch did not end"
            time.sleep(0.1)

    def answering(self) -> list[str]:
        """Return the profiles whose server completes a prompt, by the name that it answers with."""
        ask = "curl -s -m 3 -d '{}' http://127.0.0.1:%d/completion; echo"
        said = self.box.run("; ".join(ask % port for port in (8000, 8001))).stdout.splitlines()
        return sorted(json.loads(line)["model"] for line in said if line.startswith('{"content"'))

    def await_answers(self, profiles: list[str], limit_s: float = 30.0) -> None:
        """Wait until these profiles answer, and no other."""
        end = time.monotonic() + limit_s
        while (answering := self.answering()) != profiles:
            assert time.monotonic() < end, f"{answering} answer"
            time.sleep(0.1)

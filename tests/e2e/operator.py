"""An operator with boxes: an inventory, playbooks, and images that a box can run without a registry."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from lab.release import TRIXIE

if TYPE_CHECKING:
    from lab.box import Box
    from lab.lab import Lab

ROOT = Path(__file__).parents[2]
LLAMA = """
FROM localhost/base:e2e
RUN apt-get update -qq && apt-get install -qq -y --no-install-recommends python3-venv libgomp1 curl
RUN python3 -m venv /opt/llama && /opt/llama/bin/pip install -q xllamacpp==2026.10.11549
COPY gpubox /opt/gpubox/gpubox
ENV PYTHONPATH=/opt/gpubox
USER 65534
ENTRYPOINT ["/opt/llama/bin/python", "-m", "gpubox.llama_launcher"]
"""
PRINTS_ITS_ARGV = """
FROM localhost/base:e2e
USER 65534
ENTRYPOINT ["/usr/bin/python3", "-uc", "import json, sys, time; print('ARGV', json.dumps(sys.argv[1:])); time.sleep(999)"]
"""


def build_images(lab: Lab, box: Box, folder: Path) -> None:
    """Build `localhost/llama:e2e` (a real llama.cpp server) and `localhost/argv:e2e` (prints its argv) on a box.

    Args:
        lab: whose base image they start from.
        box: with Podman.
        folder: for the container files.
    """
    box.put(lab.image_tar(TRIXIE), "/root/base.tar")
    box.put(ROOT / "scripts" / "gpubox", "/root/gpubox")
    box.run("podman import -q /root/base.tar localhost/base:e2e && rm /root/base.tar")
    for tag, text in (("llama", LLAMA), ("argv", PRINTS_ITS_ARGV)):
        (folder / tag).write_text(text)
        box.put(folder / tag, f"/root/{tag}")
        box.run(f"cd /root && podman build -q -t localhost/{tag}:e2e -f {tag} .", limit_s=300)


def messages(output: str) -> dict[str, str]:
    """Return what Ansible's output says of each host that failed."""
    blocks = re.findall(r"(?m)^fatal: \[([^\]]+)\]: [A-Z]+! => ?\n((?:    .*\n|\n)+)", output)
    return {host: yaml.safe_load(block)["msg"] for host, block in blocks}


class Operator:
    """Somebody with an inventory of a box, or several that are alike, who runs playbooks against it.

    Args:
        folder: for the inventory.
        box: the box.
        others: further ones.
    """

    def __init__(self, folder: Path, box: Box, *others: Box) -> None:
        self.folder = folder
        self.box = box
        self.boxes = (box, *others)
        self.variables: dict[str, Any] = {"gpubox_image": "localhost/llama:e2e"}
        (folder / "profiles").mkdir()

    def profile(self, name: str, text: str) -> Path:
        """Write a profile and return its file."""
        path = self.folder / "profiles" / f"{name}.yml"
        path.write_text(text)
        return path

    def declare(self, profiles: list[str], active: list[str]) -> None:
        """Write the inventory."""
        declared = {"gpubox_profiles": profiles, "gpubox_active": active}
        hosts = {
            box.name: box.ansible_inventory()["all"]["hosts"][box.name] | self.variables | declared
            for box in self.boxes
        }
        inventory = {"gpu_boxes": {"hosts": hosts}}
        (self.folder / "boxes.yml").write_text(json.dumps(inventory))

    def play(self, playbook: str, *options: str, fails: bool = False) -> str:
        """Run a playbook and return what it prints."""
        done = subprocess.run(
            [Path(sys.executable).with_name("ansible-playbook"), "-i", "boxes.yml", ROOT / "playbooks" / playbook, *options],
            cwd=self.folder,
            env={**os.environ, "GPUBOX_INVENTORY": str(self.folder), "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip  # the command on one line
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    def changes(self, playbook: str, *options: str) -> int:
        """Run a playbook and return how many tasks changed something."""
        found = re.search(r"changed=(\d+)", self.play(playbook, *options))
        assert found
        return int(found[1])

    def serving(self) -> list[str]:
        """Return the profiles whose service is active."""
        names = sorted(path.stem for path in (self.folder / "profiles").glob("*.yml"))
        states = self.box.run(["systemctl", "is-active", *names], check=False).stdout.split()
        return [name for name, state in zip(names, states, strict=True) if state == "active"]

    def model_that_answers(self) -> str:
        """Ask the server on the box, through an SSH tunnel, for a completion, and return the alias that answered."""
        with self.box.tunnel(8000) as port:
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/completion",
                json.dumps({"prompt": "1 2 3", "n_predict": 2}).encode(),
                {"Content-Type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=30) as answer:
                name: str = json.load(answer)["model"]
                return name

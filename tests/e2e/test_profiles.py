"""Profiles on a real box: deployed over SSH, served by a real llama.cpp under systemd, switched, rebooted, removed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from argvs import REALISTIC
from gpubox.arguments import check_argument
from gpubox.argv import server_argv
from gpubox.errors import ArgumentError
from gpubox.profile_files import load_profile
from gpubox.tiny_model import make_tiny_model
from lab.lab import PODMAN
from lab.release import TRIXIE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.box import Box
    from lab.lab import Lab

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

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
PROFILE = """
model: {{path: /srv/models/tiny.gguf}}
engine: {{name: llama_cpp}}
gpus: none
server: {{ctx_size: {ctx_size}, parallel: 1, threads: 1}}
health: {{start_timeout: 60, stop_timeout: 10}}
"""


class Operator:
    """Somebody with an inventory of one box who runs playbooks against it.

    Args:
        folder: for the inventory.
        box: the box.
    """

    def __init__(self, folder: Path, box: Box) -> None:
        self.folder = folder
        self.box = box
        self.variables: dict[str, Any] = {"gpubox_image": "localhost/llama:e2e"}
        (folder / "profiles").mkdir()

    def declare(self, profiles: list[str], active: list[str]) -> None:
        """Write the inventory."""
        host = self.box.ansible_inventory()["all"]["hosts"][self.box.name]
        declared = {"gpubox_profiles": profiles, "gpubox_active": active}
        inventory = {"gpu_boxes": {"hosts": {self.box.name: host | self.variables | declared}}}
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


def carried(word: str) -> bool:
    """Whether a profile may hold the word and a Quadlet can carry it; what is refused is tested elsewhere."""
    try:
        check_argument("words", word, "quadlet")
    except ArgumentError:
        return False
    return word not in {"--host", "--port", "-m", "--model"}


@pytest.fixture(scope="module")
def operator(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    folder = tmp_path_factory.mktemp("operator")
    model = make_tiny_model(folder / "tiny.gguf")
    box = lab.box(PODMAN)
    box.put(lab.image_tar(TRIXIE), "/root/base.tar")
    box.put(ROOT / "scripts" / "gpubox", "/root/gpubox")
    box.run(
        "podman import -q /root/base.tar localhost/base:e2e && rm /root/base.tar && mkdir -p /srv/models",
        user="root",
    )
    box.put(model, "/srv/models/tiny.gguf")
    for tag, text in (("llama", LLAMA), ("argv", PRINTS_ITS_ARGV)):
        (folder / tag).write_text(text)
        box.put(folder / tag, f"/root/{tag}")
        box.run(f"cd /root && podman build -q -t localhost/{tag}:e2e -f {tag} .", user="root", limit_s=300)
    made = Operator(folder, box)
    for name, ctx_size in (("one", 2048), ("two", 4096)):
        (folder / "profiles" / f"{name}.yml").write_text(PROFILE.format(ctx_size=ctx_size))
    yield made
    lab.remove(box)


def test_the_active_profile_serves_and_a_second_run_changes_nothing(operator: Operator) -> None:
    operator.declare(["one", "two"], ["one"])
    assert "+Image=localhost/llama:e2e" in operator.play("profiles.yml", "--check", "--diff")
    assert operator.serving() == []
    assert operator.changes("profiles.yml", "-e", "model_profiles_wait=true") > 0
    assert (operator.serving(), operator.model_that_answers()) == (["one"], "one")
    assert operator.changes("profiles.yml") == 0
    assert operator.changes("profiles.yml", "--check", "--diff") == 0


def test_ansible_writes_the_bytes_that_render_prints(operator: Operator) -> None:
    environment = {**os.environ, "GPUBOX_INVENTORY": str(operator.folder)}
    gpubox = Path(sys.executable).with_name("gpubox")
    rendered = subprocess.run(
        [gpubox, "render", "one", "--host", operator.box.name, "--start-at-boot", "--json"],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip  # one call
    on_box = operator.box.run("cat /etc/containers/systemd/one.container", user="root").stdout
    assert (
        on_box.replace("Conflicts=two.service\n", "").replace(" two.service", "") == json.loads(rendered.stdout)["text"]
    )


def test_a_switch_puts_the_other_profile_in_place_and_outlives_a_reboot(operator: Operator) -> None:
    operator.play("switch.yml", "-e", "model_profiles_switch_to=two")
    assert (operator.serving(), operator.model_that_answers()) == (["two"], "two")
    operator.box.reboot()
    operator.play("profiles.yml", "-e", "model_profiles_wait=true")
    assert (operator.serving(), operator.model_that_answers()) == (["two"], "two")
    assert operator.changes("profiles.yml") == 0


def test_a_switch_to_what_is_not_listed_is_refused(operator: Operator) -> None:
    message = operator.play("switch.yml", "-e", "model_profiles_switch_to=three", fails=True)
    assert f"{operator.box.name}: the profile three is none of this box; list it in gpubox_profiles" in message
    assert operator.serving() == ["two"]


def test_a_faulty_profile_stops_the_run_before_anything_changes(operator: Operator) -> None:
    path = operator.folder / "profiles" / "bad.yml"
    path.write_text("extends: one\nserver: {ctx_sise: 1}\n")
    operator.declare(["one", "two", "bad"], ["one"])
    message = operator.play("profiles.yml", fails=True)
    assert "gpubox: profiles/bad.yml: server.ctx_sise: unknown field; did you mean ctx_size?" in message
    path.unlink()
    assert operator.serving() == ["two"]


def test_every_argument_reaches_the_container_unchanged(operator: Operator) -> None:
    document = {
        "model": {"path": "/srv/models/tiny.gguf"},
        "engine": {"name": "llama_cpp", "image": "localhost/argv:e2e"},
        "gpus": "none",
        "port": 8001,
        # As Ansible hands them on: nothing may be taken for a template, a specifier or a variable.
        "extra_args": ["{{ 1 + 1 }}", "{% raw %}", "%i", "$HOME ${PATH} $$", *filter(carried, REALISTIC)],
    }
    (operator.folder / "profiles" / "words.yml").write_text(yaml.safe_dump(document, allow_unicode=True))
    operator.declare(["one", "two", "words"], ["one"])
    operator.play("profiles.yml")
    operator.box.run("systemctl start words", user="root")
    printed = operator.box.run("journalctl -u words -o cat --no-pager | grep -m1 ^ARGV", user="root").stdout
    profile = load_profile(str(operator.folder / "profiles" / "words.yml")).profile
    expected = server_argv(profile, name="words", model="/models/tiny.gguf", host="0.0.0.0", port=8000)
    assert json.loads(printed.removeprefix("ARGV ")) == list(expected)


def test_a_profile_that_is_no_longer_listed_is_removed(operator: Operator) -> None:
    operator.declare(["two"], ["two"])
    operator.play("profiles.yml")
    units = operator.box.run("cd /etc/containers/systemd && ls *.container", user="root").stdout.split()
    assert (units, operator.serving()) == (["two.container"], ["two"])


def test_absent_removes_everything(operator: Operator) -> None:
    operator.play("profiles.yml", "-e", "model_profiles_state=absent")
    assert operator.box.run("find /etc/containers/systemd /var/lib/gpubox -type f", user="root").stdout == ""
    assert operator.serving() == []
    assert operator.changes("profiles.yml", "-e", "model_profiles_state=absent") == 0

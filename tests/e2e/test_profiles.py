"""Profiles on a real box: deployed over SSH, served by a real llama.cpp under systemd, switched, rebooted, removed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from argvs import REALISTIC
from e2e.operator import Operator, build_images
from gpubox.arguments import check_argument
from gpubox.argv import server_argv
from gpubox.errors import ArgumentError
from gpubox.profile_files import load_profile
from gpubox.tiny_model import make_tiny_model
from lab.lab import PODMAN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.lab import Lab

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

PROFILE = """
model: {{path: /srv/models/tiny.gguf}}
engine: {{name: llama_cpp}}
gpus: none
server: {{ctx_size: {ctx_size}, parallel: 1, threads: 1}}
health: {{start_timeout: 60, stop_timeout: 10}}
"""


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
    box = lab.box(PODMAN)
    build_images(lab, box, folder)
    box.run("mkdir -p /srv/models")
    box.put(make_tiny_model(folder / "tiny.gguf"), "/srv/models/tiny.gguf")
    made = Operator(folder, box)
    for name, ctx_size in (("one", 2048), ("two", 4096)):
        made.profile(name, PROFILE.format(ctx_size=ctx_size))
    yield made
    lab.remove(box)


def test_the_active_profile_serves_and_a_second_run_changes_nothing(operator: Operator) -> None:
    operator.declare(["one", "two"], ["one"])
    assert "+Image=localhost/llama:e2e" in operator.play("profiles.yml", "--check", "--diff")
    assert operator.serving() == []
    assert operator.changes("profiles.yml", "-e", "model_profiles_wait=true") > 0
    assert (operator.serving(), operator.model_that_answers()) == (["one"], "one")
    assert operator.box.run("ls /var/lib/systemd/linger").stdout.split() == [operator.box.user]
    assert operator.changes("profiles.yml") == 0
    assert operator.changes("profiles.yml", "--check", "--diff") == 0


def test_ansible_writes_the_bytes_that_render_prints(operator: Operator) -> None:
    environment = {**os.environ, "GPUBOX_INVENTORY": str(operator.folder)}
    gpubox = Path(sys.executable).with_name("gpubox")
    rendered = subprocess.run(
        [gpubox, "render", "one", "--host", operator.box.name, "--json"],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip  # one call
    on_box = operator.box.run("cat /etc/containers/systemd/one.container", user="root").stdout
    assert (
        on_box.replace("Conflicts=two.service\n", "").replace("Before=two.service\n", "")
        == json.loads(rendered.stdout)["text"]
    )


def test_a_switch_puts_the_other_profile_in_place_and_outlives_a_reboot(operator: Operator) -> None:
    assert "+Image" not in operator.play("switch.yml", "--check", "--diff", "-e", "model_profiles_switch_to=two")
    assert operator.serving() == ["one"]
    operator.play("switch.yml", "-e", "model_profiles_switch_to=two")
    assert (operator.serving(), operator.model_that_answers()) == (["two"], "two")
    operator.box.reboot()
    assert operator.serving() == ["two"]
    operator.play("profiles.yml", "-e", "model_profiles_wait=true")
    assert (operator.serving(), operator.model_that_answers()) == (["two"], "two")
    assert operator.changes("profiles.yml") == 0


def test_a_switch_to_what_is_not_listed_is_refused(operator: Operator) -> None:
    message = operator.play("switch.yml", "-e", "model_profiles_switch_to=three", fails=True)
    assert f"{operator.box.name}: the profile three is none of this box; list it in gpubox_profiles" in message
    assert operator.serving() == ["two"]


def test_a_faulty_profile_stops_the_run_before_anything_changes(operator: Operator) -> None:
    path = operator.profile("bad", "extends: one\nserver: {ctx_sise: 1}\n")
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
        "health": {"stop_timeout": 2},
        # As Ansible hands them on: nothing may be taken for a template, a specifier or a variable.
        "extra_args": ["{{ 1 + 1 }}", "{% raw %}", "%i", "$HOME ${PATH} $$", *filter(carried, REALISTIC)],
    }
    path = operator.profile("words", yaml.safe_dump(document, allow_unicode=True))
    operator.declare(["one", "two", "words"], ["one"])
    operator.play("profiles.yml")
    operator.box.run("systemctl start words", user="root")
    printed = operator.box.run("journalctl -u words -o cat --no-pager | grep -m1 ^ARGV", user="root").stdout
    profile = load_profile(str(path)).profile
    expected = server_argv(profile, name="words", model="/models/tiny.gguf", host="0.0.0.0", port=8000)
    assert json.loads(printed.removeprefix("ARGV ")) == list(expected)


def test_a_profile_that_is_no_longer_listed_is_removed(operator: Operator) -> None:
    operator.declare(["two"], ["two"])
    operator.play("profiles.yml")
    units = operator.box.run("cd /etc/containers/systemd && ls *.container", user="root").stdout.split()
    assert (units, operator.serving()) == (["two.container"], ["two"])
    beside = operator.box.run("cd /etc/systemd/system && ls -d one.* two.* words.*", check=False, user="root").stdout
    assert beside.split() == ["two.service.d"]


def test_absent_removes_everything(operator: Operator) -> None:
    operator.play("profiles.yml", "-e", "model_profiles_state=absent")
    assert (
        operator.box.run(
            "find /etc/containers/systemd /var/lib/gpubox /usr/local/lib/gpubox -type f 2>/dev/null; cd /etc/systemd/system"
            " && find . -name 'gpubox*' -o -name 'two.*'; ls /var/lib/systemd/linger",
            check=False,
            user="root",
        ).stdout
        == ""
    )
    assert operator.serving() == []
    assert operator.changes("profiles.yml", "-e", "model_profiles_state=absent") == 0

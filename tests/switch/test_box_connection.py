"""How a box is reached: the inventory's words before the operator's own ssh_config, and what is said when it can't be."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from gpubox.box import host_variables
from gpubox.box_connection import BoxConnection, ssh_settings
from gpubox.errors import BoxError, GpuboxError

if TYPE_CHECKING:
    from pathlib import Path

INVENTORY = """
gpu_boxes:
  hosts:
    glm: {ansible_host: 10.0.0.5}
    qwen: {}
  vars: {ansible_user: ann}
spare: {}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with an ssh_config."""
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / ".ssh"
    folder.mkdir()
    (folder / "config").write_text("Host glm\n  User bob\n  Port 2222\n  ProxyJump gate\n")
    return tmp_path


@pytest.mark.usefixtures("home")
def test_the_operators_ssh_config_counts() -> None:
    found = ssh_settings({}).lookup("glm")
    assert (found["user"], found["port"], found["proxyjump"]) == ("bob", "2222", "gate")


@pytest.mark.usefixtures("home")
def test_options_of_the_inventory_come_before_it() -> None:
    words = "-o User=ann -o 'Port 22' -i /keys/id -J other"
    found = ssh_settings({"ansible_ssh_common_args": words}).lookup("glm")
    assert {name: found[name] for name in ("user", "port", "identityfile", "proxyjump")} == {
        "user": "ann",
        "port": "22",
        "identityfile": ["/keys/id"],
        "proxyjump": "other",
    }


def test_another_ssh_config_takes_the_place_of_the_operators(home: Path) -> None:
    (home / "other").write_text("Host glm\n  User eve\n")
    found = ssh_settings({"ansible_ssh_extra_args": f"-F {home / 'other'}"}).lookup("glm")
    assert (found["user"], "port" in found) == ("eve", False)


@pytest.mark.usefixtures("home")
def test_a_box_that_refuses_connections_is_told_with_what_to_try() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    connection = BoxConnection("glm", {"ansible_host": "127.0.0.1", "ansible_port": port, "ansible_user": "ann"})
    with pytest.raises(BoxError) as caught:
        list(connection.lines(["true"]))
    assert str(caught.value) == (
        f"glm: can't be reached: [Errno None] Unable to connect to port {port} on 127.0.0.1; "
        "does `ssh 127.0.0.1` work? ansible_host and the like are in the inventory"
    )


def test_hosts_and_groups_are_read_once_each_in_the_order_asked_for(tmp_path: Path) -> None:
    (tmp_path / "boxes.yml").write_text(INVENTORY)
    found = host_variables(["qwen", "gpu_boxes"], tmp_path)
    assert [(name, found[name].get("ansible_host"), found[name]["ansible_user"]) for name in found] == [
        ("qwen", None, "ann"),
        ("glm", "10.0.0.5", "ann"),
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("qwn", "qwn: no such host in {}; did you mean qwen?"),
        ("nas", "nas: no such host in {}; known are: glm, qwen"),
        ("spare", "spare: the group has no host in {}; add one"),
    ],
)
def test_what_is_not_in_the_inventory_is_told(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "boxes.yml").write_text(INVENTORY)
    with pytest.raises(GpuboxError) as caught:
        host_variables([name], tmp_path)
    assert str(caught.value) == message.format(tmp_path)

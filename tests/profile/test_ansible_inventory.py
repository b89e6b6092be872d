"""An inventory is read by Ansible once, and again whenever anything changes that it comes from."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from gpubox.ansible_inventory import Hosts, read_hosts

if TYPE_CHECKING:
    from pathlib import Path

BOXES = "gpu_boxes: {hosts: {glm: {ansible_port: 22, gpubox_profiles: [one]}}}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An inventory, and a cache of its own beside it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    inventory = tmp_path / "inventory"
    inventory.mkdir()
    (inventory / "boxes.yml").write_text(BOXES)
    return inventory


def kept(folder: Path) -> list[Path]:
    return list(folder.parent.glob("cache/gpubox/inventories/*"))


def read_without_ansible(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Hosts | None:
    """Return what is read where Ansible can't be imported; None where it would be needed."""
    with monkeypatch.context() as without:
        for name in ("ansible.inventory.manager", "ansible.parsing.dataloader", "ansible.vars.manager"):
            without.setitem(sys.modules, name, None)
        try:
            return read_hosts(folder)
        except ImportError:
            return None


def test_what_was_read_is_remembered_to_the_letter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = read_hosts(folder)
    assert hosts.groups == {"all": ["glm"], "gpu_boxes": ["glm"], "ungrouped": []}
    assert (hosts.variables["glm"]["ansible_port"], hosts.variables["glm"]["gpubox_profiles"]) == (22, ["one"])
    assert read_without_ansible(folder, monkeypatch) == hosts


def test_only_its_owner_can_read_what_is_remembered(folder: Path) -> None:
    read_hosts(folder)
    assert [file.stat().st_mode & 0o777 for file in kept(folder)] == [0o600]


@pytest.mark.parametrize(
    "change",
    ["boxes.yml", "more.yml", "group_vars/all.yml", "host_vars/glm/main.yml", "../ansible.cfg"],
)
def test_whatever_changes_it_is_read_anew(folder: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    monkeypatch.chdir(folder.parent)
    texts = {"boxes.yml": BOXES.replace("22", "23"), "more.yml": "all: {hosts: {qwen: }}\n"}
    texts["../ansible.cfg"] = "[defaults]\nforks = 7\n"
    changed = {"boxes.yml": ("ansible_port", 23), "more.yml": ("hosts", ["glm", "qwen"])}
    changed["../ansible.cfg"] = ("ansible_port", 22)
    file = folder / change
    if change not in texts:  # Ansible looks for such a file once in a process
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("gpubox_cores: 8\n")
    read_hosts(folder)
    file.write_text(texts.get(change, "gpubox_cores: 16\n"))
    assert read_without_ansible(folder, monkeypatch) is None
    hosts = read_hosts(folder)
    found = hosts.variables["glm"] | {"hosts": [*hosts.variables]}
    name, value = changed.get(change, ("gpubox_cores", 16))
    assert found[name] == value
    assert read_without_ansible(folder, monkeypatch) == hosts


def test_a_change_behind_a_link_is_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "main.yml").write_text("gpubox_cores: 8\n")
    (folder / "host_vars").mkdir()
    (folder / "host_vars" / "glm").symlink_to(elsewhere)
    assert read_hosts(folder).variables["glm"]["gpubox_cores"] == 8
    (elsewhere / "main.yml").write_text("gpubox_cores: 16\n")
    assert read_without_ansible(folder, monkeypatch) is None


def test_another_setting_of_ansible_is_another_reading(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_hosts(folder)
    monkeypatch.setenv("ANSIBLE_HASH_BEHAVIOUR", "merge")
    assert read_without_ansible(folder, monkeypatch) is None


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("boxes.yml", f"{BOXES}# plugin: constructed\n"),
        ("group_vars/all.yml", "secret: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  3133\n"),
        ("../ansible.cfg", "[defaults]\nvars_plugins_enabled = host_group_vars\n"),
        ("unreadable.yml", "gpu_boxes: [hosts\n"),
    ],
)
def test_what_is_not_certain_or_is_secret_is_not_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch, file: str, text: str
) -> None:
    monkeypatch.chdir(folder.parent)
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_text(text)
    assert "glm" in read_hosts(folder).variables
    assert kept(folder) == []


def test_a_source_that_is_a_program_is_asked_each_time(folder: Path) -> None:
    (folder / "boxes.yml").chmod(0o755)
    read_hosts(folder)
    assert kept(folder) == []


def test_where_a_plugin_may_add_variables_ansible_is_asked_each_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    plugin = folder.parent / ".ansible" / "plugins" / "vars" / "mine.py"
    plugin.parent.mkdir(parents=True)
    plugin.write_text("")
    read_hosts(folder)
    assert kept(folder) == []


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"key": "other", "hosts": {}})])
def test_a_damaged_cache_is_replaced(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    hosts = read_hosts(folder)
    kept(folder)[0].write_text(text)
    assert read_hosts(folder) == hosts
    assert read_without_ansible(folder, monkeypatch) == hosts


def test_what_is_remembered_of_an_inventory_that_is_gone_is_forgotten(folder: Path) -> None:
    read_hosts(folder)
    moved = folder.rename(folder.with_name("moved"))
    read_hosts(moved)
    (file,) = kept(folder)
    assert json.loads(file.read_text())["inventory"] == str(moved)


def test_a_cache_that_can_not_be_written_is_done_without(folder: Path) -> None:
    (folder.parent / "cache").write_text("")
    assert "glm" in read_hosts(folder).variables

"""A box's memory: what is typed, what the inventory says, and what the box says of itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from gpubox.box_memory import BoxMemory, facts_memory, machine_of, nvlinked
from gpubox.errors import GpuboxError
from gpubox.nvidia import parse_gpus
from gpubox.placement import Machine
from gpubox.placement.sizes import GIB, MIB
from host.rtx_pro_6000 import TWO_GPUS

if TYPE_CHECKING:
    from pathlib import Path

GPUS = parse_gpus(TWO_GPUS)
CARD = 97_887 * MIB
NAMES = tuple(gpu["name"] for gpu in GPUS)
UUIDS = tuple(gpu["uuid"] for gpu in GPUS)
# What Ansible gathers of a box that the role cuda_host has been to, as far as it matters.
GATHERED = {
    "ansible_memtotal_mb": 773_000,
    "ansible_processor_cores": 16,
    "ansible_processor_count": 1,
    "ansible_local": {"gpubox": {"driver": "580.95.05", "gpus": GPUS}},
}
INVENTORY = """
gpu_boxes:
  hosts:
    typed: {gpubox_gpu_memory: "24GiB, 24GiB", gpubox_ram: 128GiB, gpubox_cores: 8}
    untyped: {}
"""


@pytest.mark.parametrize(
    ("facts", "known"),
    [
        (GATHERED, BoxMemory((CARD, CARD), UUIDS, 773_000 * MIB, 16, NAMES)),
        ({"ansible_facts": GATHERED}, BoxMemory((CARD, CARD), UUIDS, 773_000 * MIB, 16, NAMES)),
        (GATHERED["ansible_local"]["gpubox"], BoxMemory((CARD, CARD), UUIDS, names=NAMES)),  # type: ignore[index]  # a dict
        ({"gpus": GPUS[::-1], "ram_bytes": 5, "cores": 4}, BoxMemory((CARD, CARD), UUIDS, 5, 4, NAMES[::-1])),
        ({"gpus": [], "ram_bytes": None, "cores": None}, BoxMemory()),
        ({}, BoxMemory()),
    ],
)
def test_facts_are_understood_in_each_of_their_forms(facts: dict[str, object], known: BoxMemory) -> None:
    assert facts_memory(facts) == known


@pytest.mark.parametrize(
    ("names", "linked"),
    [
        (("NVIDIA H200", "NVIDIA H200"), True),
        (("NVIDIA H100 80GB HBM3",) * 2, True),
        (("NVIDIA A100-SXM4-80GB",) * 2, True),
        (("NVIDIA H100 NVL",) * 2, True),
        (("NVIDIA H100 PCIe",) * 2, False),
        (("NVIDIA H200", "NVIDIA RTX PRO 6000 Blackwell Workstation Edition"), False),
        ((), False),
    ],
)
def test_cards_for_servers_are_taken_to_be_linked_by_nvlink(names: tuple[str, ...], linked: bool) -> None:  # noqa: FBT001  # a case
    assert nvlinked(names) is linked


def test_a_file_of_facts_needs_no_host(tmp_path: Path) -> None:
    file = tmp_path / "gpubox.fact"
    file.write_text(json.dumps({"driver": "580.95.05", "gpus": GPUS}))
    assert machine_of(None, "all", facts=str(file), ram="768GB") == Machine(
        (CARD, CARD), 768 * 10**9, None, 2, whole=True
    )
    assert machine_of(None, [UUIDS[1]], facts=str(file)) == Machine((CARD,), None, None, 2, whole=True)


@pytest.mark.parametrize("content", ["[]", "{", ""])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(content)
    with pytest.raises(GpuboxError) as caught:
        machine_of(None, "all", facts=str(file))
    remedy = "give the JSON of /etc/ansible/facts.d/gpubox.fact, or of Ansible's setup"
    assert str(caught.value) == f"{file}: holds no facts; {remedy}"


@pytest.fixture
def inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an inventory of two boxes and an `ansible` that answers for them, or does not; return its folder."""
    (tmp_path / "inventory" / "profiles").mkdir(parents=True)
    (tmp_path / "inventory" / "boxes.yml").write_text(INVENTORY)
    program = tmp_path / "bin" / "ansible"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$@" >"$0.asked"\ncat "$0.answer"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    monkeypatch.setenv("GPUBOX_INVENTORY", str(tmp_path / "inventory"))
    return tmp_path


def test_what_the_inventory_says_is_not_asked_for(inventory: Path) -> None:
    assert machine_of("typed", "all") == Machine((24 * GIB, 24 * GIB), 128 * GIB, 8, 2)
    assert machine_of("typed", [1], ram="64GiB") == Machine((24 * GIB,), 64 * GIB, 8, 2)
    assert not (inventory / "bin/ansible.asked").exists()


def test_what_the_inventory_does_not_say_the_box_is_asked_for(inventory: Path) -> None:
    answer = json.dumps({"ansible_facts": GATHERED, "changed": False})
    (inventory / "bin/ansible.answer").write_text(f"untyped | SUCCESS => {answer}\n")
    assert machine_of("untyped", "all") == Machine((CARD, CARD), 773_000 * MIB, 16, 2, whole=True)
    asked = (inventory / "bin/ansible.asked").read_text()
    assert asked == f"untyped --inventory {inventory}/inventory --one-line --module-name ansible.builtin.setup\n"


def test_a_box_that_can_not_be_asked_is_told_with_its_words(inventory: Path) -> None:
    (inventory / "bin/ansible.answer").write_text("untyped | UNREACHABLE!: Failed to connect via ssh\n")
    with pytest.raises(GpuboxError) as caught:
        machine_of("untyped", "all")
    said = "can't be asked for its memory: untyped | UNREACHABLE!: Failed to connect via ssh"
    remedy = "check that Ansible reaches it, or set gpubox_gpu_memory and gpubox_ram in the inventory"
    assert str(caught.value) == f"untyped: {said}; {remedy}"


def test_a_gpu_that_is_not_there_is_named() -> None:
    with pytest.raises(GpuboxError) as caught:
        machine_of(None, [0, 3, 4], sizes=["24GiB"])
    assert str(caught.value) == "gpus: the profile uses GPU 3, and 1 is given; give more --gpu SIZE"

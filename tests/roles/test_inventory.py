"""The inventories that ship are read by Ansible as they are meant."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "inventory" / "examples").glob("*.yml"))


def listed(*arguments: str) -> dict[str, Any]:
    """Return what `ansible-inventory --list` prints."""
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-inventory"), *arguments, "--list"],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "WARNING" not in done.stderr
    return dict(json.loads(done.stdout))


def test_the_inventory_holds_boxes_and_neither_profiles_nor_examples() -> None:
    assert listed()["gpu_boxes"]["hosts"] == ["glm-box"]


@pytest.mark.parametrize(("name", "host"), [("lab", "box-1"), ("local", "localhost")])
def test_an_example_is_an_inventory_of_its_own(name: str, host: str) -> None:
    assert listed("-i", f"inventory/examples/{name}.yml")["gpu_boxes"]["hosts"] == [host]


def test_every_example_is_tested() -> None:
    assert [path.stem for path in EXAMPLES] == ["lab", "local"]

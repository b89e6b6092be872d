"""Every role's defaults and its argument specification say the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = sorted(path for path in (Path(__file__).parents[2] / "roles").iterdir() if path.is_dir())


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


@pytest.fixture(params=ROLES, ids=lambda role: role.name)
def role(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_the_defaults_are_those_of_the_argument_specification(role: Path) -> None:
    options = load(role / "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    specified = {name: option["default"] for name, option in options.items() if "default" in option}
    assert load(role / "defaults/main.yml") == specified


def test_every_option_is_required_or_has_a_default(role: Path) -> None:
    options = load(role / "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    assert [name for name, option in options.items() if option.get("required", False) == ("default" in option)] == []


def test_every_variable_bears_the_name_of_the_role(role: Path) -> None:
    names = [*load(role / "defaults/main.yml")]
    names += [*load(role / "vars/main.yml")] if (role / "vars/main.yml").exists() else []
    assert [name for name in names if not name.startswith(f"{role.name}_")] == []


def test_every_option_is_described(role: Path) -> None:
    options = load(role / "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    assert [name for name, option in options.items() if not option.get("description")] == []

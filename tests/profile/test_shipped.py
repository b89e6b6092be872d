"""Every profile that is shipped: valid, and its units as they were reviewed."""

from __future__ import annotations

import json
from pathlib import Path

import golden
from gpubox.arguments import FORMS
from gpubox.box import load_box
from gpubox.profile import json_schema
from gpubox.profile_check import check_profiles
from gpubox.profile_deployment import deploy
from gpubox.profile_files import load_profile, profile_names
from gpubox.render import render, unit_filename

INVENTORY = Path(__file__).parents[2] / "inventory"
PROFILES = INVENTORY / "profiles"


def test_every_shipped_profile_is_valid() -> None:
    checked = check_profiles([], PROFILES)
    assert [one.name for one in checked] == profile_names(PROFILES)
    assert [error for one in checked for error in one.errors] == []


def test_the_units_of_shipped_profiles_equal_their_golden_files() -> None:
    box = load_box("glm-box", INVENTORY)
    texts = {}
    for name in profile_names(PROFILES):
        deployment = deploy(load_profile(name, PROFILES), box)
        for form in FORMS:
            texts[unit_filename(deployment, form)] = render(deployment, form)
    golden.compare(Path(__file__).parent / "golden", texts)


def test_the_committed_schema_is_current() -> None:
    kept = (PROFILES / "schema.json").read_text("utf-8")
    assert kept == json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n", "run `make schema`"

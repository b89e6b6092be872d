"""Each profile of a published run renders the command that was published."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from gpubox.box import Box
from gpubox.catalogue import Catalogue, canonical
from gpubox.profile_deployment import deploy
from gpubox.profile_files import load_profile, profile_names
from gpubox.render import render
from writeup.published_runs import COMMANDS, flags

PROFILES = Path(__file__).parents[2] / "inventory" / "profiles"
IK = Catalogue.load("ik_llama", "29a54f4")


def test_every_profile_of_glm_5_2_repeats_a_published_run() -> None:
    assert [name for name in profile_names(PROFILES) if name.startswith("glm-")] == sorted(COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_rendered_command_has_the_published_flags_in_their_order(name: str) -> None:
    deployment = deploy(load_profile(name, PROFILES), Box())
    rendered = shlex.split(render(deployment, "command").replace("\\\n", ""))
    served = rendered[rendered.index(deployment.image) + 1 :]
    assert canonical(IK, served) == canonical(IK, flags(name))


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_each_published_run_says_where_its_figures_stand(name: str) -> None:
    published = load_profile(name, PROFILES).profile.published
    assert published is not None
    assert published.source.startswith("Running GLM-5.2 (744B-A40B) GGUFs Locally: Did MTP Help?, part ")

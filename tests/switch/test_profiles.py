"""The profiles of a box: written from the same source as the units, and read on the box."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from gpubox.box import Box
from gpubox.box_fit import misfit
from gpubox.box_profiles import deploy_all
from gpubox.errors import GpuboxError
from gpubox.profile_deployment import deploy
from gpubox.profile_files import load_profile
from gpubox.render import render
from gpubox.switch_profiles import box_profile
from gpubox.switch_program.profiles import BoxProfile, choose, read_profiles

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "/etc/containers/systemd"
GLM = "glm-5.2-1.630bpw-mtp"
UUIDS = [f"GPU-{index}0000000-0000-0000-0000-000000000000" for index in (0, 1)]
BOX = Box(hf_hub="/mnt/hub", image="ik:1", gpu_memory="97887MiB, 97887MiB", ram="768GB", gpu_uuids=UUIDS)


def written(*names: str, box: Box = BOX) -> list[BoxProfile]:
    loaded = [load_profile(name) for name in names]
    return [
        box_profile(one, deployment, box, form="quadlet", folder=FOLDER, verdict=misfit(one, box))
        for one, deployment in zip(loaded, deploy_all(loaded, box), strict=True)
    ]


def test_a_profile_is_written_as_its_unit_says() -> None:
    assert written(GLM, "demo")[0] == BoxProfile(
        name=GLM,
        hash=load_profile(GLM).hash,
        file_sha256=hashlib.sha256(render(deploy(load_profile(GLM), BOX), "quadlet").encode()).hexdigest(),
        file=f"/etc/containers/systemd/{GLM}.container",
        port=8000,
        gpus="all",
        conflicts=[],
        image="ik:1",
        argv=list(deploy(load_profile(GLM), BOX).argv),
        models=[
            (
                "/mnt/hub/models--sokann--GLM-5.2-GGUF-1.630bpw/snapshots/451d18c5c05952bc322b9f9e612abc625d48b211/"
                "GLM-5.2-GGUF-1.630bpw.gguf"
            )
        ],
        sha256={},
        start_timeout_s=1800,
        stop_timeout_s=60,
        api_key_file="",
        verdict="",
    )


def test_profiles_that_need_the_same_gpu_conflict() -> None:
    first, second = written(GLM, "glm-5.2-1.630bpw")
    assert (first.conflicts, second.conflicts) == ([second.name], [first.name])


def test_a_load_may_take_what_the_profile_says_or_as_long_as_a_hard_disk_reads_the_model() -> None:
    (profile,) = written("demo")
    assert profile.start_timeout_s == 60
    assert [profile.load_limit_s(size) for size in (0, 6_000_000_000, 211_000_000_000)] == [60, 60, 2110]


def test_gpus_are_written_by_uuid(tmp_path: Path) -> None:
    file = tmp_path / "small.yml"
    file.write_text("model: {path: /srv/x.gguf}\ngpus: [1]\n")
    (profile,) = written(str(file))
    assert (profile.gpus, profile.models) == ([UUIDS[1]], ["/srv/x.gguf"])


def test_the_planners_verdict_names_what_lacks_and_the_nearest_change() -> None:
    small = Box(hf_hub="/mnt/hub", image="ik:1", gpu_memory="97887MiB, 60GiB", ram="768GB")
    found = re.fullmatch(
        r"CUDA0 lacks \d+ MiB, CUDA1 lacks (\d+) MiB by the plan; it would with -\S+ .+: .+",
        written(GLM, box=small)[0].verdict,
    )
    assert found
    assert int(found[1]) > 0


def test_what_is_written_is_read(tmp_path: Path) -> None:
    file = tmp_path / "profiles.json"
    profiles = written(GLM, "demo")
    file.write_text(json.dumps({"profiles": [asdict(one) for one in profiles]}))
    read = read_profiles(file)
    assert list(read.values()) == profiles
    assert (read["demo"].unit, read["demo"].url) == ("demo.service", f"http://127.0.0.1:{read['demo'].port}")


def test_a_box_without_profiles_is_told_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(GpuboxError) as caught:
        read_profiles(tmp_path / "profiles.json")
    assert str(caught.value) == (
        f"{tmp_path}/profiles.json: can't be read: No such file or directory; run playbooks/profiles.yml"
    )


def test_profiles_of_another_version_are_told(tmp_path: Path) -> None:
    (tmp_path / "profiles.json").write_text('{"profiles": [{"name": "x"}]}')
    with pytest.raises(GpuboxError) as caught:
        read_profiles(tmp_path / "profiles.json")
    assert str(caught.value) == (
        f"{tmp_path}/profiles.json: is not what this version of gpubox writes ('hash'); run playbooks/profiles.yml"
    )


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("dmo", "did you mean demo?"), ("qwen", "list it in gpubox_profiles and run playbooks/profiles.yml")],
)
def test_a_name_that_is_none_of_the_box_is_told_with_the_nearest(name: str, remedy: str) -> None:
    profiles = {one.name: one for one in written("demo")}
    with pytest.raises(GpuboxError) as caught:
        choose(profiles, name)
    assert str(caught.value) == f"{name}: is no profile of this box, which has demo; {remedy}"

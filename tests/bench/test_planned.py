"""What a benchmark keeps of the plan: memory by device, or nothing where no plan can be made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from glm52 import write_glm52

from gpubox.bench.planned import planned_mib
from gpubox.profile import Profile, profile_hash
from gpubox.profile_files import LoadedProfile, load_profile

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 97_887 * 2**20
GPUS = [
    {"index": index, "uuid": f"GPU-{index:08d}-0000-0000-0000-000000000000", "memory_bytes": SIZE} for index in (0, 1)
]
FACTS: dict[str, Any] = {"gpus": GPUS, "ram_bytes": 768 * 2**30, "cores": 16}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_glm52(tmp_path_factory.mktemp("model") / "glm.gguf", "2.244")


def changed(loaded: LoadedProfile, **fields: object) -> LoadedProfile:
    profile = Profile.model_validate(loaded.profile.document() | fields)
    return LoadedProfile(loaded.name, loaded.path, profile, profile_hash(profile), ())


def test_the_plan_of_the_gpus_that_the_profile_uses_is_kept(model: Path) -> None:
    one = load_profile("glm-5.2-2.244bpw-1gpu")
    found = planned_mib(one, model, FACTS)
    assert list(found) == ["CUDA0", "CUDA_Host"]
    assert found["CUDA0"] == pytest.approx(85 * 1024, rel=0.05)  # as the write-up saw it in use
    named = changed(one, gpus=[GPUS[1]["uuid"]])
    assert planned_mib(named, model, FACTS) == found


def test_without_gpus_or_of_what_the_planner_does_not_know_there_is_no_plan(model: Path, tmp_path: Path) -> None:
    one = load_profile("glm-5.2-2.244bpw-1gpu")
    assert planned_mib(one, model, FACTS | {"gpus": []}) == {}
    assert planned_mib(changed(one, gpus="none"), model, FACTS) == {}
    assert planned_mib(changed(one, gpus=[5]), model, FACTS) == {}
    assert planned_mib(one, tmp_path / "missing.gguf", FACTS) == {}
    llama_cpp = changed(one, engine={"name": "llama_cpp"})
    assert planned_mib(llama_cpp, model, FACTS) == {}

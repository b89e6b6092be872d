"""From a bare box to a model that serves, with the playbooks that the README names, and back to bare.

Real are systemd, SSH, Podman, Quadlet, the compiler and ik_llama.cpp, the registry, huggingface_hub, llama-server.
NVIDIA's packages are stand-ins from a signed repository, and the two GPUs are /dev/null: the server computes on the CPU.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from e2e.git_mirror import ik_llama_mirror, serve
from e2e.nvidia_repository import NvidiaRepository, plug_in_cards
from e2e.operator import Operator
from e2e.workshop import QUICK_BUILD, WORKSHOP, bases, compiler_cache
from gpubox.nvidia import parse_gpus
from gpubox.tiny_model import make_tiny_model
from host.rtx_pro_6000 import TWO_GPUS
from hub.server import Hub, HubFile, Repository
from lab.release import TRIXIE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.lab import Lab

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(2400)]

CONTROLLER = "10.0.2.2"  # this machine's loopback, as boxes see it
REVISION = "451d18c5" * 5
PROFILE = """
model: {{repo: example/tiny-GGUF, revision: {revision}, files: [{{name: tiny.gguf, sha256: {sha256}}}]}}
engine: {{commit: {commit}}}
gpus: [0]
server: {{ctx_size: {ctx_size}, parallel: 1, threads: 2}}
health: {{start_timeout: 60, stop_timeout: 10}}
"""
GONE = {
    "profiles.yml": "model_profiles_state=absent",
    "models.yml": "gguf_models_state=absent gguf_models_absent_deletes_models=true",
    "image.yml": "ik_llama_image_state=absent",
    "provision.yml": "cuda_host_state=absent host_tuning_state=absent container_host_state=absent "
    "container_host_absent_removes_podman=true",
}


@dataclass(frozen=True)
class Site:
    """A bare box, what it needs from elsewhere, and who operates it.

    Attributes:
        operator: with the inventory.
        registry: where the image goes.
        first: what the first run of site.yml printed.
    """

    operator: Operator
    registry: str
    first: str


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A box that was bare and on which site.yml has run once."""
    folder = tmp_path_factory.mktemp("site")
    mirror, commit = ik_llama_mirror(folder / "mirrors" / "ik_llama.cpp", lab.folder)
    model = make_tiny_model(folder / "tiny.gguf")
    repository = Repository("example/tiny-GGUF", REVISION, {"tiny.gguf": HubFile(model)})
    workshop, box = lab.box(WORKSHOP), lab.box(TRIXIE)
    plug_in_cards(box)
    operator = Operator(folder, box)
    sha256 = hashlib.sha256(model.read_bytes()).hexdigest()
    for name, ctx_size in (("one", 2048), ("two", 4096)):
        text = PROFILE.format(revision=REVISION, sha256=sha256, commit=commit, ctx_size=ctx_size)
        operator.profile(name, text)
    with (
        NvidiaRepository(folder) as nvidia,
        Hub(repository, seen_as=CONTROLLER) as hub,
        serve(folder / "mirrors") as git_url,
        workshop.tunnel(5000) as port,
    ):
        registry = f"{CONTROLLER}:{port}"
        image = {"source": git_url + mirror.name, "commit": commit, "registry": f"{registry}/lab", "jobs": 2}
        image |= {"variant": "cpu", "native": False, "cmake_flags": QUICK_BUILD, "base_registry": registry}
        operator.variables = {
            **nvidia.variables(),
            # Its kernel is this machine's, which Debian has no headers for and which the box may not change.
            "cuda_host_kernel_headers": [],
            "host_tuning_apply_now": False,
            "container_host_registries": [{"location": registry, "insecure": True}],
            **{f"ik_llama_image_{name}": value for name, value in (image | bases(workshop)).items()},
            "gguf_models_endpoint": hub.endpoint,
            "gguf_models_progress_interval": 1,
            "model_profiles_wait": True,
        }
        operator.declare(["one", "two"], ["one"])
        with compiler_cache(lab, box):
            first = operator.play("site.yml")
        yield Site(operator, registry, first)
    lab.remove(box)
    lab.remove(workshop)


def test_the_unit_names_the_image_by_the_digest_of_the_registry_and_the_gpu_by_uuid(site: Site) -> None:
    box = site.operator.box
    record = json.loads(box.run("cat /etc/gpubox/image.json").stdout)
    assert record["reference"].startswith(f"{site.registry}/lab/ik_llama@sha256:")
    unit = box.run("cat /etc/containers/systemd/one.container").stdout
    assert f"Image={record['reference']}\n" in unit
    assert f"AddDevice=nvidia.com/gpu={parse_gpus(TWO_GPUS)[0]['uuid']}\n" in unit


def test_the_active_profile_serves_through_a_tunnel(site: Site) -> None:
    assert (site.operator.serving(), site.operator.model_that_answers()) == (["one"], "one")
    version = site.operator.box.run("podman exec one llama-server --version 2>&1").stdout
    commit = site.operator.variables["ik_llama_image_commit"]
    assert version.startswith(f"version: 1 ({commit[:7]}")


def test_systemd_keeps_the_service_from_what_it_does_not_need(site: Site) -> None:
    told = site.operator.box.run("systemd-analyze security --no-pager --threshold=76 one.service")
    assert "Overall exposure level for one.service: 7." in told.stdout


def test_a_second_run_changes_nothing_and_a_check_says_so(site: Site) -> None:
    assert site.operator.changes("site.yml") == 0
    assert site.operator.changes("site.yml", "--check", "--diff") == 0


def test_a_switch_outlives_a_reboot(site: Site) -> None:
    operator = site.operator
    operator.play("switch.yml", "-e", "model_profiles_switch_to=two")
    assert (operator.serving(), operator.model_that_answers()) == (["two"], "two")
    operator.box.reboot()
    operator.play("profiles.yml")
    assert (operator.serving(), operator.model_that_answers()) == (["two"], "two")
    assert operator.changes("site.yml") == 0


def test_absent_takes_everything_away_again(site: Site) -> None:
    operator = site.operator
    for playbook, variables in GONE.items():
        assert operator.changes(playbook, "-e", variables) > 0
    for playbook, variables in GONE.items():
        assert operator.changes(playbook, "-e", variables) == 0
    box = operator.box
    assert operator.serving() == []
    assert box.run("find / -xdev -path '*gpubox*' -type f").stdout == ""
    for program in ("nvidia-smi", "nvidia-ctk", "podman"):
        assert box.run(f"command -v {program}", check=False).stdout == ""

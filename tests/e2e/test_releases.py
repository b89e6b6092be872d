"""Ubuntu 24.04, whose Podman is 4.9: from bare to a model that serves, and back to bare. And what dnf makes of a pin.

Not among the tests of every change, for Ubuntu's archive need not answer here: `make e2e-releases`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from e2e.nvidia_repository import NvidiaRepository, plug_in_cards
from e2e.operator import Operator, build_images
from gpubox.nvidia import parse_gpus
from gpubox.template_files import render_template
from gpubox.tiny_model import make_tiny_model
from host.rtx_pro_6000 import TWO_GPUS
from lab.release import NOBLE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lab.box import Box
    from lab.lab import Lab

pytestmark = [pytest.mark.e2e, pytest.mark.releases, pytest.mark.timeout(900)]

PROFILE = """
model: {{path: /srv/models/tiny.gguf}}
engine: {{name: llama_cpp}}
gpus: [0]
server: {{ctx_size: {ctx_size}, parallel: 1, threads: 1}}
health: {{start_timeout: 60, stop_timeout: 10}}
"""
GONE = {
    "profiles.yml": "model_profiles_state=absent",
    "provision.yml": "cuda_host_state=absent host_tuning_state=absent container_host_state=absent "
    "container_host_absent_removes_podman=true",
}


def test_ubuntu_becomes_a_serving_box_and_bare_again(boxes: Callable[..., list[Box]], lab: Lab, tmp_path: Path) -> None:
    (box,) = boxes(1, NOBLE)
    plug_in_cards(box)
    operator = Operator(tmp_path, box)
    for name, ctx_size in (("one", 2048), ("two", 4096)):
        operator.profile(name, PROFILE.format(ctx_size=ctx_size))
    with NvidiaRepository(tmp_path) as nvidia:
        operator.variables |= {
            **nvidia.variables(),
            "cuda_host_kernel_headers": [],
            "host_tuning_apply_now": False,
            "model_profiles_wait": True,
        }
        operator.declare(["one", "two"], ["one"])
        assert operator.changes("provision.yml") > 0
        assert box.run("podman --version").stdout.startswith("podman version 4.9.")
        assert json.loads(box.run("cat /etc/ansible/facts.d/gpubox.fact").stdout)["gpus"] == parse_gpus(TWO_GPUS)
        assert operator.changes("provision.yml") == 0
        assert operator.changes("provision.yml", "--check", "--diff") == 0

        build_images(lab, box, tmp_path)
        box.run("mkdir -p /srv/models")
        box.put(make_tiny_model(tmp_path / "tiny.gguf"), "/srv/models/tiny.gguf")
        assert operator.changes("profiles.yml") > 0
        assert (operator.serving(), operator.model_that_answers()) == (["one"], "one")
        assert operator.changes("profiles.yml") == 0
        operator.play("switch.yml", "-e", "model_profiles_switch_to=two")
        box.reboot()
        operator.play("profiles.yml")
        assert (operator.serving(), operator.model_that_answers()) == (["two"], "two")

        for playbook, variables in GONE.items():
            assert operator.changes(playbook, "-e", variables) > 0
            assert operator.changes(playbook, "-e", variables) == 0
    for program in ("nvidia-smi", "nvidia-ctk", "podman"):
        assert box.run(f"command -v {program}", check=False).stdout == ""


SPEC = """\
Name: {name}
Version: {version}
Release: 1
Epoch: {epoch}
Summary: stands in for NVIDIA's
License: none
BuildArch: noarch
%description
none
%files
"""
VERSIONS = ("58.1", "580.65.06", "580.95.05", "5800.1", "581.1", "610.43.02")


def test_dnf_sees_the_pinned_branch_alone(box: Box, tmp_path: Path) -> None:
    box.run(
        "apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes dnf createrepo-c rpm gpg gpg-agent",
        limit_s=300,
    )
    specs = tmp_path / "specs"
    specs.mkdir()
    packages = [("nvidia-open", version, 3) for version in VERSIONS]
    packages += [("libcuda1", version, 3) for version in VERSIONS] + [("cuda-toolkit-13-0", "13.0.1", 0)]
    for name, version, epoch in packages:
        spec = specs / f"{name}-{version}.spec"
        spec.write_text(SPEC.format(name=name, version=version, epoch=epoch))
    box.put(specs, "/srv/specs")
    box.run(
        "cd /srv/specs && rpmbuild --quiet --define '_rpmdir /srv/repository' -bb *.spec && createrepo_c -q /srv/repository"
    )
    box.run(
        "gpg --batch --quiet --passphrase '' --quick-generate-key nobody@example.org ed25519 sign && "
        "gpg --armor --export > /srv/key.asc && "
        "gpg --batch --quiet --armor --detach-sign /srv/repository/repodata/repomd.xml"
    )
    described = {
        "name": "nvidia-cuda", "url": "file:///srv/repository", "key": "/srv/key.asc", "fingerprint": "", "signs": "index",
        "packages": ["*nvidia*", "libcuda1*"], "version": "580.", "epoch": 3,
    }  # fmt: skip  # one repository
    file = tmp_path / "nvidia-cuda.repo"
    file.write_text(render_template("repository.repo.j2", repository=described))
    box.run("mkdir -p /etc/yum.repos.d")
    box.put(file, "/etc/yum.repos.d/nvidia-cuda.repo")
    query = "dnf --quiet --assumeyes --refresh --repo nvidia-cuda"
    seen = box.run(f"{query} makecache && {query} repoquery --qf '%{{name}} %{{version}}'").stdout.splitlines()
    assert sorted(filter(None, seen)) == [
        "cuda-toolkit-13-0 13.0.1",
        *(f"{name} {version}" for name in ("libcuda1", "nvidia-open") for version in ("580.65.06", "580.95.05")),
    ]

    box.run("sed -i -E 's|<revision>|<revision>9|' /srv/repository/repodata/repomd.xml")
    told = box.run(f"{query} makecache", check=False)
    assert told.status != 0
    assert "nvidia-cuda" in told.stderr

"""What a deployment may not hold, each fault word for word."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deployment_samples import MINIMAL, SAMPLES
from gpubox.deployment import Deployment, Health, Mount, Port, Restart, Secret
from gpubox.deployment_faults import check, faults_of
from gpubox.errors import DocumentError
from gpubox.render import render

PATH_REMEDY = "give an absolute path without spaces and : , \" ' \\ $ %"
NAME_REMEDY = "use letters, digits, '_', '.', '-', a letter or digit first, 245 characters at most"
LINE_REMEDY = "give text without control characters, without spaces around it and without a backslash at its end"


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_has_no_fault(name: str) -> None:
    assert faults_of(SAMPLES[name], "x.yml") == []


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", "glm@1", f"x.yml: name: not a name for a unit and a container (got 'glm@1'); {NAME_REMEDY}"),
        ("name", "-rm", f"x.yml: name: not a name for a unit and a container (got '-rm'); {NAME_REMEDY}"),
        ("description", "a\nb", f"x.yml: description: not one line of plain text (got 'a\\nb'); {LINE_REMEDY}"),
        ("description", "a\\", f"x.yml: description: not one line of plain text (got 'a\\\\'); {LINE_REMEDY}"),
        ("description", " a", f"x.yml: description: not one line of plain text (got ' a'); {LINE_REMEDY}"),
        (
            "image",
            "a b",
            "x.yml: image: not an image reference (got 'a b'); give registry/name:tag or registry/name@sha256:…",
        ),
        (
            "image",
            "llama.image",
            (
                "x.yml: image: not an image reference (got 'llama.image'); "
                "give registry/name:tag or registry/name@sha256:…"
            ),
        ),
        (
            "devices",
            ("nvidia.com/gpu=all", "gpu 0"),
            (
                "x.yml: devices[1]: not a device (got 'gpu 0'); "
                "give a CDI name such as nvidia.com/gpu=all, or a path below /dev"
            ),
        ),
        (
            "add_capabilities",
            ("CAP_SYS_NICE",),
            (
                "x.yml: add_capabilities[0]: not a capability (got 'CAP_SYS_NICE'); "
                "write it in capitals without CAP_, as in SYS_NICE"
            ),
        ),
        (
            "mounts",
            (Mount("/srv/my models", "/models"),),
            (
                "x.yml: mounts[0].source: not a path that podman and systemd both take (got '/srv/my models'); "
                f"{PATH_REMEDY}"
            ),
        ),
        (
            "mounts",
            (Mount("/srv", "models"),),
            f"x.yml: mounts[0].target: not a path that podman and systemd both take (got 'models'); {PATH_REMEDY}",
        ),
        (
            "tmpfs",
            ("/run:size=1g",),
            f"x.yml: tmpfs[0]: not a path that podman and systemd both take (got '/run:size=1g'); {PATH_REMEDY}",
        ),
        (
            "secrets",
            (Secret("a,b", "/run/a"),),
            "x.yml: secrets[0].name: not the name of a secret (got 'a,b'); use letters, digits, '_', '.', '-'",
        ),
        (
            "environment",
            {"A=B": "c"},
            "x.yml: environment: not a variable's name (got 'A=B'); use letters, digits and '_', a digit not first",
        ),
        (
            "publish",
            (Port("localhost", 8000, 8080),),
            (
                "x.yml: publish[0].host_ip: not an IP address (got 'localhost'); "
                "give 127.0.0.1, 0.0.0.0 or the box's address"
            ),
        ),
        (
            "publish",
            (Port("fe80::1%eth0", 8000, 8080),),
            (
                "x.yml: publish[0].host_ip: not an IP address (got 'fe80::1%eth0'); "
                "give 127.0.0.1, 0.0.0.0 or the box's address"
            ),
        ),
        (
            "publish",
            (Port("127.0.0.1", 8000, 65536),),
            "x.yml: publish[0].container_port: not a TCP port (got 65536); give 1 to 65535",
        ),
        (
            "conflicts",
            ("tiny.service",),
            (
                "x.yml: conflicts[0]: not the name of another service (got 'tiny.service'); "
                "give it whole, as in glm.service"
            ),
        ),
        (
            "conflicts",
            ("glm",),
            "x.yml: conflicts[0]: not the name of another service (got 'glm'); give it whole, as in glm.service",
        ),
        ("stop_timeout_s", 0, "x.yml: stop_timeout_s: below 1 (got 0); give a whole number from 1"),
        ("restart", Restart(burst=0), "x.yml: restart.burst: below 1 (got 0); give a whole number from 1"),
        (
            "health",
            Health("true", interval_s=0),
            "x.yml: health.interval_s: below 1 (got 0); give a whole number from 1",
        ),
        ("health", Health("true", start_period_s=-1), "x.yml: health.start_period_s: below 0 (got -1); give seconds"),
        ("health", Health(" "), "x.yml: health.command: empty (got ' '); give a command, or no health check"),
    ],
)
def test_a_fault_names_field_value_and_remedy(field: str, value: Any, message: str) -> None:
    assert [str(fault) for fault in faults_of(replace(MINIMAL, **{field: value}), "x.yml")] == [message]


def test_ports_are_not_published_on_the_hosts_network() -> None:
    deployment = replace(MINIMAL, host_network=True, publish=(Port("127.0.0.1", 8000, 8080),))
    assert [str(fault) for fault in faults_of(deployment, "x.yml")] == [
        "x.yml: publish: no port can be published on the host's network (got 1); drop one of the two"
    ]


def test_all_faults_of_a_deployment_are_told_at_once_under_its_name() -> None:
    deployment = replace(MINIMAL, image="", start_timeout_s=-1)
    with pytest.raises(DocumentError) as refusal:
        check(deployment)
    assert str(refusal.value).splitlines() == [
        "tiny: image: not an image reference (got ''); give registry/name:tag or registry/name@sha256:…",
        "tiny: start_timeout_s: below 1 (got -1); give a whole number from 1",
    ]


def test_a_deployment_with_faults_is_not_rendered() -> None:
    with pytest.raises(DocumentError):
        render(Deployment(name="", description="d", image="i", argv=()), "command")

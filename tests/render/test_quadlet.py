"""What Podman's own generator makes of a Quadlet file: the argv and every other field, unchanged or refused."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argvs import REALISTIC, argvs
from deployment_samples import FULL, MINIMAL, SAMPLES
from gpubox.arguments import check_argument
from gpubox.deployment import Deployment, Health, Mount, Secret
from gpubox.errors import ArgumentError, DocumentError
from gpubox.render import command_line, render, unit_filename
from gpubox.systemd_quoting import split_exec, unit_values
from quadlet_generator import generate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpubox.arguments import Form

pytestmark = pytest.mark.usefixtures("generator")


@settings(max_examples=40)
@given(st.lists(argvs(), min_size=60, max_size=60))
def test_the_generated_service_runs_the_argv_unchanged(batch: list[list[str]]) -> None:
    _assert_generated([tuple(argv) for argv in batch])


def test_the_generated_service_runs_every_realistic_argument_unchanged() -> None:
    _assert_generated([(arg, "after") for arg in REALISTIC])


def _assert_generated(batch: list[tuple[str, ...]]) -> None:
    carried = [tuple(arg for arg in argv if _is_carried(arg)) for argv in batch]
    units = {
        f"u{index}.container": render(replace(MINIMAL, argv=argv), "quadlet") for index, argv in enumerate(carried)
    }
    services, said = generate(units)
    assert said == ""
    found = [_podman(services[f"u{index}.service"], "tiny")[1] for index in range(len(carried))]
    assert found == [list(argv) for argv in carried]


def _is_carried(arg: str) -> bool:
    try:
        check_argument("", arg, "quadlet")
    except ArgumentError:
        return False
    return True


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ('""', ["podman", "before"]),
        ('";"', "podman before ; after: a second command follows a ';'"),
        ('"\x80"', ["podman", "before", "\udc80", "after"]),
        (r'"\xef\xb7\x90"', ["podman", "before", "ï·\x90", "after"]),
        ('"\ufdd0"', "no line"),
    ],
)
def test_what_is_refused_for_quadlet_is_lost_or_broken_on_its_way(written: str, read: list[str] | str) -> None:
    quadlet = f'[Container]\nImage=localhost/llama:1\nExec="before" {written} "after"\n'
    services, _ = generate({"x.container": quadlet})
    values = unit_values(services["x.service"], "Service", "ExecStart")
    tails = [value.partition("localhost/llama:1")[2] for value in values]
    assert _outcome(tails) == read


def _outcome(tails: list[str]) -> list[str] | str:
    if not tails:
        return "no line"
    try:
        return split_exec(f"podman{tails[0]}")
    except ArgumentError as error:
        return str(error)


@pytest.mark.parametrize("name", SAMPLES)
def test_the_generated_service_runs_the_command_of_the_other_forms(name: str) -> None:
    sample = SAMPLES[name]
    services, said = generate({unit_filename(sample, "quadlet"): render(sample, "quadlet")})
    assert said == ""
    options, argv = _podman(services[f"{sample.name}.service"], sample.name)
    assert options == _expected_options(sample)
    assert argv == list(sample.argv)


def test_what_the_generator_does_not_know_it_hands_on_to_systemd() -> None:
    services, _ = generate({unit_filename(FULL, "quadlet"): render(FULL, "quadlet")})
    (service,) = services.values()
    assert unit_values(service, "Unit", "Description") == ["GLM-5.2 at 1.630 bpw, 100%% on GPU, MTP"]
    assert unit_values(service, "Unit", "Conflicts") == ["glm-5.2-q2.service qwen.service"]
    assert unit_values(service, "Unit", "Before") == ["glm-5.2-q2.service qwen.service"]
    assert unit_values(service, "Unit", "StartLimitBurst") == ["4"]
    assert unit_values(service, "Service", "TimeoutStartSec") == ["1800"]
    assert unit_values(service, "Service", "TimeoutStopSec") == ["130"]
    assert unit_values(service, "Install", "WantedBy") == ["multi-user.target"]


@pytest.mark.parametrize("form", ["quadlet", "systemd"])
def test_each_two_profiles_that_conflict_have_one_order(form: Form) -> None:
    names = ["b.service", "a.service", "c.service"]
    order = set()
    for name in names:
        rivals = tuple(rival for rival in names if rival != name)
        text = render(replace(FULL, name=name.removesuffix(".service"), conflicts=rivals), form)
        order |= {(rival, name) for value in unit_values(text, "Unit", "After") for rival in value.split()}
        order |= {(name, rival) for value in unit_values(text, "Unit", "Before") for rival in value.split()}
    order -= {("network-online.target", name) for name in names}
    assert order == {("a.service", "b.service"), ("a.service", "c.service"), ("b.service", "c.service")}


_TAKES_A_VALUE = {"--name", "--device", "--cap-drop", "--cap-add", "--volume", "--publish", "--env", "--network"}


def _podman(service: str, name: str) -> tuple[list[str], list[str]]:
    """Return the options, sorted and each as one word, and the server's arguments of a generated service."""
    (value,) = unit_values(service, "Service", "ExecStart")
    words = split_exec(value, {"t": "/run", "N": name})
    assert words[:2] == ["/usr/bin/podman", "run"]
    options = []
    rest = iter(words[2:])
    for word in rest:
        if not word.startswith("-"):
            break
        flag = {"-d": "--detach", "-v": "--volume"}.get(word, word)
        options.append(f"{flag}={next(rest)}" if flag in _TAKES_A_VALUE else flag)
    return _comparable(option for option in options if not option.startswith("--cidfile=")), list(rest)


def _expected_options(deployment: Deployment) -> list[str]:
    words = command_line(deployment, "systemd")
    return _comparable(words[2 : words.index(deployment.image)])


def _comparable(options: Iterable[str]) -> list[str]:
    """Sort options, in the generator's spelling: capabilities in small letters, all interfaces unnamed (Podman 4)."""
    return sorted(
        option.lower() if option.startswith("--cap-") else option.replace("--publish=0.0.0.0:", "--publish=")
        for option in options
    )


# Every other field through Podman's generator: right or refused

_WORDS = st.text(st.sampled_from("aA0_-./:=@%$\\\"' ,;#[]\t\n\x80é\u2028"), max_size=6)
_PATHS = st.text(st.sampled_from("aZ0_-./@%$:,;#' é"), max_size=5).map("/p".__add__)
_DEPLOYMENTS = st.builds(
    Deployment,
    name=st.just("tiny"),
    description=_WORDS.map("d{}".format),
    image=_WORDS.map("localhost/{}".format),
    argv=st.just(("a",)),
    devices=st.tuples(_WORDS.map("nvidia.com/gpu={}".format)),
    mounts=st.tuples(st.builds(Mount, _PATHS, _PATHS)),
    tmpfs=st.tuples(_PATHS),
    add_capabilities=st.tuples(_WORDS.map("A{}".format)),
    environment=st.dictionaries(_WORDS.map("A{}".format), _WORDS, max_size=2),
    secrets=st.tuples(st.builds(Secret, _WORDS.map("s{}".format), _PATHS)),
    health=st.builds(Health, _WORDS.map("true{}".format)),
)
_FIELDS = ("description", "image", "devices", "mounts", "tmpfs", "add_capabilities", "environment", "secrets", "health")


@settings(max_examples=25)
@given(st.lists(_DEPLOYMENTS, min_size=20, max_size=20))
def test_a_value_that_is_not_refused_reaches_podman_and_systemd_unchanged(batch: list[Deployment]) -> None:
    # one field at a time: a deployment of random fields is nearly always refused for one of them
    single = [replace(MINIMAL, **{field: getattr(sample, field)}) for sample in batch for field in _FIELDS]
    accepted = {f"u{index}": sample for index, sample in enumerate(single) if _is_accepted(sample)}
    services, said = generate({f"{name}.container": render(sample, "quadlet") for name, sample in accepted.items()})
    assert said == ""
    for name, sample in accepted.items():
        service = services[f"{name}.service"]
        assert _podman(service, "tiny") == (_expected_options(sample), ["--model", "/models/tiny.gguf"])
        assert unit_values(service, "Unit", "Description") == [sample.description.replace("%", "%%")]
        sources = [mount.source for mount in sample.mounts]
        assert set(unit_values(service, "Unit", "RequiresMountsFor")) == {"%t/containers", *sources}


def _is_accepted(deployment: Deployment) -> bool:
    try:
        render(deployment, "quadlet")
    except (ArgumentError, DocumentError):
        return False
    return True

"""One argv in three forms, each judged by its real reader."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import golden
from argvs import REALISTIC, argvs
from deployment_samples import FULL, MINIMAL, SAMPLES
from gpubox.arguments import FORMS, Form, check_line
from gpubox.errors import ArgumentError
from gpubox.podman_run import grouped
from gpubox.render import command_line, render, template_path, unit_filename, unit_of
from gpubox.systemd_quoting import quote_exec, split_exec, unit_values
from systemd_reader import read_commands

if TYPE_CHECKING:
    from gpubox.deployment import Deployment

ANSIBLE_PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")


def test_every_form_of_every_sample_is_the_golden_file() -> None:
    texts = {
        name + Path(unit_filename(sample, form)).suffix: render(sample, form)
        for name, sample in SAMPLES.items()
        for form in FORMS
    }
    golden.compare(Path(__file__).parent / "golden", texts)


def test_a_unit_file_is_named_after_the_deployment() -> None:
    names = [unit_filename(FULL, form) for form in FORMS]
    assert names == ["glm-5.2-1.630bpw-mtp.sh", "glm-5.2-1.630bpw-mtp.container", "glm-5.2-1.630bpw-mtp.service"]


@given(argvs())
def test_grouping_keeps_every_argument_in_its_place(argv: list[str]) -> None:
    groups = grouped(argv)
    assert [arg for group in groups for arg in group] == argv
    assert all(groups)


def test_an_option_keeps_its_values_beside_it_in_a_group() -> None:
    assert grouped(["server", "-ngl", "-1", "--mla", "3", "a", "-fa"]) == [
        ["server"],
        ["-ngl", "-1"],
        ["--mla", "3", "a"],
        ["-fa"],
    ]


# The argv through systemd


@settings(max_examples=300)
@given(argvs())
def test_a_plain_unit_runs_the_argv_unchanged(argv: list[str]) -> None:
    deployment = _with_argv(argv)
    (value,) = unit_values(render(deployment, "systemd"), "Service", "ExecStart")
    assert split_exec(value) == ["/usr/bin/podman", *command_line(deployment, "systemd")[1:]]


@pytest.mark.usefixtures("systemd")
@pytest.mark.parametrize("name", SAMPLES)
def test_systemd_reads_the_whole_command_of_a_plain_unit(name: str) -> None:
    (value,) = unit_values(render(SAMPLES[name], "systemd"), "Service", "ExecStart")
    words = command_line(SAMPLES[name], "systemd")[1:]
    # systemd shows arguments before it turns `$$` into `$`
    assert read_commands([value]) == [["/usr/bin/podman", *(word.replace("$", "$$") for word in words)]]


@pytest.mark.skipif(which("systemd-analyze") is None, reason="no systemd-analyze here; install systemd")
@pytest.mark.parametrize("name", SAMPLES)
def test_systemd_finds_no_fault_in_a_plain_unit(name: str, tmp_path: Path) -> None:
    unit = tmp_path / f"{name}.service"
    # systemd-analyze wants the executable there; podman need not be
    unit.write_text(render(SAMPLES[name], "systemd").replace("/usr/bin/podman", "/bin/true"), encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, check=False, text=True)
    about_it = [line for line in done.stderr.splitlines() if unit.name in line and "not found" not in line]
    assert about_it == []


# The argv through a shell


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_shell_gives_podman_the_argv_unchanged(shell: str, tmp_path: Path) -> None:
    if which(shell) is None:
        pytest.skip(f"no {shell} here; install it")
    _fake_podman(tmp_path)

    @settings(max_examples=15)
    @given(st.lists(argvs(), min_size=15, max_size=15))
    def check(batch: list[list[str]]) -> None:
        deployments = [_with_argv(argv) for argv in [*batch, list(REALISTIC)]]
        script = "".join(render(deployment, "command") for deployment in deployments)
        expected = [command_line(deployment, "command")[1:] for deployment in deployments]
        assert _run(shell, script, tmp_path) == expected

    check()


def _fake_podman(folder: Path) -> None:
    podman = folder / "podman"
    podman.write_text('#!/bin/sh\nprintf "%s\\0" "$#" "$@"\n', encoding="utf-8")
    podman.chmod(0o755)


def _run(shell: str, script: str, folder: Path) -> list[list[str]]:
    (folder / "script").write_text(script, encoding="utf-8", newline="")
    environment = {"PATH": f"{folder}:{os.environ['PATH']}"}
    said = subprocess.run([shell, folder / "script"], env=environment, capture_output=True, check=True).stdout
    words = iter(said.decode().split("\0")[:-1])
    return [[next(words) for _ in range(int(count))] for count in words]


# Ansible's template module, the other reader of templates/


def test_ansible_writes_the_same_bytes(tmp_path: Path) -> None:
    files = [
        {
            "src": str(template_path(form)),
            "dest": str(tmp_path / unit_filename(FULL, form)),
            "unit": unit_of(FULL, form),
        }
        for form in FORMS
    ]
    task = {
        "ansible.builtin.template": {"src": "{{ item.src }}", "dest": "{{ item.dest }}"},
        "vars": {"unit": "{{ item.unit }}"},
        "loop": "{{ files }}",
    }
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [task]}
    (tmp_path / "play.json").write_text(json.dumps([play]), encoding="utf-8")
    (tmp_path / "vars.json").write_text(json.dumps({"files": files}), encoding="utf-8")
    done = subprocess.run(
        [ANSIBLE_PLAYBOOK, "--inventory=localhost,", "--extra-vars=@vars.json", "play.json"],
        cwd=tmp_path,
        env={**os.environ, "ANSIBLE_PYTHON_INTERPRETER": sys.executable, "ANSIBLE_LOCAL_TEMP": str(tmp_path / "tmp")},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    written = {path.name: path.read_bytes().decode() for path in tmp_path.iterdir() if path.suffix not in {"", ".json"}}
    expected = {unit_filename(FULL, form): render(FULL, form) for form in FORMS}
    assert written == expected


# Refusals


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ("-m", "x", "--prefix", ""),
            (
                "tiny: argument 4 (''): Podman's generator drops an empty argument and all that follow; "
                "leave it out, or render the systemd or command form"
            ),
        ),
        (
            (";",),
            (
                "tiny: argument 1 (';'): Podman's generator leaves a lone ';' bare, where systemd ends the command; "
                "leave it out, or render the systemd or command form"
            ),
        ),
        (
            ("a\x80",),
            (
                "tiny: argument 1 ('a\\x80'): Podman's generator turns U+0080 into a broken byte; "
                "leave it out, or render the systemd or command form"
            ),
        ),
        (
            ("\uffff" + "x" * 70,),
            "tiny: argument 1 ('\\uffff"
            + "x" * 59
            + "'…): systemd ignores the line that Podman's generator writes with "
            "a Unicode non-character; leave it out, or render the systemd or command form",
        ),
    ],
)
def test_quadlet_alone_refuses_by_position_and_value(argv: tuple[str, ...], message: str) -> None:
    assert _refusal(argv, "quadlet") == message
    assert render(_with_argv(argv), "command")
    assert render(_with_argv(argv), "systemd")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("arg", "message"),
    [
        ("a\0b", "tiny: argument 2 ('a\\x00b'): a NUL ends an argument; leave the NUL out"),
        (
            "\udc80",
            "tiny: argument 2 ('\\udc80'): half of a surrogate pair is no character; write the character itself",
        ),
        (
            "x" * 131072,
            "tiny: argument 2 ('" + "x" * 60 + "'…): 131072 bytes; Linux executes no program with an argument above "
            "131071; pass it as a file",
        ),
    ],
    ids=["NUL", "surrogate", "128 KiB"],
)
def test_every_form_refuses_what_no_program_can_be_given(form: Form, arg: str, message: str) -> None:
    assert _refusal(("--x", arg), form) == message


@pytest.mark.parametrize("form", ["quadlet", "systemd"])
def test_a_unit_refuses_a_command_line_longer_than_systemd_reads(form: Form) -> None:
    argv = ("x" * 131071,) * 8
    size = len(quote_exec(command_line(_with_argv(argv), form)).encode())
    assert _refusal(argv, form) == (
        f"tiny: its command line takes {size} bytes in a unit file; 1044480 fit into the longest line that systemd "
        "reads; pass long texts (a grammar, a chat template) as files"
    )


def test_a_shell_command_has_no_such_limit() -> None:
    check_line("tiny", ("x" * 131071,) * 8, "command")


def test_a_variable_that_a_form_cannot_carry_is_named() -> None:
    deployment = replace(MINIMAL, environment={"A": "\x80"})
    with pytest.raises(ArgumentError) as refusal:
        render(deployment, "quadlet")
    assert str(refusal.value) == (
        "tiny: environment.A ('--env=A=\\x80'): Podman's generator turns U+0080 into a broken byte; "
        "leave it out, or render the systemd or command form"
    )


def _with_argv(argv: tuple[str, ...] | list[str]) -> Deployment:
    return replace(MINIMAL, argv=tuple(argv))


def _refusal(deployment_argv: tuple[str, ...], form: Form) -> str:
    with pytest.raises(ArgumentError) as refusal:
        render(_with_argv(deployment_argv), form)
    return str(refusal.value)

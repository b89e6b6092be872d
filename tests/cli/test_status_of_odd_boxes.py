"""`gpubox status` where one box answers what nobody expects: the others are shown all the same."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from cli.console import Console
from cli.ssh_box import STATUS, SshBox
from gpubox.cli.status import tell_bugs
from gpubox.fleet import BoxStatus, ask_fleet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

OLD = "its program's answer is not that of this version"


@pytest.fixture
def boxes(tmp_path: Path) -> Iterator[dict[str, SshBox]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(SshBox(tmp_path)) for name in ("odd", "sane")}


@pytest.fixture
def console(tmp_path: Path, boxes: Mapping[str, SshBox]) -> Console:
    (tmp_path / "inventory" / "profiles").mkdir(parents=True)
    hosts = {name: box.variables for name, box in boxes.items()}
    (tmp_path / "inventory" / "boxes.yml").write_text(json.dumps({"gpu_boxes": {"hosts": hosts}}))
    return Console(tmp_path)


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        (["Segmentation fault"], "its program's answer is no status: 'Segmentation fault'"),
        (["[1, 2]"], "its program's answer is no status: '[1, 2]'"),
        ([], "its program said nothing"),
        ([{"active": {}}], f"{OLD} (serving: Field required)"),
        ([{**STATUS, "gpus": [{"used_mib": "much"}]}], f"{OLD} (gpus.0.used_mib: Input should be a valid integer, "),
        ([{**STATUS, "serving": {}}], f"{OLD} (serving: Value error, does not tell of each active profile"),
        ([{"event": "end", "outcome": "refused", "text": "state.json: is damaged"}], "state.json: is damaged"),
    ],
    ids=["no JSON", "no object", "nothing", "fields missing", "wrong type", "half an answer", "its own fault"],
)
def test_an_answer_that_is_not_understood_is_that_boxs_fault_alone(
    console: Console, boxes: Mapping[str, SshBox], *, said: list[str | dict[str, Any]], fault: str
) -> None:
    boxes["odd"].says("status", *said)
    done = console.run("status", "--json")
    assert (done.returncode, done.stderr) == (1, "")
    odd, sane = json.loads(done.stdout)
    assert odd["fault"].startswith(fault)
    assert (odd["well"], odd["status"]) == (False, {})
    assert (sane["well"], sane["status"], sane["fault"]) == (True, STATUS, "")
    shown = console.run("status").stdout.splitlines()
    assert [line.split()[:2] for line in shown[1:]] == [["odd", fault.partition(" ")[0]], ["sane", "one"]]


@pytest.mark.parametrize(
    ("variables", "fault"),
    [
        ({"ansible_port": "ssh"}, "invalid literal for int() with base 10: 'ssh'"),
        ({"ansible_ssh_common_args": "-o 'Port 22"}, "No closing quotation"),
        ({"ansible_ssh_common_args": "-F /nowhere/config"}, None),
    ],
)
def test_settings_that_can_not_be_read_are_that_boxs_fault_alone(
    console: Console, boxes: Mapping[str, SshBox], *, variables: dict[str, str], fault: str | None
) -> None:
    hosts = {"odd": boxes["odd"].variables | variables, "sane": boxes["sane"].variables}
    (console.folder / "inventory" / "boxes.yml").write_text(json.dumps({"gpu_boxes": {"hosts": hosts}}))
    done = console.run("status", "--json")
    odd, sane = json.loads(done.stdout)
    assert sane["well"]
    if fault:
        assert (done.returncode, odd["fault"]) == (1, f"its SSH settings can't be read: {fault}")


class Unreadable(dict[str, Any]):
    """Variables that break whoever looks at them, as a bug of ours would."""

    def get(self, *_: object) -> Any:
        raise RuntimeError("no such thing")


def test_a_bug_that_one_box_brings_out_is_told_with_its_traceback_and_the_others_are_shown(
    boxes: Mapping[str, SshBox], capsys: pytest.CaptureFixture[str]
) -> None:
    found = {one.box: one for one in ask_fleet({"odd": Unreadable(), "sane": boxes["sane"].variables})}
    assert found["sane"].well
    assert (found["odd"].fault, found["odd"].well) == ("gpubox failed on it: RuntimeError: no such thing", False)
    assert tell_bugs(list(found.values())) == 3
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-2:] == [
        "RuntimeError: no such thing",
        "gpubox: this is a bug in gpubox; please report it with the lines above",
    ]


def test_without_a_bug_nothing_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert tell_bugs([BoxStatus("gone", fault="can't be reached")]) == 0
    assert capsys.readouterr().err == ""

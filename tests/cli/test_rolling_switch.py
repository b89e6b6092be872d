"""`gpubox switch` of several boxes, each a stand-in behind SSH: in which order, when it stops, and what is told."""

from __future__ import annotations

import json
import re
import signal
import socket
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from cli.console import Console
from cli.ssh_box import SshBox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WHY = "one serves again, because two does not: two: it ended with exit status 3; see its last lines"


class Fleet:
    """Boxes a, b, c and d of the group gpu_boxes, whose switches end well unless a test says otherwise."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.boxes = {name: stack.enter_context(SshBox(folder)) for name in "abcd"}
        for box in self.boxes.values():
            box.ends("switched", "two serves", active=["two"])
        self.hosts = {name: box.variables for name, box in self.boxes.items()}
        self.console = Console(folder)
        (folder / "inventory" / "profiles").mkdir(parents=True)
        self.write()

    def write(self) -> None:
        path = self.console.folder / "inventory" / "boxes.yml"
        path.write_text(json.dumps({"gpu_boxes": {"hosts": self.hosts}}))

    def close(self, name: str) -> int:
        """Let nothing listen where a box was; return the port."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            port: int = server.getsockname()[1]
        self.hosts[name]["ansible_port"] = port
        self.write()
        return port

    def switch(self, *words: str) -> tuple[int, list[list[str]], list[str]]:
        """Switch to two; return the exit status, the table's cells without the seconds, and the lines of standard error."""
        done = self.console.run("switch", "two", *words)
        rows = [re.split(r" {2,}", re.sub(r" +\d+\.\d(?= |$)", "", line)) for line in done.stdout.splitlines()]
        return done.returncode, rows, done.stderr.splitlines()

    @property
    def asked(self) -> list[str]:
        """The boxes that were asked to switch, in that order."""
        found = [(when, name) for name, box in self.boxes.items() for when, words in box.asked if words[:3] == "run"]
        return [name for _, name in sorted(found)]

    def begun(self, name: str) -> float:
        """When a box was asked to switch."""
        return next(when for when, words in self.boxes[name].asked if words[:3] == "run")


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with ExitStack() as stack:
        yield Fleet(stack, tmp_path)


HEADS = ["BOX", "OUTCOME", "SERVES", "SECONDS"]


def test_boxes_are_switched_one_after_the_other_in_the_order_asked_for(fleet: Fleet) -> None:
    for name in "cab":
        fleet.boxes[name].ends("switched", "two serves", active=["two"], delay_s=0.3)
    status, rows, told = fleet.switch("--host", "c,a,b")
    assert (status, told, fleet.asked) == (0, [], ["c", "a", "b"])
    assert rows == [HEADS, ["c", "switched", "two"], ["a", "switched", "two"], ["b", "switched", "two"]]
    assert fleet.begun("a") - fleet.begun("c") > 0.3
    assert fleet.begun("b") - fleet.begun("a") > 0.3


def test_a_group_stands_for_its_boxes_each_once(fleet: Fleet) -> None:
    status, rows, _ = fleet.switch("--host", "b,gpu_boxes")
    assert (status, [row[0] for row in rows[1:]]) == (0, ["b", "a", "c", "d"])
    assert fleet.asked == ["b", "a", "c", "d"]


def test_a_batch_is_switched_at_the_same_time_and_the_next_after_all_of_it(fleet: Fleet) -> None:
    for name in "ab":
        fleet.boxes[name].ends("switched", "two serves", active=["two"], delay_s=3)
    status, _, _ = fleet.switch("--host", "a,b,c", "--batch", "2")
    assert status == 0
    assert abs(fleet.begun("a") - fleet.begun("b")) < 3
    assert fleet.begun("c") - max(fleet.begun("a"), fleet.begun("b")) > 3


def test_the_first_failure_leaves_the_rest_untouched(fleet: Fleet) -> None:
    fleet.boxes["b"].ends("rolled back", WHY, active=["one"])
    status, rows, told = fleet.switch("--host", "gpu_boxes")
    assert (status, fleet.asked) == (1, ["a", "b"])
    assert rows == [
        HEADS,
        ["a", "switched", "two"],
        ["b", "rolled back", "one", WHY],
        ["c", "untouched", "-", "-"],
        ["d", "untouched", "-", "-"],
    ]
    assert told == [f"gpubox: b: {WHY}"]


def test_a_batch_with_a_failure_is_waited_for_and_is_the_last(fleet: Fleet) -> None:
    fleet.boxes["a"].ends("refused", "nothing was changed: model.gguf: is missing", active=["one"])
    fleet.boxes["b"].ends("switched", "two serves", active=["two"], delay_s=1)
    status, rows, _ = fleet.switch("--host", "gpu_boxes", "--batch", "2")
    assert (status, sorted(fleet.asked)) == (1, ["a", "b"])
    assert [row[:3] for row in rows[1:]] == [
        ["a", "refused", "one"],
        ["b", "switched", "two"],
        ["c", "untouched", "-"],
        ["d", "untouched", "-"],
    ]


def test_keep_going_switches_the_others_and_is_a_failure_all_the_same(fleet: Fleet) -> None:
    fleet.boxes["a"].ends("failed", "NOTHING SERVES in place of one: two: it ended", active=[])
    status, rows, told = fleet.switch("--host", "gpu_boxes", "--keep-going")
    assert (status, fleet.asked) == (1, ["a", "b", "c", "d"])
    assert rows[1:] == [
        ["a", "failed", "NOTHING", "NOTHING SERVES in place of one: two: it ended"],
        *([name, "switched", "two"] for name in "bcd"),
    ]
    assert told == ["gpubox: a: NOTHING SERVES in place of one: two: it ended"]


def test_an_unreachable_box_stops_the_rest_too(fleet: Fleet) -> None:
    port = fleet.close("b")
    status, rows, told = fleet.switch("--host", "gpu_boxes")
    fault = f"can't be reached: [Errno None] Unable to connect to port {port} on 127.0.0.1"
    remedy = "does `ssh 127.0.0.1` work? ansible_host and the like are in the inventory"
    assert (status, fleet.asked) == (1, ["a"])
    assert rows[2] == ["b", "unreachable", "-", f"{fault}; {remedy}"]
    assert [row[:2] for row in rows[3:]] == [["c", "untouched"], ["d", "untouched"]]
    assert told == [f"gpubox: b: {fault}; {remedy}"]


def test_with_keep_going_an_unreachable_box_costs_the_others_nothing(fleet: Fleet) -> None:
    fleet.close("b")
    status, rows, _ = fleet.switch("--host", "gpu_boxes", "--keep-going", "--batch", "4")
    assert (status, sorted(fleet.asked)) == (1, ["a", "c", "d"])
    assert [row[1] for row in rows[1:]] == ["switched", "unreachable", "switched", "switched"]


def test_json_has_every_box_once(fleet: Fleet) -> None:
    fleet.boxes["b"].ends("rolled back", WHY, active=["one"])
    done = fleet.console.run("switch", "two", "--host", "gpu_boxes", "--json")
    said = json.loads(done.stdout)
    seconds = [box.pop("seconds") for box in said["boxes"]]
    assert (done.returncode, done.stderr, all(0 < one < 60 for one in seconds)) == (1, "", True)
    assert said == {
        "profile": "two",
        "boxes": [
            {"box": "a", "outcome": "switched", "text": "two serves", "active": ["two"]},
            {"box": "b", "outcome": "rolled back", "text": WHY, "active": ["one"]},
        ],
        "untouched": ["c", "d"],
    }


def test_a_dry_run_prints_the_plan_of_each_box(fleet: Fleet) -> None:
    for name in "ab":
        fleet.boxes[name].ends("planned", f"stop one.service\nstart two.service, image {name}")
    done = fleet.console.run("switch", "two", "--host", "a,b", "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[3:] == [
        *("", "a:", "stop one.service", "start two.service, image a"),
        *("", "b:", "stop one.service", "start two.service, image b"),
    ]
    assert all("--dry-run" in box.asked[0][1] for name, box in fleet.boxes.items() if name in "ab")


def test_an_answer_that_nobody_expects_ends_that_box_alone_and_is_a_bug(fleet: Fleet) -> None:
    fleet.boxes["a"].says("switch", {"event": "end"})
    status, rows, told = fleet.switch("--host", "a,b", "--keep-going")
    assert (status, fleet.asked) == (3, ["a", "b"])
    assert rows[1:] == [
        ["a", "unknown", "-", "gpubox failed on it: KeyError: 'outcome'; see gpubox status a"],
        ["b", "switched", "two"],
    ]
    assert told[0] == "Traceback (most recent call last):"
    assert told[-1] == "gpubox: this is a bug in gpubox; please report it with the lines above"


def test_a_host_that_is_not_in_the_inventory_is_told_before_anything_is_asked(fleet: Fleet) -> None:
    done = fleet.console.run("switch", "two", "--host", "a,e")
    assert (done.returncode, fleet.asked) == (1, [])
    assert done.stderr == (f"gpubox: e: no such host in {fleet.console.folder}/inventory; known are: a, b, c, d\n")


def test_ctrl_c_tells_what_goes_on_and_what_is_untouched(fleet: Fleet) -> None:
    fleet.boxes["b"].ends("switched", "two serves", active=["two"], delay_s=10)
    process = fleet.console.start("switch", "two", "--host", "gpu_boxes")
    end = time.monotonic() + 60
    while "b" not in fleet.asked:
        assert time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert told.splitlines() == [
        "the switch goes on on b; `gpubox switch` again tells when it has ended",
        "untouched: c, d",
        "gpubox: interrupted",
    ]

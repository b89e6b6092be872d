"""`gpubox switch` of two real boxes at once or one after the other, and what is told of both."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from e2e.switching import SwitchingBox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.lab import Lab

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
LOAD_S = 4.0


class Pair:
    """Two boxes in one inventory.

    Args:
        first: the box that is switched first.
        second: the other.
        folder: for the inventory.
    """

    def __init__(self, first: SwitchingBox, second: SwitchingBox, folder: Path) -> None:
        self.first, self.second = first, second
        self._folder = folder
        hosts: dict[str, Any] = {}
        for there in (first, second):
            hosts |= json.loads((there.operator.folder / "boxes.yml").read_text())["gpu_boxes"]["hosts"]
        (folder / "boxes.yml").write_text(json.dumps({"gpu_boxes": {"hosts": hosts}}))
        (folder / "profiles").symlink_to(first.operator.folder / "profiles")

    def gpubox(self, *words: str) -> tuple[int, Any]:
        """Run `gpubox`; return its exit status and the JSON that it printed."""
        done = subprocess.run(
            [Path(sys.executable).with_name("gpubox"), *words, "--json"],
            env={**os.environ, "GPUBOX_INVENTORY": str(self._folder)},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip  # one call
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout.splitlines()[-1])

    def switch(self, *words: str) -> tuple[int, dict[str, str]]:
        """Switch the group to `two`; return the exit status and each box's outcome."""
        status, said = self.gpubox("switch", "two", "--host", "gpu_boxes", "--no-prewarm", "--watch=1", *words)
        return status, {box["box"]: box["outcome"] for box in said["boxes"]}

    def both(self, first: str, second: str) -> dict[str, str]:
        """Return what is said of both, by their names."""
        return {self.first.box.name: first, self.second.box.name: second}

    def answering(self) -> tuple[list[str], list[str]]:
        """Return which profiles complete a prompt on each."""
        return self.first.answering(), self.second.answering()

    def seconds(self, step: str) -> tuple[float, float]:
        """Return when a step of each box's last switch began, by the clock that both share."""
        times = [dict(there.state()["switch"]["steps"])[step] for there in (self.first, self.second)]
        first, second = (
            time.mktime(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")) + float(text[19:23]) for text in times
        )
        return first, second


@pytest.fixture(scope="module")
def other_box(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwitchingBox]:
    """A second box like the one that all tests share."""
    made = SwitchingBox(lab, tmp_path_factory.mktemp("operator"))
    yield made
    lab.remove(made.box)


@pytest.fixture
def pair(there: SwitchingBox, other_box: SwitchingBox, tmp_path: Path) -> Pair:
    """Both, on each of which `one` serves; their `two` takes some seconds to load."""
    other_box.reset()
    for box in (there, other_box):
        box.behave("two", load_s=LOAD_S)
    return Pair(there, other_box, tmp_path)


def test_one_after_the_other_one_box_serves_at_every_moment(pair: Pair) -> None:
    over, silent = threading.Event(), 0

    def watch() -> None:
        nonlocal silent
        while not over.is_set():
            silent += not any(pair.answering())
            time.sleep(0.2)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        assert pair.switch("--batch", "1") == (0, pair.both("switched", "switched"))
    finally:
        over.set()
        watcher.join()
    assert (pair.answering(), silent) == ((["two"], ["two"]), 0)
    assert pair.seconds("preflight")[1] > pair.seconds("watch")[0]


def test_as_a_batch_they_load_at_the_same_time(pair: Pair) -> None:
    assert pair.switch("--batch", "2") == (0, pair.both("switched", "switched"))
    assert pair.answering() == (["two"], ["two"])
    assert abs(pair.seconds("load")[0] - pair.seconds("load")[1]) < LOAD_S


def test_after_a_failure_the_next_box_is_not_touched(pair: Pair) -> None:
    pair.first.behave("two", crashes=True, lines=["error: unknown argument: --no-such"])
    last = pair.second.last_id()
    assert pair.switch("--batch", "1")[0] == 1
    assert (pair.answering(), pair.second.last_id()) == ((["one"], ["one"]), last)
    status, said = pair.gpubox("status", "gpu_boxes")
    assert (status, [list(box["status"]["active"]) for box in said]) == (0, [["one"], ["one"]])
    assert said[0]["status"]["switch"]["outcome"] == "rolled back"


def test_what_is_cut_off_costs_the_other_nothing(pair: Pair) -> None:
    pair.first.box.cut_network()
    try:
        begun = time.monotonic()
        status, outcomes = pair.switch("--batch", "2", "--keep-going")
        assert (status, outcomes) == (1, pair.both("unreachable", "switched"))
        status, said = pair.gpubox("status", "gpu_boxes")
        assert (status, [bool(box["fault"]) for box in said]) == (1, [True, False])
        assert time.monotonic() - begun < 60
    finally:
        pair.first.box.restore_network()
    assert pair.answering() == (["one"], ["two"])

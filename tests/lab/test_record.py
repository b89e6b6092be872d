"""Facts about what is written down of a box."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from lab.errors import BoxError
from lab.process import Process
from lab.record import SSH_PORT, Record, address, claim, records


def _claim(boxes: Path, name: str | None = None) -> Record:
    return claim(boxes, name, "trixie", (Path("/layers/trixie/root"),), Process.of(os.getpid()))


def test_a_record_reads_as_it_was_written(tmp_path: Path) -> None:
    first, second = _claim(tmp_path), _claim(tmp_path, "web")
    kept = replace(second, owner=None, checkout=tmp_path)
    kept.write()
    assert records(tmp_path) == [first, kept]


def test_a_box_gets_an_address_that_nobody_serves_on(tmp_path: Path) -> None:
    free = int(_claim(tmp_path / "before").folder.name)
    with socket.create_server((address(free), SSH_PORT)):
        assert int(_claim(tmp_path / "after").folder.name) > free


def test_two_boxes_have_no_name_in_common(tmp_path: Path) -> None:
    _claim(tmp_path, "web")
    with pytest.raises(BoxError) as taken:
        _claim(tmp_path, "web")
    assert str(taken.value) == "web: there is a box of this name already; choose another name, or take the box away"


def test_a_box_is_abandoned_when_its_owner_is_gone_and_never_without_an_owner(tmp_path: Path) -> None:
    mine = _claim(tmp_path)
    me = Process.of(os.getpid())
    assert not mine.abandoned()
    assert replace(mine, owner=Process(me.pid, me.started - 1)).abandoned()
    assert not replace(mine, owner=None).abandoned()


def test_the_same_number_in_two_places_is_two_groups(tmp_path: Path) -> None:
    here, there = (Record(tmp_path / place / "1", "box-1", "trixie", (), None) for place in ("here", "there"))
    assert here.group != there.group

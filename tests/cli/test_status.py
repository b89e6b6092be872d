"""`gpubox status` where boxes do not answer: real sockets, and a real terminal."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from cli.console import GPUBOX, Console

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def silent() -> Iterator[int]:
    """Give the port of a box that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def console(tmp_path: Path, silent: int) -> Console:
    """Give the shell of somebody with a silent box and one where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        refusing = server.getsockname()[1]
    hosts = {
        name: {"ansible_host": "127.0.0.1", "ansible_port": port, "ansible_user": "root"}
        for name, port in (("mute-box", silent), ("shut-box", refusing))
    }
    (tmp_path / "inventory" / "profiles").mkdir(parents=True)
    (tmp_path / "inventory" / "boxes.yml").write_text(json.dumps({"gpu_boxes": {"hosts": hosts}}))
    return Console(tmp_path)


def test_boxes_that_answered_are_shown_while_one_is_silent(console: Console) -> None:
    master, slave = pty.openpty()
    environment = console.environment | {"TERM": "xterm", "COLUMNS": "120", "LINES": "30"}
    process = subprocess.Popen(
        [GPUBOX, "status"], cwd=console.folder, env=environment, stdin=slave, stdout=slave, stderr=slave
    )
    os.close(slave)
    try:
        shown, end = "", time.monotonic() + 60
        while not ("shut-box" in shown and "asking" in shown):
            assert time.monotonic() < end, shown
            if select.select([master], [], [], 1)[0]:
                shown += os.read(master, 65_536).decode(errors="replace")
        assert process.poll() is None  # the silent one is still waited for
        assert "asking" in shown.partition("mute-box")[2]
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        os.close(master)


def test_ctrl_c_waits_for_no_silent_box(console: Console) -> None:
    process = console.start("status", "shut-box", "mute-box")
    time.sleep(1)  # it waits for the silent one now, or else has not begun to: both must end
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert time.monotonic() - begun < 8  # the silent one is given up after ten


def test_elsewhere_each_box_has_a_line_in_the_inventorys_order(console: Console) -> None:
    done = console.run("status", "shut-box")
    assert done.returncode == 1
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["BOX", "shut-box"]
    (found,) = json.loads(console.run("status", "shut-box", "--json").stdout)
    assert (found["box"], found["well"], bool(found["fault"])) == ("shut-box", False, True)


def test_watching_asks_again(console: Console) -> None:
    process = console.start("status", "shut-box", "--watch", "0.1", "--json")
    try:
        assert process.stdout is not None
        lines = [json.loads(process.stdout.readline()) for _ in range(3)]
        assert [line[0]["box"] for line in lines] == ["shut-box"] * 3
    finally:
        process.kill()
        process.communicate()


def test_watching_redraws_in_place_on_a_terminal(console: Console) -> None:
    master, slave = pty.openpty()
    environment = console.environment | {"TERM": "xterm", "COLUMNS": "200", "LINES": "30"}
    argv = [str(GPUBOX), "status", "shut-box", "--watch", "0.1"]
    process = subprocess.Popen(argv, cwd=console.folder, env=environment, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    try:
        shown, end = "", time.monotonic() + 60
        while shown.count("each 0.1 s") < 5:
            assert time.monotonic() < end, shown
            if select.select([master], [], [], 1)[0]:
                shown += os.read(master, 65_536).decode(errors="replace")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        os.close(master)
    assert shown.count("can't be reached") >= 5
    down = shown.count("\n") - shown.count("\x1b[1A")  # lines that it has gone down in all
    assert 0 <= down <= 3


def test_watching_prints_plain_tables_elsewhere(console: Console) -> None:
    process = console.start("status", "shut-box", "--watch", "0.1")
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(4)]
    finally:
        process.kill()
        process.communicate()
    assert [line.split()[0] for line in lines] == ["BOX", "shut-box"] * 2
    assert "\x1b" not in "".join(lines)

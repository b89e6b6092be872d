"""The state file: whole after every write, and able to be written once more on a full disk."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpubox.errors import GpuboxError
from gpubox.switch_program.state import ROLL_BACK, SIZE, STEPS, State, StateFile, Switch

if TYPE_CHECKING:
    from pathlib import Path

NAMES = st.text("abc.-019", min_size=1, max_size=12)
SWITCHES = st.builds(
    Switch,
    id=NAMES,
    to=NAMES,
    stops=st.lists(NAMES, max_size=3),
    by=st.text(max_size=20),
    rollback=st.booleans(),
    step=st.sampled_from([*STEPS, ROLL_BACK]),
    outcome=st.sampled_from(["", "switched", "rolled back", "failed", "refused"]),
    reason=st.text(max_size=300),
)
STATES = st.builds(
    State,
    active=st.dictionaries(NAMES, NAMES, max_size=3),
    switch=st.none() | SWITCHES,
    sizes=st.dictionaries(NAMES, st.integers(0, 1 << 50), max_size=3),
)


@given(state=STATES)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, state: State) -> None:
    path = tmp_path_factory.mktemp("state") / "state.json"
    StateFile(path).write(state)
    assert StateFile(path).read() == state
    assert len(path.read_bytes()) == SIZE


def test_the_next_write_has_its_room_on_disk_before_it_is_needed(tmp_path: Path) -> None:
    StateFile(tmp_path / "state.json").write(State())
    following = (tmp_path / "state.json.next").stat()
    assert (following.st_size, following.st_blocks * 512) == (SIZE, SIZE)


def test_a_reason_that_is_too_long_is_cut_and_the_rest_kept(tmp_path: Path) -> None:
    switch = Switch("1", "two", reason="x" * 10 * SIZE, outcome="failed")
    StateFile(tmp_path / "state.json").write(State({}, switch))
    read = StateFile(tmp_path / "state.json").read().switch
    assert read is not None
    assert 1000 < len(read.reason) < SIZE
    assert replace(read, reason="") == replace(switch, reason="")


def test_no_file_is_an_empty_state(tmp_path: Path) -> None:
    assert StateFile(tmp_path / "state.json").read() == State()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"version": 1, "acti', "is damaged (Unterminated string starting at: line 1 column 16 (char 15)); "),
        ('{"version": 1}', "is damaged ('switch'); "),
    ],
)
def test_a_damaged_file_is_told(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(text)
    with pytest.raises(GpuboxError) as caught:
        StateFile(path).read()
    assert str(caught.value) == f"{path}: {message}remove it and run playbooks/profiles.yml"


def test_a_file_of_a_newer_gpubox_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text(json.dumps({"version": 2}))
    with pytest.raises(GpuboxError) as caught:
        StateFile(path).read()
    assert str(caught.value) == f"{path}: is from a newer gpubox; run playbooks/profiles.yml of that version"


def test_a_folder_that_cant_be_written_is_told_and_the_old_file_kept(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    StateFile(path).write(State({"one": "now"}))
    path.with_name("state.json.next").unlink()
    path.with_name("state.json.next").mkdir()
    with pytest.raises(GpuboxError) as caught:
        StateFile(path).write(State())
    assert str(caught.value) == f"{path}: can't be written: Is a directory; free space on its disk"
    assert StateFile(path).read() == State({"one": "now"})


@pytest.mark.parametrize("step", [*STEPS, ROLL_BACK])
def test_services_are_touched_from_the_step_stop_on_and_the_new_one_is_proven_in_watch(step: str) -> None:
    switch = Switch("1", "two", step=step)
    assert (switch.touched, switch.proven) == (step not in {"preflight", "prewarm"}, step == "watch")

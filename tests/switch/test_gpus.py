"""Whose memory the GPUs hold, asked of an nvidia-smi that says what a test wants."""

from __future__ import annotations

import os
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from gpubox.errors import GpuboxError
from gpubox.switch_program.gpus import (
    Card,
    Holder,
    cards,
    chosen,
    free_after,
    holders,
    not_free,
    sensors,
    wait_until_free,
)

if TYPE_CHECKING:
    from pathlib import Path

A, B = (f"GPU-{letter * 8}-0000-0000-0000-000000000000" for letter in "ab")
CARDS = [Card(0, A, 4, 97_887), Card(1, B, 4, 97_887)]


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Put an nvidia-smi first on PATH; `$1` is the query, and `$N` counts its calls from 1."""
    program = folder / "nvidia-smi"
    counted = f'echo >> {folder}/calls; N=$(wc -l < {folder}/calls)\ncase "$1" in\n{text}\nesac\n'
    program.write_text(f"#!/bin/sh\n{counted}")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_cards_and_holders_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(
        tmp_path,
        monkeypatch,
        f"*gpu=index*) echo '0, {A}, 4, 97887'; echo '1, {B}, [N/A], 97887' ;;\n"
        f"*compute-apps*) echo '{A}, {os.getpid()}, /usr/bin/llama-server, 40000'; echo 'No running processes found' ;;",
    )
    assert cards() == [CARDS[0], Card(1, B, 0, 97_887)]
    assert [(one.uuid, one.pid, one.name, one.mib) for one in holders()] == [(A, os.getpid(), "llama-server", 40_000)]


def test_a_name_may_have_commas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = "*gpu=index*) echo '0, Card, Server Edition, 4, 97887, 71.5, [N/A], 580.65.06' ;;\n"
    install(tmp_path, monkeypatch, f"{answers}*compute-apps*) echo '{A}, 0, /opt/serve, then/a, b, 40000' ;;")
    assert (sensors()[0]["name"], sensors()[0]["total_mib"]) == ("Card, Server Edition", 97_887)
    assert [(one.name, one.mib) for one in holders()] == [("a, b", 40_000)]


def test_a_failing_nvidia_smi_is_told_in_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "*) echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18 ;;")
    with pytest.raises(GpuboxError) as caught:
        cards()
    message = "nvidia-smi: Failed to initialize NVML: Driver/library version mismatch; mend the driver first"
    assert str(caught.value) == message


def test_no_nvidia_smi_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GpuboxError) as caught:
        holders()
    assert str(caught.value) == "nvidia-smi: is not installed; run playbooks/provision.yml"


@pytest.mark.parametrize(
    ("gpus", "indices"), [("all", [0, 1]), ("none", []), ([1], [1]), ([B, 0], [1, 0])], ids=["all", "none", "1", "uuid"]
)
def test_a_profile_names_gpus_by_index_uuid_or_all(gpus: str | list[int | str], indices: list[int]) -> None:
    assert [card.index for card in chosen(gpus, CARDS)] == indices


def test_a_gpu_that_is_not_there_is_told() -> None:
    with pytest.raises(GpuboxError) as caught:
        chosen([2], CARDS)
    assert str(caught.value) == (f"GPU 2: is not in this box; it has 0 ({A}), 1 ({B}); correct gpus in the profile")


def test_only_the_wanted_gpus_have_to_be_free() -> None:
    held = [Holder(B, 0, "llama-server", 40_000)]
    busy = [CARDS[0], Card(1, B, 40_004, 97_887)]
    assert not_free(CARDS[:1], busy, held) == ""
    assert not_free(CARDS, busy, held) == f"llama-server (pid 0) holds 40000 MiB of {B}"


def test_memory_that_nobody_seems_to_hold_is_not_free_either() -> None:
    busy = [Card(0, A, 40_000, 97_887), CARDS[1]]
    assert not_free(CARDS, busy, []) == f"40000 MiB of {A} are in use by no process that is seen"
    assert not_free(CARDS, [Card(0, A, 4 + 256, 97_887), CARDS[1]], []) == ""


def test_the_wait_ends_when_the_memory_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(
        tmp_path,
        monkeypatch,
        f"*gpu=index*) echo '0, {A}, 4, 97887' ;;\n"
        f"*compute-apps*) test $N -gt 4 || echo '{A}, 0, /usr/bin/llama-server, 40000' ;;",
    )
    told: list[str] = []
    wait_until_free(CARDS[:1], 30, told.append)
    assert told == [f"llama-server (pid 0) holds 40000 MiB of {A}"]


def test_the_wait_has_a_limit_and_names_the_holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(
        tmp_path, monkeypatch, f"*gpu=index*) echo '0, {A}, 4, 97887' ;;\n*compute-apps*) echo '{A}, 0, /bin/x, 9' ;;"
    )
    with pytest.raises(GpuboxError) as caught:
        wait_until_free(CARDS[:1], 0, lambda _: None)
    assert str(caught.value) == (
        f"VRAM: not free after 0 s: x (pid 0) holds 9 MiB of {A}; end that process, then switch again"
    )


FREE = f"*gpu=index*) echo '0, {A}, 4, 97887' ;;\n*compute-apps*) ;;"
FULL = f"*gpu=index*) echo '0, {A}, 40000, 97887' ;;\n*compute-apps*) ;;"


@pytest.mark.parametrize(("answers", "found_free"), [(FREE, [True]), (FULL, [False]), ("*) exit 9 ;;", [False])])
def test_when_its_holders_have_ended_memory_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: str, found_free: list[bool]
) -> None:
    install(tmp_path, monkeypatch, answers)
    holder = subprocess.Popen(["sleep", "60"])
    found: list[bool] = []
    held = [Holder(A, holder.pid, "sleep", 40_000)]
    waiter = threading.Thread(target=lambda: found.append(free_after(CARDS[:1], held, lambda: False)))
    waiter.start()
    waiter.join(0.3)
    assert (found, (tmp_path / "calls").exists()) == ([], False)  # as long as it lives, nothing is asked
    holder.kill()
    holder.wait()
    waiter.join(10)
    assert found == found_free


def test_memory_is_not_free_for_certain_while_its_holder_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, FREE)
    assert not free_after(CARDS[:1], [Holder(A, os.getpid(), "python", 40_000)], lambda: True)

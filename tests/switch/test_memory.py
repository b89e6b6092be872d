"""How far a load is, and when a model may be read ahead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpubox.errors import GpuboxError
from gpubox.switch_program.memory import SPARE, WINDOW_S, LoadProgress, bytes_read, in_words, prewarm, prewarm_fault

if TYPE_CHECKING:
    from pathlib import Path

GB = 10**9


@given(st.integers(1, 200 * GB), st.lists(st.integers(0, 400 * GB), min_size=1, max_size=30))
def test_progress_never_goes_back_nor_beyond_the_model(size: int, seen: list[int]) -> None:
    progress = LoadProgress(size)
    done = []
    for second, count in enumerate(seen):
        progress.update(count, float(second))
        done.append(progress.done)
    assert done == sorted(done)
    assert done[-1] == min(max(seen), size)


@given(st.integers(1, 10), st.integers(2, 60))
def test_a_steady_load_ends_when_it_was_said_to(speed_gb: int, seconds: int) -> None:
    progress = LoadProgress(1000 * GB)
    for second in range(seconds):
        progress.update(second * speed_gb * GB, float(second))
    left = 1000 / speed_gb - (seconds - 1)
    assert progress.remaining_s == pytest.approx(left)


def test_progress_is_told_with_an_estimate_of_the_last_15_seconds() -> None:
    progress = LoadProgress(184 * GB)
    progress.update(0, 0.0)
    assert str(progress) == "0.0 MB of 184 GB read (0 %)"
    progress.update(100 * GB, 10.0)
    assert str(progress) == "100 GB of 184 GB read (54 %), about 8 s to go"
    progress.update(100 * GB, 10.0 + WINDOW_S)
    progress.update(101 * GB, 11.0 + WINDOW_S)
    assert str(progress) == "101 GB of 184 GB read (54 %), about 83 s to go"
    progress.update(184 * GB, 12.0 + WINDOW_S)
    assert str(progress) == "184 GB of 184 GB read (100 %)"


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0.0 MB"), (32_674_400, "32.7 MB"), (12_345_000_000, "12.3 GB"), (184 * GB, "184 GB")]
)
def test_sizes_are_said_as_people_say_them(size: int, words: str) -> None:
    assert in_words(size) == words


def test_the_larger_of_resident_and_read_counts_of_the_busiest_process(tmp_path: Path) -> None:
    for pid, (resident_kb, rchar, read_bytes) in {1: (500, 10, 0), 2: (7, 9_000_000, 4096), 3: (20, 5, 0)}.items():
        folder = tmp_path / str(pid)
        folder.mkdir()
        (folder / "status").write_text(f"Name:\tllama-server\nVmRSS:\t   {resident_kb} kB\n")
        (folder / "io").write_text(f"rchar: {rchar}\nwchar: 99999999\nread_bytes: {read_bytes}\n")
    assert bytes_read([1, 2, 3, 4], tmp_path) == 9_000_000
    assert bytes_read([1, 3], tmp_path) == 512_000
    assert bytes_read([], tmp_path) == 0


@pytest.mark.parametrize(
    ("available_gb", "mapped_gb", "fault"),
    [
        (700, 0, ""),
        (700, 500, ""),
        (700, 520, "the model has 184 GB, and 180 GB of memory are free for it"),
        (3, 4, "the model has 184 GB, and 0.0 MB of memory are free for it"),
    ],
)
def test_a_model_is_read_ahead_where_memory_is_free_beside_what_is_mapped(
    tmp_path: Path, available_gb: int, mapped_gb: int, fault: str
) -> None:
    kb = [(available_gb * GB + SPARE) // 1024, mapped_gb * GB // 1024]
    (tmp_path / "meminfo").write_text(f"MemAvailable: {kb[0]} kB\nMapped: {kb[1]} kB\n")
    assert prewarm_fault(184 * GB, tmp_path) == fault


def test_a_prewarm_reads_all_and_tells_how_far_it_is(tmp_path: Path) -> None:
    files = [tmp_path / "a", tmp_path / "b"]
    for file in files:
        file.write_bytes(b"x" * (6 << 20))
    told: list[tuple[int, int]] = []
    prewarm(files, 1e12, lambda done, size: told.append((done, size)))
    assert told == [(4 << 20, 12 << 20), (6 << 20, 12 << 20), (10 << 20, 12 << 20), (12 << 20, 12 << 20)]


def test_a_file_that_cant_be_read_ahead_is_told(tmp_path: Path) -> None:
    with pytest.raises(GpuboxError) as caught:
        prewarm([tmp_path], 1e12, lambda *_: None)
    assert str(caught.value) == f"{tmp_path}: can't be read: Is a directory; check the disk: dmesg"

"""Fingerprints of model files and their cache."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gpubox.errors import ModelFileError
from gpubox.model_file import BLOCK, default_cache, fingerprint, parts_of


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "gpubox" / "sha256.json"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "x.gguf"
    path.write_bytes(b"GGUF" + b"x" * 1000)
    return path


def digest(*data: bytes) -> str:
    return hashlib.sha256(b"".join(data)).hexdigest()


def test_one_file_has_its_own_sha256_and_size(model: Path, cache: Path) -> None:
    found = fingerprint(model, cache)
    assert (found.path, found.size, found.sha256) == (model, 1004, digest(model.read_bytes()))
    assert [(part.path, part.size, part.sha256) for part in found.parts] == [(model, 1004, found.sha256)]


def test_an_unchanged_file_is_not_read_again(model: Path, cache: Path) -> None:
    first = fingerprint(model, cache)
    before = model.stat()
    model.write_bytes(b"y" * before.st_size)  # other content, and then the old times: only a read could tell
    os.utime(model, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert fingerprint(model, cache, lambda *_: pytest.fail("it was read")) == first


@pytest.mark.parametrize("change", ["size", "time", "inode"])
def test_a_changed_file_is_hashed_again(change: str, model: Path, cache: Path) -> None:
    first = fingerprint(model, cache)
    before = model.stat()
    if change == "size":
        model.write_bytes(b"y" * (before.st_size + 1))
        os.utime(model, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif change == "time":
        model.write_bytes(b"y" * before.st_size)
        os.utime(model, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    else:
        other = model.with_suffix(".new")
        other.write_bytes(b"y" * before.st_size)
        os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
        other.replace(model)
    assert fingerprint(model, cache).sha256 == digest(model.read_bytes()) != first.sha256


def test_any_part_of_a_split_model_stands_for_the_whole(tmp_path: Path, cache: Path) -> None:
    parts = [tmp_path / f"m-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    for number, part in enumerate(parts):
        part.write_bytes(bytes([number]) * (number + 1))
    found = fingerprint(parts[1], cache)
    assert [(part.path, part.size, part.sha256) for part in found.parts] == [
        (part, part.stat().st_size, digest(part.read_bytes())) for part in parts
    ]
    assert (found.path, found.size) == (parts[0], 6)
    listing = "".join(f"{part.sha256}\n" for part in found.parts)
    assert found.sha256 == digest(listing.encode())
    assert fingerprint(parts[2], cache) == found


def test_a_name_that_only_looks_split_is_one_file() -> None:
    for name in ("m-1-of-3.gguf", "m-00001-of-00003.gguf.part", "x.gguf"):
        assert parts_of(Path(name)) == [Path(name)]


def test_progress_counts_the_bytes_of_all_parts_that_are_read(tmp_path: Path, cache: Path) -> None:
    parts = [tmp_path / f"m-0000{number}-of-00002.gguf" for number in (1, 2)]
    parts[0].write_bytes(bytes(BLOCK + 5))
    parts[1].write_bytes(bytes(7))
    seen: list[tuple[int, int]] = []
    fingerprint(parts[0], cache, lambda done, total: seen.append((done, total)))
    assert seen == [(BLOCK, BLOCK + 12), (BLOCK + 5, BLOCK + 12), (BLOCK + 12, BLOCK + 12)]


def test_an_interrupted_run_keeps_the_parts_that_were_done(tmp_path: Path, cache: Path) -> None:
    parts = [tmp_path / f"m-0000{number}-of-00002.gguf" for number in (1, 2)]
    for part in parts:
        part.write_bytes(bytes(10))

    def interrupt(done: int, _: int) -> None:
        if done > 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fingerprint(parts[0], cache, interrupt)
    assert list(json.loads(cache.read_text()).values()) == [digest(bytes(10))]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1]", b'{"1:2:3:4": "not a digest"}', b'{"a": 1}'])
def test_a_damaged_cache_is_replaced(content: bytes, model: Path, cache: Path) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_bytes(content)
    found = fingerprint(model, cache)
    assert list(json.loads(cache.read_text()).values()) == [found.sha256]


def test_a_cache_that_cannot_be_written_is_done_without(model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert fingerprint(model, tmp_path / "file" / "sha256.json").sha256 == digest(model.read_bytes())


def test_two_processes_do_not_lose_each_others_digests(tmp_path: Path, cache: Path) -> None:
    names = [[f"{who}{number}" for number in range(40)] for who in "ab"]
    for name in [*names[0], *names[1]]:
        (tmp_path / name).write_text(name)
    code = (
        "import sys; from pathlib import Path; from gpubox.model_file import fingerprint\n"
        "for name in sys.argv[2:]: fingerprint(Path(name), Path(sys.argv[1]))"
    )
    both = [subprocess.Popen([sys.executable, "-c", code, str(cache), *some], cwd=tmp_path) for some in names]
    assert [one.wait(60) for one in both] == [0, 0]
    assert sorted(json.loads(cache.read_text()).values()) == sorted(
        digest(name.encode()) for name in [*names[0], *names[1]]
    )
    assert {path.name for path in cache.parent.iterdir()} == {"sha256.json", "sha256.lock"}


def test_the_cache_follows_the_xdg_specification(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache() == tmp_path / "xdg" / "gpubox" / "sha256.json"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache() == tmp_path / ".cache" / "gpubox" / "sha256.json"


def test_what_is_not_a_readable_file_is_named_with_a_remedy(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "m-00001-of-00002.gguf").touch()
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "fifo.gguf")
    expected = {
        "none.gguf": "none.gguf: no such file; check the path, or download the model",
        "m-00001-of-00002.gguf": (
            "m-00002-of-00002.gguf: part 2 of 2 is missing; check the path, or download the model"
        ),
        ".": ": is a folder; name the .gguf file in it",
        "fifo.gguf": "fifo.gguf: is not a regular file; name a .gguf file",
        "file/x.gguf": "file/x.gguf: can't be read: Not a directory; check the path and its permissions",
    }
    for name, message in expected.items():
        with pytest.raises(ModelFileError) as caught:
            fingerprint(tmp_path / name, cache)
        assert str(caught.value) == f"{tmp_path}{'' if name == '.' else '/'}{message}"


def test_a_file_that_grows_while_it_is_read_is_refused(model: Path, cache: Path) -> None:
    def grow(_: int, __: int) -> None:
        if model.stat().st_size < 2000:
            with model.open("ab") as file:
                file.write(bytes(1000))

    with pytest.raises(ModelFileError) as caught:
        fingerprint(model, cache, grow)
    assert str(caught.value) == f"{model}: changed while it was read; wait until its download has ended"
    assert not cache.exists()

"""The files of a model: there, and what they were when they were known to be right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpubox.errors import ModelFileError
from gpubox.switch_program.model_files import Record, all_parts, check, hashed, identity_fault, verified


def cached(folder: Path, **record: int | str) -> Path:
    """A file as the Hugging Face cache holds it, with a record of its check."""
    blob = folder / "models--org--name" / "blobs" / "abc"
    link = folder / "models--org--name" / "snapshots" / "rev" / "x.gguf"
    for parent in (blob.parent, link.parent, blob.parents[1] / ".gpubox"):
        parent.mkdir(parents=True)
    blob.write_bytes(b"GGUF and more")
    link.symlink_to(Path("../../blobs/abc"))
    stat = blob.stat()
    known = {"sha256": "0" * 64, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns, **record}
    (blob.parents[1] / ".gpubox" / "abc.verified").write_text(json.dumps(known))
    return link


def fault(file: Path, sizes: dict[str, int] | None = None) -> str:
    with pytest.raises(ModelFileError) as caught:
        check(file, sizes or {})
    return str(caught.value).removeprefix(f"{file}: ")


def test_the_parts_of_a_split_model_are_told_from_its_first() -> None:
    assert all_parts(["/m/x-00001-of-00003.gguf"]) == [Path(f"/m/x-0000{number}-of-00003.gguf") for number in (1, 2, 3)]
    assert all_parts(["/m/x-00001-of-00003.gguf", "/m/y.gguf"]) == [Path("/m/x-00001-of-00003.gguf"), Path("/m/y.gguf")]
    assert all_parts(["/m/x.gguf"]) == [Path("/m/x.gguf")]


def test_a_verified_file_is_taken_as_it_was_when_it_was_hashed(tmp_path: Path) -> None:
    file = cached(tmp_path)
    assert (check(file, {str(file): 1}), hashed(file)) == (13, True)


def test_a_verified_file_that_changed_is_refused(tmp_path: Path) -> None:
    file = cached(tmp_path, size=14)
    assert fault(file) == (
        "has 13 bytes and had 14 when it was last known to be right; "
        "run playbooks/models.yml; if the file is new on purpose, playbooks/profiles.yml"
    )


def test_a_verified_file_with_another_time_is_refused(tmp_path: Path) -> None:
    assert fault(cached(tmp_path, mtime_ns=1)) == "was changed after its hash was checked; run playbooks/models.yml"


def test_an_unverified_file_must_be_as_long_as_when_it_last_served(tmp_path: Path) -> None:
    file = tmp_path / "x.gguf"
    file.write_bytes(b"GGUF and more")
    assert (check(file, {}), check(file, {str(file): 13}), hashed(file)) == (13, 13, False)
    assert fault(file, {str(file): 99}).startswith("has 13 bytes and had 99 when it was last known to be right; ")


def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.gguf"
    file.write_bytes(b"<html>")
    assert fault(file) == "is not a GGUF (begins with b'<htm'); run playbooks/models.yml"


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert fault(tmp_path / "x.gguf") == "can't be read: No such file or directory; run playbooks/models.yml"


@pytest.mark.parametrize(
    ("record", "sha256", "fault"),
    [
        ({}, "0" * 64, ""),
        ({}, "", ""),
        ({"inode": 1}, "", "is another file than the one whose hash was checked; run playbooks/models.yml"),
        (
            {"sha256": "a" * 64},
            "b" * 64,
            "had SHA-256 aaaaaaaaaaaa… when it was checked, and the profile wants bbbbbbbbbbbb…; run playbooks/models.yml",
        ),
    ],
    ids=["as wanted", "no hash is wanted", "another file", "another hash"],
)
def test_a_verified_file_must_be_the_one_that_the_profile_wants(
    tmp_path: Path, *, record: dict[str, int | str], sha256: str, fault: str
) -> None:
    assert identity_fault(cached(tmp_path, **record), sha256) == fault


def test_a_file_that_nobody_verified_has_no_identity_to_differ(tmp_path: Path) -> None:
    file = tmp_path / "x.gguf"
    file.write_bytes(b"GGUF and more")
    assert identity_fault(file, "b" * 64) == ""


def test_a_file_outside_the_cache_has_its_record_with_those_of_its_kind(tmp_path: Path) -> None:
    file, local = tmp_path / "x.gguf", tmp_path / "local-models.json"
    file.write_bytes(b"GGUF and more")
    assert verified(file, local) is None
    local.write_text(json.dumps({str(file): {"sha256": "a" * 64, "size": 13, "mtime_ns": 5, "inode": 7}}))
    assert verified(file, local) == Record("a" * 64, 13, 5, 7)
    local.write_text(json.dumps({str(file): {"sha256": "a" * 64, "size": 13, "mtime_ns": 5}}))  # of an earlier version
    assert verified(file, local) == Record("a" * 64, 13, 5, 0)
    local.write_text("[]")
    assert verified(file, local) is None

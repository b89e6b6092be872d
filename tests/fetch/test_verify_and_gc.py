"""Looking after a cache: are the bytes still right, and what does nobody need?"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from huggingface_hub import hf_hub_download

from fetch.box import REVISION, Box, model

if TYPE_CHECKING:
    from pathlib import Path

    from hub.server import Hub


def spoil(path: Path) -> str:
    """Flip the last byte without a trace in size and mtime; return the new hash."""
    stat = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 0xFF
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    return hashlib.sha256(content).hexdigest()


def test_a_full_verification_finds_a_bit_that_turned_over(box: Box, hub: Hub) -> None:
    box.wants(model("org/open", "a.gguf", "b.gguf"))
    box.run("fetch")
    link = box.snapshot("org/open", "b.gguf")
    found = spoil(link)
    assert box.run("verify", "--quick") == (
        0,
        "org/open/a.gguf: untouched since its check\norg/open/b.gguf: untouched since its check\n2 files are right\n",
        "",
    )
    expected = hub.etag(hub.repositories["org/open"], "b.gguf")
    assert box.run("verify") == (
        1,
        "org/open/a.gguf: right\n",
        f"org/open/b.gguf: wrong bytes (SHA-256 {found}, expected {expected}); run models.yml to fetch it again\n",
    )
    assert not link.is_symlink()


def test_what_a_verification_refused_is_fetched_again(box: Box, originals: Path) -> None:
    box.wants(model("org/open", "a.gguf"))
    box.run("fetch")
    spoil(box.snapshot("org/open", "a.gguf"))
    assert box.run("verify")[0] == 1
    assert box.run("fetch")[0] == 0
    assert box.snapshot("org/open", "a.gguf").read_bytes() == (originals / "a.gguf").read_bytes()


def test_a_file_in_place_of_the_checked_one_is_hashed(box: Box, hub: Hub) -> None:
    box.wants(model("org/open", "a.gguf"))
    box.run("fetch")
    blob = box.snapshot("org/open", "a.gguf").resolve()
    stat = blob.stat()
    blob.rename(blob.with_name("aside"))  # keeps its inode, so that the other one has another
    blob.write_bytes(b"x" * stat.st_size)
    os.utime(blob, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    found = hashlib.sha256(blob.read_bytes()).hexdigest()
    expected = hub.etag(hub.repositories["org/open"], "a.gguf")
    fault = f"org/open/a.gguf: wrong bytes (SHA-256 {found}, expected {expected}); run models.yml to fetch it again\n"
    assert box.run("verify", "--quick") == (1, "", fault)


def test_a_touched_file_is_hashed_and_trusted_again(box: Box) -> None:
    box.wants(model("org/open", "a.gguf"))
    box.run("fetch")
    os.utime(box.snapshot("org/open", "a.gguf"))
    assert box.run("plan")[1] == '{"not_in_place": ["org/open/a.gguf"]}\n'
    assert box.run("verify", "--quick") == (0, "org/open/a.gguf: right\n1 files are right\n", "")
    assert box.run("plan")[1] == '{"not_in_place": []}\n'


def test_verification_names_what_is_not_in_place(box: Box) -> None:
    box.wants(model("org/open", "a.gguf"), {"path": "/nowhere.gguf"})
    assert box.run("verify") == (
        1,
        "",
        (
            "org/open/a.gguf: not in place; run models.yml\n"
            "/nowhere.gguf: No such file or directory; put the model there, or mend model.path in the profile\n"
        ),
    )


def test_verification_hashes_local_models_again(box: Box, originals: Path) -> None:
    local = originals / "a.gguf"
    sha256 = hashlib.sha256(local.read_bytes()).hexdigest()
    box.wants({"path": str(local), "sha256": sha256})
    assert box.run("verify") == (0, "1 files are right\n", "")
    found = spoil(local)
    assert box.run("verify", "--quick")[0] == 0
    assert box.run("verify") == (
        1,
        "",
        (
            f"{local}: wrong bytes (SHA-256 {found}, the profile expects {sha256}); "
            "replace the file, or mend model.sha256 in the profile\n"
        ),
    )


def test_gc_lists_what_no_profile_needs_and_deletes_it_only_when_told(box: Box, hub: Hub) -> None:
    b = hub.etag(hub.repositories["org/open"], "b.gguf")
    box.wants(model("org/open", "a.gguf", "b.gguf"))
    box.run("fetch")
    before = box.files()
    box.wants(model("org/open", "a.gguf"))
    folder = "models--org--open"
    size = (box.repo("org/open") / f".gpubox/{b}.verified").stat().st_size
    lines = (
        f"0.000 GB {folder}/snapshots/{REVISION}/b.gguf\n"
        f"0.002 GB {folder}/blobs/{b}\n"
        f"0.000 GB {folder}/.gpubox/{b}.verified\n"
    )
    assert size < 1000
    assert box.run("gc") == (0, f"{lines}could delete 3 files, 0.002 GB\n", "")
    assert box.files() == before
    assert box.run("gc", "--delete") == (0, f"{lines}deleted 3 files, 0.002 GB\n", "")
    assert [path for path in before if path not in box.files()] == sorted([
        f"{folder}/.gpubox/{b}.verified", f"{folder}/blobs/{b}", f"{folder}/snapshots/{REVISION}/b.gguf",
    ])  # fmt: skip  # one list
    assert box.run("verify")[0] == 0
    assert box.run("gc") == (0, "could delete 0 files, 0.000 GB\n", "")


def test_gc_keeps_a_blob_as_long_as_one_needed_name_uses_it(box: Box) -> None:
    box.wants(model("org/open", "a.gguf", "UD-Q2/a-again.gguf"))
    box.run("fetch")
    box.wants(model("org/open", "a.gguf"))
    status, out, _ = box.run("gc", "--delete")
    assert (status, out.splitlines()[-1]) == (0, "deleted 1 files, 0.000 GB")
    assert box.run("verify")[0] == 0


def test_gc_leaves_no_folder_of_a_repository_that_nobody_needs(box: Box) -> None:
    box.wants(model("org/open", "UD-Q2/a-again.gguf"))
    box.run("fetch")
    box.wants()
    assert box.run("gc", "--delete")[0] == 0
    assert [path.name for path in box.cache.iterdir()] == [".locks"]


def test_gc_does_not_look_at_repositories_that_others_fetched(box: Box, hub: Hub) -> None:
    hf_hub_download("org/open", "a.gguf", revision=REVISION, endpoint=hub.endpoint, cache_dir=box.cache, token=False)
    before = box.files()
    box.wants()
    assert box.run("gc", "--delete") == (0, "deleted 0 files, 0.000 GB\n", "")
    assert box.files() == before


def test_gc_keeps_the_parts_of_a_needed_file_and_drops_those_of_others(box: Box, hub: Hub) -> None:
    hub.faults.drop_at_tenths = True
    box.settings["attempts"] = 1
    box.wants(model("org/open", "a.gguf"))
    assert box.run("fetch")[0] == 1
    before = box.files()
    assert box.run("gc", "--delete")[1] == "deleted 0 files, 0.000 GB\n"
    assert box.files() == before
    box.wants()
    assert box.run("gc", "--delete")[1].splitlines()[-1] == "deleted 2 files, 0.000 GB"
    assert box.files() == []

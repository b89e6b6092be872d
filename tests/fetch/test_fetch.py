"""The fetch when all goes well."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import hf_hub_download, scan_cache_dir

from fetch.box import REVISION, Box, model

if TYPE_CHECKING:
    from hub.server import Hub


def test_files_lie_in_the_cache_as_every_client_expects_them(box: Box, hub: Hub, originals: Path) -> None:
    box.wants(model("org/open", "a.gguf", "b.gguf"))
    status, out, err = box.run("fetch")
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == "fetches 0.004 GB"
    assert out.splitlines()[-1] == "in place: org/open/a.gguf, org/open/b.gguf"
    a, b = (hub.etag(hub.repositories["org/open"], name) for name in ("a.gguf", "b.gguf"))
    assert box.files() == sorted([
        f"models--org--open/.gpubox/{a}.verified",
        f"models--org--open/.gpubox/{b}.verified",
        f"models--org--open/blobs/{a}",
        f"models--org--open/blobs/{b}",
        f"models--org--open/snapshots/{REVISION}/a.gguf",
        f"models--org--open/snapshots/{REVISION}/b.gguf",
    ])  # fmt: skip  # one file a line
    assert str(box.snapshot("org/open", "a.gguf").readlink()) == f"../../blobs/{a}"
    for name in ("a.gguf", "b.gguf"):
        assert box.snapshot("org/open", name).read_bytes() == (originals / name).read_bytes()


def test_the_real_client_finds_the_files_without_a_network(box: Box, originals: Path) -> None:
    box.wants(model("org/open", "a.gguf"))
    box.run("fetch")
    found = hf_hub_download(
        "org/open", "a.gguf", revision=REVISION, cache_dir=box.cache, local_files_only=True, token=False
    )
    assert Path(found).read_bytes() == (originals / "a.gguf").read_bytes()
    scanned = scan_cache_dir(box.cache)
    assert [str(warning) for warning in scanned.warnings] == []
    assert [repo.repo_id for repo in scanned.repos] == ["org/open"]


def test_a_file_that_the_real_client_left_is_checked_and_kept(box: Box, hub: Hub) -> None:
    hf_hub_download("org/open", "a.gguf", revision=REVISION, endpoint=hub.endpoint, cache_dir=box.cache, token=False)
    del hub.asked[:]
    box.wants(model("org/open", "a.gguf"))
    status, out, _ = box.run("fetch")
    assert (status, out) == (
        0, "org/open/a.gguf: checks the bytes that are there\nin place: org/open/a.gguf\n",
    )  # fmt: skip  # two values
    assert [asked.server for asked in hub.asked] == ["hub"]


def test_wrong_bytes_that_another_client_left_are_fetched_again(box: Box, hub: Hub, originals: Path) -> None:
    hf_hub_download("org/open", "a.gguf", revision=REVISION, endpoint=hub.endpoint, cache_dir=box.cache, token=False)
    blob = box.snapshot("org/open", "a.gguf").resolve()
    blob.write_bytes(blob.read_bytes()[:-1] + b"?")
    box.wants(model("org/open", "a.gguf"))
    status, out, _ = box.run("fetch")
    assert (status, out.splitlines()[1]) == (
        0, "org/open/a.gguf: the bytes that are there are wrong; deletes and fetches them",
    )  # fmt: skip  # two values
    assert blob.read_bytes() == (originals / "a.gguf").read_bytes()


def test_a_second_run_asks_nobody(box: Box, hub: Hub) -> None:
    box.wants(model("org/open", "a.gguf", "UD-Q2/a-again.gguf"))
    box.run("fetch")
    del hub.asked[:]
    assert box.run("fetch") == (0, "everything was in place\n", "")
    assert box.run("plan") == (0, '{"not_in_place": []}\n', "")
    assert hub.asked == []


def test_the_plan_names_what_is_not_in_place(box: Box, hub: Hub) -> None:
    box.wants(model("org/open", "a.gguf"))
    box.run("fetch")
    box.wants(model("org/open", "a.gguf", "b.gguf"), model("org/closed", "a.gguf"))
    del hub.asked[:]
    assert box.run("plan") == (0, '{"not_in_place": ["org/open/b.gguf", "org/closed/a.gguf"]}\n', "")
    assert hub.asked == []


def test_a_file_changed_behind_our_back_is_not_in_place(box: Box, originals: Path) -> None:
    box.wants(model("org/open", "a.gguf"))
    box.run("fetch")
    link = box.snapshot("org/open", "a.gguf")
    link.write_bytes(link.read_bytes()[:-1])
    assert box.run("plan") == (0, '{"not_in_place": ["org/open/a.gguf"]}\n', "")
    assert box.run("fetch")[0] == 0
    assert link.read_bytes() == (originals / "a.gguf").read_bytes()


def test_the_same_bytes_are_fetched_once(box: Box, hub: Hub, originals: Path) -> None:
    box.wants(model("org/open", "a.gguf", "UD-Q2/a-again.gguf"), model("org/open", "a.gguf"))
    assert box.run("fetch")[0] == 0
    assert sum(asked.server == "store" for asked in hub.asked) == 1
    again = box.snapshot("org/open", "UD-Q2/a-again.gguf")
    assert again.read_bytes() == (originals / "a.gguf").read_bytes()
    assert again.resolve() == box.snapshot("org/open", "a.gguf").resolve()


def test_a_token_goes_to_the_hub_and_to_nobody_else(box: Box, hub: Hub) -> None:
    token = box.folder / "token"
    box.settings["token_file"] = str(token)
    box.wants(model("org/closed", "a.gguf"))
    token.write_text("hf_right\n")
    token.chmod(0o600)
    status, out, err = box.run("fetch")
    assert (status, err) == (0, "")
    assert "hf_right" not in out
    assert {(asked.server, asked.authorization) for asked in hub.asked} == {("hub", "Bearer hf_right"), ("store", None)}


def test_a_hash_in_the_profile_serves_where_the_hub_has_none(box: Box, originals: Path) -> None:
    sha256 = hashlib.sha256((originals / "small.gguf").read_bytes()).hexdigest()
    box.wants(model("org/open", "small.gguf", small=sha256))
    assert box.run("fetch")[0] == 0
    assert box.snapshot("org/open", "small.gguf").read_bytes() == (originals / "small.gguf").read_bytes()


def test_a_local_model_is_checked_and_left_alone(box: Box, originals: Path) -> None:
    sha256 = hashlib.sha256((originals / "a.gguf").read_bytes()).hexdigest()
    box.wants({"path": str(originals / "a.gguf"), "sha256": sha256}, {"path": str(originals / "b.gguf")})
    assert box.run("plan") == (0, '{"not_in_place": []}\n', "")
    assert box.run("fetch") == (0, "everything was in place\n", "")
    assert box.files() == []

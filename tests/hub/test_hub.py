"""The stand-in is a hub to the real client; what the fetch is tested against is therefore worth something."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from hub.server import Hub, HubFile, Repository, write_gguf_like

if TYPE_CHECKING:
    from collections.abc import Iterator

REVISION = "1f" * 20


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    files = {"UD/a.gguf": HubFile(write_gguf_like(tmp_path / "a.gguf", 3_000_001))}
    gated = Repository("org/gated", REVISION, files, gated=True)
    with Hub(Repository("org/open", REVISION, files), Repository("org/closed", REVISION, files, "hf_x"), gated) as hub:
        yield hub


def test_the_real_client_downloads_a_file_and_a_snapshot(hub: Hub, tmp_path: Path) -> None:
    path = hf_hub_download(
        "org/open", "UD/a.gguf", revision=REVISION, endpoint=hub.endpoint, cache_dir=tmp_path / "one", token=False
    )
    assert Path(path).read_bytes() == (tmp_path / "a.gguf").read_bytes()
    folder = snapshot_download(
        "org/open", revision=REVISION, endpoint=hub.endpoint, cache_dir=tmp_path / "two", token=False
    )
    assert (tmp_path / folder / "UD/a.gguf").read_bytes() == (tmp_path / "a.gguf").read_bytes()


def test_the_real_client_reads_sizes_and_hashes(hub: Hub) -> None:
    info = HfApi(endpoint=hub.endpoint, token=False).model_info("org/open", revision=REVISION, files_metadata=True)
    assert info.siblings is not None
    (sibling,) = info.siblings
    assert sibling.lfs is not None
    assert (sibling.rfilename, sibling.size, sibling.lfs.sha256) == (
        "UD/a.gguf", 3_000_001, hub.etag(hub.repositories["org/open"], "UD/a.gguf"),
    )  # fmt: skip  # expected values in the order of the left side


@pytest.mark.parametrize(
    ("address", "error"),
    [
        (("org/none", "UD/a.gguf", REVISION), RepositoryNotFoundError),
        (("org/open", "UD/a.gguf", "2e" * 20), RevisionNotFoundError),
        (("org/open", "b.gguf", REVISION), RemoteEntryNotFoundError),
        (("org/closed", "UD/a.gguf", REVISION), RepositoryNotFoundError),
        (("org/gated", "UD/a.gguf", REVISION), GatedRepoError),
    ],
)
def test_the_real_client_names_a_refusal_as_it_does_with_the_real_hub(
    hub: Hub, tmp_path: Path, address: tuple[str, str, str], error: type[Exception]
) -> None:
    repo, name, revision = address
    with pytest.raises(error):
        hf_hub_download(repo, name, revision=revision, endpoint=hub.endpoint, cache_dir=tmp_path / "c", token=False)


def test_a_token_opens_a_closed_repository_and_never_reaches_the_store(hub: Hub, tmp_path: Path) -> None:
    hf_hub_download(
        "org/closed",
        "UD/a.gguf",
        revision=REVISION,
        endpoint=hub.endpoint,
        cache_dir=tmp_path / "c",
        token="hf_x",  # noqa: S106 - opens nothing but this hub
    )
    assert {asked.authorization for asked in hub.asked if asked.server == "hub"} == {"Bearer hf_x"}
    assert {asked.authorization for asked in hub.asked if asked.server == "store"} == {None}

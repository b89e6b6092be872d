"""Facts about what a box's image store is taken to hold."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gpubox.image_store import StoreView, Wanted, look

_LOCAL = Wanted("k1", "c0ffee0-k1", "ik_llama")
_SHARED = Wanted("k1", "c0ffee0-k1", "ik_llama", "registry.home.arpa")
_PULLED = f"registry.home.arpa/ik_llama@sha256:{'9' * 64}"


def _image(number: int, key: str, *names: str, containers: int = 0) -> dict[str, Any]:
    """Return an image as `podman images --format json` of Podman 5.4 shows it; a higher number is a later build."""
    digest = f"sha256:{number:064x}"
    return {
        "Id": f"{number:064x}",
        "RepoTags": None,
        "RepoDigests": [f"localhost/ik_llama@{digest}"],
        "Labels": {"gpubox.build-key": key},
        "Containers": containers,
        "Digest": digest,
        "Names": list(names),
        "Created": 1_795_000_000 + number,
    }


def _look(images: list[dict[str, Any]], wanted: Wanted = _LOCAL, keep: int = 2) -> StoreView:
    return look(json.dumps(images), wanted, keep)


def test_an_empty_store_holds_nothing() -> None:
    assert _look([]) == look("", _LOCAL, 2) == StoreView(id="", reference="", ready=False, old=())


def test_a_finished_image_is_ready() -> None:
    view = _look([_image(7, "k1", _LOCAL.finished)])
    assert view == StoreView(f"{7:064x}", f"localhost/ik_llama@sha256:{7:064x}", ready=True, old=())


def test_an_image_that_has_not_run_yet_is_not_ready() -> None:
    view = _look([_image(7, "k1")])
    assert (view.id, view.ready) == (f"{7:064x}", False)


def test_with_a_registry_only_an_image_pulled_by_digest_is_ready() -> None:
    assert not _look([_image(7, "k1", _SHARED.finished, _SHARED.shared)], _SHARED).ready
    view = _look([_image(7, "k1", _SHARED.finished, _SHARED.shared, _PULLED)], _SHARED)
    assert (view.reference, view.ready) == (_PULLED, True)


def test_of_two_builds_of_one_key_the_shared_one_counts_and_the_other_is_old() -> None:
    view = _look([_image(8, "k1", _SHARED.finished), _image(7, "k1", _PULLED)], _SHARED)
    assert (view.id, view.reference) == (f"{7:064x}", _PULLED)
    assert [old.id for old in view.old] == [f"{8:064x}"]


def test_the_most_recently_built_others_stay_whatever_the_order_of_the_list() -> None:
    images = [_image(number, f"key{number}", f"localhost/ik_llama:c-key{number}") for number in (3, 5, 2, 4)]
    assert [old.tag for old in _look([*images, *images, _image(1, "k1")], keep=2).old] == ["c-key3", "c-key2"]


def test_an_image_of_a_container_is_never_old() -> None:
    assert _look([_image(1, "other", containers=1), _image(2, "another")], keep=0).old[0].id == f"{2:064x}"


def test_an_old_image_tells_all_by_which_a_unit_may_name_it() -> None:
    names = ("localhost/ik_llama:c-k2", _PULLED)
    (old,) = _look([_image(2, "k2", *names)], keep=0).old
    assert (old.names, old.digests) == (names, (f"sha256:{2:064x}",))


@given(st.lists(st.integers(1, 99), unique=True), st.integers(0, 5))
def test_never_fewer_than_the_kept_others_remain_and_never_the_wanted_one_goes(numbers: list[int], keep: int) -> None:
    view = _look([_image(100, "k1"), *(_image(number, f"key{number}") for number in numbers)], keep=keep)
    assert len(view.old) == max(0, len(numbers) - keep)
    assert view.id not in {old.id for old in view.old}

"""Facts about the cache of images: when one is built anew, and which ones go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.layer import Layer, Layers

if TYPE_CHECKING:
    from pathlib import Path


class _Builder:
    """Builds a layer and counts how often."""

    def __init__(self) -> None:
        self.built = 0

    def __call__(self, folder: Path) -> None:
        self.built += 1
        (folder / "root").mkdir()


def _get(layers: Layers, tag: str, version: str, under: Layer | None = None) -> Layer:
    return layers.get(tag, [version], _Builder(), under)


@pytest.fixture
def layers(tmp_path: Path) -> Layers:
    """An empty cache."""
    return Layers(tmp_path / "layers")


def test_a_layer_is_built_once_for_each_recipe(layers: Layers) -> None:
    build = _Builder()
    first = layers.get("trixie", ["one", "two"], build)
    assert layers.get("trixie", ["one", "two"], build) == first
    assert build.built == 1
    assert layers.get("trixie", ["onetwo"], build) != first
    assert build.built == 2


def test_a_layer_is_built_anew_when_the_one_under_it_is(layers: Layers) -> None:
    old = _get(layers, "podman", "1", _get(layers, "trixie", "1"))
    new = _get(layers, "podman", "1", _get(layers, "trixie", "2"))
    assert old.roots[0] != new.roots[0]
    assert [root.parent.name.partition("-")[0] for root in new.roots] == ["podman", "trixie"]


def test_a_build_that_failed_leaves_no_layer_and_is_tried_again(layers: Layers) -> None:
    def fail(folder: Path) -> None:
        (folder / "root").mkdir()
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        layers.get("trixie", ["1"], fail)
    assert layers.all() == []
    build = _Builder()
    assert layers.get("trixie", ["1"], build).roots[0].is_dir()
    assert build.built == 1


def test_a_layer_is_found_again_as_it_was_built(layers: Layers) -> None:
    under = _get(layers, "trixie", "1")
    over = _get(layers, "podman", "1", under)
    assert layers.all() == [under, over]


def test_pruning_removes_what_was_replaced_and_nothing_that_is_lain_over(layers: Layers) -> None:
    replaced = _get(layers, "trixie", "1")
    under_saved = _get(layers, "trixie", "2")
    saved = _get(layers, "podman", "1", under_saved)
    under_box = _get(layers, "trixie", "3")
    newest = _get(layers, "trixie", "4")
    layers.prune(newest.asked_for + 1, in_use=under_box.roots)
    assert layers.all() == [under_saved, saved, under_box, newest]
    assert not replaced.path.exists()


def test_pruning_leaves_a_replaced_layer_that_somebody_asked_for_lately(layers: Layers) -> None:
    theirs, ours = _get(layers, "trixie", "1"), _get(layers, "trixie", "2")
    layers.prune(theirs.asked_for - 1, in_use=())
    assert layers.all() == [theirs, ours]
    assert _get(layers, "trixie", "1") == theirs
    assert layers.all() == [ours, theirs]

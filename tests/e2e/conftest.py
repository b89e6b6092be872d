"""Boxes for end-to-end tests; each is gone when its test is, and the run's when the run has ended in whatever way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from e2e.switch_matrix import Matrix
from e2e.switching import SwitchingBox
from lab.errors import MirrorError
from lab.lab import PODMAN, Lab, Saved
from lab.release import TRIXIE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lab.box import Box
    from lab.release import Release


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The lab of this run."""
    with Lab() as opened:
        yield opened


@pytest.fixture
def boxes(lab: Lab) -> Iterator[Callable[..., list[Box]]]:
    """Make boxes that are up: `boxes(3)`, `boxes(1, NOBLE)`, `boxes(2, PODMAN)`."""
    made: list[Box] = []

    def make(count: int, of: Release | Saved = TRIXIE) -> list[Box]:
        try:
            made.extend(lab.boxes(count, of))
        except MirrorError as error:
            release = of.release if isinstance(of, Saved) else of
            # Debian is what the project's own machine has; of Ubuntu only that, where it can be had, it must work.
            if release.distribution == "debian":
                raise
            pytest.skip(str(error))
        return made[-count:]

    yield make
    for box in made:
        lab.remove(box)


@pytest.fixture
def box(boxes: Callable[..., list[Box]]) -> Box:
    """A fresh Debian 13."""
    return boxes(1)[0]


@pytest.fixture
def saved_box(boxes: Callable[..., list[Box]]) -> Callable[[Saved], Box]:
    """Start one box from a saved one, which is prepared by the first test that asks for it."""
    return lambda saved: boxes(1, saved)[0]


@pytest.fixture
def box_with_podman(saved_box: Callable[[Saved], Box]) -> Box:
    """A Debian 13 with its own Podman and nothing else."""
    return saved_box(PODMAN)


@pytest.fixture(scope="session")
def matrix(request: pytest.FixtureRequest) -> Iterator[Matrix]:
    """What came of each switch that a fault met; printed at the end."""
    made = Matrix()
    yield made
    reporter = request.config.pluginmanager.getplugin("terminalreporter")
    assert reporter
    reporter.write_line("")
    for row in [("FAULT", "STEP", "OUTCOME", "SERVES"), *made.rows]:
        reporter.write_line(f"{row[0]:34} {row[1]:10} {row[2]:12} {row[3]}")


@pytest.fixture(scope="session")
def switching_box(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwitchingBox]:
    """The box that all tests of a switch share."""
    made = SwitchingBox(lab, tmp_path_factory.mktemp("operator"))
    yield made
    lab.remove(made.box)


@pytest.fixture
def there(switching_box: SwitchingBox) -> SwitchingBox:
    """The shared box, on which `one` serves."""
    switching_box.reset()
    return switching_box

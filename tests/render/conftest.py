"""The readers that judge what was rendered: Podman's generator, systemd and shells, each the real one."""

from __future__ import annotations

import pytest

from quadlet_generator import NoGeneratorError, find_generator
from systemd_reader import reads_units


@pytest.fixture(scope="session")
def generator() -> None:
    """Skip where Podman's generator can't be had."""
    try:
        find_generator()
    except NoGeneratorError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def systemd() -> None:
    """Skip where no systemd is installed that reads units without running."""
    if not reads_units():
        pytest.skip("no systemd here that answers `systemd --test --user`; install systemd")

"""What a user writes for a database, and what it means."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpubox.errors import ResultsError
from gpubox.results.address import Address, address


def test_a_path_is_a_sqlite_file() -> None:
    assert address("my results.db") == Address("my results.db", Path("my results.db"))


def test_a_sqlite_url_has_three_slashes_for_a_relative_path_and_four_for_an_absolute_one() -> None:
    assert address("sqlite:///runs.db") == Address("runs.db", Path("runs.db"))
    assert address("sqlite:////srv/runs.db") == Address("/srv/runs.db", Path("/srv/runs.db"))


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_a_postgresql_url_gets_the_driver_and_shows_no_password(scheme: str) -> None:
    url = f"{scheme}://me:s3cr3t@db.lan:5433/gpubox?sslmode=require&password=s3cr3t"
    shown = f"{scheme}://me:***@db.lan:5433/gpubox?sslmode=require&password=***"
    used = "postgresql+psycopg://me:s3cr3t@db.lan:5433/gpubox?sslmode=require&password=s3cr3t"
    assert address(url) == Address(shown, None, used)


def test_a_url_without_credentials_is_shown_as_it_is() -> None:
    assert address("postgresql:///gpubox?host=/run/postgresql").place == "postgresql:///gpubox?host=/run/postgresql"


@pytest.mark.parametrize(
    ("state", "path"),
    [("/var/state", "/var/state/gpubox/results.db"), ("relative", "/home/me/.local/state/gpubox/results.db")],
)
def test_the_default_is_in_the_state_folder(monkeypatch: pytest.MonkeyPatch, state: str, path: str) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("XDG_STATE_HOME", state)
    assert address(None) == Address(path, Path(path), default=True)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "mysql://me:s3cr3t@db/x",
            (
                "mysql://me:***@db/x: results can't be kept in mysql; give a path, sqlite:///PATH or postgresql://USER@HOST/DATABASE"
            ),
        ),
        ("sqlite://", "sqlite://: names no file; write sqlite:///PATH, four slashes for an absolute path"),
        ("sqlite:///", "sqlite:///: names no file; write sqlite:///PATH, four slashes for an absolute path"),
        ("sqlite://x.db", "sqlite://x.db: names no file; write sqlite:///PATH, four slashes for an absolute path"),
    ],
)
def test_another_address_is_refused(url: str, message: str) -> None:
    with pytest.raises(ResultsError) as caught:
        address(url)
    assert str(caught.value) == message

"""The store on SQLite."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from results.store_contract import StoreContract


class TestStoreOnSqlite(StoreContract):
    """A file of its own for each test."""

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return str(tmp_path / "results.db")

    @pytest.fixture(autouse=True)
    def _whole_afterwards(self, url: str) -> object:
        yield
        connection = sqlite3.connect(url)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        connection.close()
        # A writer killed before its journal counted leaves that beside the file until the next commit.
        assert {path.name for path in Path(url).parent.iterdir()} <= {"results.db", "results.db-journal"}

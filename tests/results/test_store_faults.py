"""What the store says when its database can't be used: each fault is real, each message whole."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gpubox import __version__
from gpubox.errors import ResultsError
from gpubox.results import migrations
from gpubox.results.store import Store
from results.records import a_run, a_sample, keep
from results.store_contract import child

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCKER = """
import sqlite3
import sys
import time

connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
time.sleep(600)
"""

# Does the thing as somebody who is not root; the first store imports what that somebody may not be able to read.
SOMEBODY = """
import os
import sys
from gpubox.errors import ResultsError
from gpubox.results.store import Store
from results.records import a_run

scratch, url, way = sys.argv[1:]
Store.open(scratch).close()
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    with Store.open(url, read_only=way == "read") as store:
        print(len(store.runs()), "runs")
        if way == "write":
            store.start_run(a_run("new"))
except ResultsError as error:
    print(error)
"""

# Writes until a file may not grow any more, as on a full disk.
LIMITED = """
import resource
import sys
from gpubox.errors import ResultsError
from gpubox.results.store import Store
from results.records import a_run, a_sample

with Store.open(sys.argv[1]) as store:
    store.start_run(a_run("r1"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (90_000, 90_000))
    kept = 0
    try:
        while True:
            store.add_sample("r1", a_sample(kept))
            kept += 1
    except ResultsError as error:
        print(kept)
        print(error)
"""

WITHOUT_DRIVER = """
import sys
from gpubox.errors import ResultsError
from gpubox.results.store import Store

sys.modules["psycopg"] = None  # what Python itself finds where a module is blocked
try:
    Store.open(sys.argv[1])
except ResultsError as error:
    print(error)
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    path = str(tmp_path / "results.db")
    with Store.open(path) as store:
        keep(store, a_run("r1"), [a_sample(0)])
    return path


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter, unlike pytest's."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def told(code: str, *arguments: str) -> str:
    """Run a child to its end and return what it printed."""
    stdout, stderr = child(code, *arguments).communicate(timeout=60)
    assert stderr == ""
    return stdout


def refusal(url: str, *, read_only: bool = False) -> str:
    with pytest.raises(ResultsError) as caught:
        Store.open(url, read_only=read_only)
    return str(caught.value)


def test_locked_by_another_process(url: str) -> None:
    with Store.open(url, busy_timeout_s=0.1) as store:
        locker = child(LOCKER, url)
        assert locker.stdout is not None
        assert locker.stdout.readline() == "locked\n"
        for act in (store.runs, lambda: store.add_sample("r1", a_sample(1))):
            with pytest.raises(ResultsError) as caught:
                act()
            assert str(caught.value) == (
                f"{url}: another process has held it locked for 0.1 s; "
                f"wait until it is done, or see who it is: fuser -v {url}"
            )
        locker.kill()
        locker.communicate()
        store.add_sample("r1", a_sample(1))
        assert store.samples("r1") == [a_sample(0), a_sample(1)]


def test_a_file_that_somebody_may_only_read_can_be_read_and_not_written(open_folder: Path) -> None:
    url = str(open_folder / "results.db")
    with Store.open(url) as store:
        keep(store, a_run("r1"), [a_sample(0)])
    Path(url).chmod(0o444)
    scratch = str(open_folder / "scratch.db")
    assert told(SOMEBODY, scratch, url, "read") == "1 runs\n"
    assert told(SOMEBODY, scratch, url, "write") == (
        f"{url}: you may not read and write this file; see its owner and mode: ls -l {url}\n"
    )
    Path(url).chmod(0o400)
    if os.getuid() == 0:
        assert told(SOMEBODY, scratch, url, "read") == (
            f"{url}: you may not read this file; see its owner and mode: ls -l {url}\n"
        )


def test_a_folder_that_takes_no_journal(open_folder: Path) -> None:
    url = str(open_folder / "closed" / "results.db")
    Path(url).parent.mkdir()
    Store.open(url).close()
    Path(url).chmod(0o666)
    Path(url).parent.chmod(0o555)
    assert told(SOMEBODY, str(open_folder / "scratch.db"), url, "write") == (
        f"{url}: you may not write in {open_folder}/closed, where its journal goes; give a file elsewhere with --db\n"
    )
    Path(url).parent.chmod(0o755)


def test_a_store_that_was_opened_to_read_refuses_to_write(url: str) -> None:
    with Store.open(url, read_only=True) as store, pytest.raises(ResultsError) as caught:
        store.start_run(a_run("r2"))
    assert str(caught.value) == f"{url}: is read-only; make it writable, or give another database with --db"


def test_from_a_newer_gpubox(url: str) -> None:
    connection = sqlite3.connect(url)
    connection.execute("INSERT INTO gpubox_schema VALUES (99, '2030-01-01T00:00:00+00:00', '9.9.0')")
    connection.commit()
    connection.close()
    assert refusal(url, read_only=True) == (
        f"{url}: schema version 99, made by gpubox 9.9.0; this gpubox {__version__} knows versions up to {migrations.head()}; "
        "install gpubox 9.9.0 or newer"
    )


def test_without_its_schema_version(url: str) -> None:
    connection = sqlite3.connect(url)
    connection.execute("DELETE FROM gpubox_schema")
    connection.commit()
    connection.close()
    assert refusal(url) == f"{url}: its schema version is missing; restore it from a copy"


def test_not_a_database(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("model: glm\n" * 100, encoding="utf-8")
    assert refusal(str(path)) == f"{path}: is not a SQLite database; give another file with --db"
    assert path.read_text(encoding="utf-8") == "model: glm\n" * 100


def test_the_database_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "places.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE moz_places (id INTEGER)")
    connection.close()
    before = path.read_bytes()
    assert refusal(str(path)) == (
        f"{path}: holds tables of something else (moz_places, …); give results a database of their own"
    )
    assert path.read_bytes() == before


def test_damaged(url: str) -> None:
    with Path(url).open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (Path(url).stat().st_size - 4096))
    assert refusal(url) == f"{url}: is damaged; save what can be read: sqlite3 {url} .recover | sqlite3 recovered.db"


def test_a_file_that_can_not_grow_keeps_what_was_added_before(tmp_path: Path) -> None:
    url = str(tmp_path / "results.db")
    kept, message = told(LIMITED, url).splitlines()
    assert message == (
        f"{url}: reading or writing failed (disk I/O error); see whether the disk is full or failing: "
        f"df -h {tmp_path}; all that was recorded before is kept"
    )
    with Store.open(url) as store:
        assert store.samples("r1") == [a_sample(index) for index in range(int(kept))]
        store.add_sample("r1", a_sample(int(kept)))


@pytest.mark.e2e
def test_a_full_disk_keeps_what_was_added_before(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(tmp_path)], check=True)
    try:
        url, kept = str(tmp_path / "results.db"), 0
        with Store.open(url) as store:
            store.start_run(a_run("r1"))
            with pytest.raises(ResultsError) as caught:  # noqa: PT012 - how many it takes is what is not known
                while True:
                    store.add_sample("r1", a_sample(kept))
                    kept += 1
            assert str(caught.value) == (
                f"{url}: the disk is full; free some space: df -h {tmp_path}; all that was recorded before is kept"
            )
            assert store.samples("r1") == [a_sample(index) for index in range(kept)]
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_deleted_while_open(url: str) -> None:
    with Store.open(url) as store:
        Path(url).unlink()
        with pytest.raises(ResultsError) as caught:
            store.add_sample("r1", a_sample(1))
    assert str(caught.value) == (
        f"{url}: was moved or deleted while open; put it back, or start again; all that was recorded before is kept in it"
    )


def test_no_such_file_to_read(tmp_path: Path) -> None:
    path = tmp_path / "typo.db"
    assert refusal(str(path), read_only=True) == (
        f"{path}: there is no such file; measure something first, or give another --db"
    )
    assert not path.exists()


def test_no_such_folder(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "results.db"
    assert refusal(str(path)) == (
        f"{path}: there is no folder {tmp_path}/missing; make it: mkdir -p {tmp_path}/missing"
    )


def test_a_folder_for_a_file(tmp_path: Path) -> None:
    assert refusal(str(tmp_path)) == f"{tmp_path}: is a folder; name a file in it"


def test_a_default_folder_that_can_not_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null/state")
    with pytest.raises(ResultsError) as caught:
        Store.open()
    assert str(caught.value) == (
        "/dev/null/state/gpubox/results.db: its folder can't be made (Not a directory); "
        "set XDG_STATE_HOME, or give a file with --db"
    )


def test_the_server_refuses_the_connection() -> None:
    assert refusal("postgresql://me:secret@127.0.0.1:1/gpubox?sslpassword=secret") == (
        "postgresql://me:***@127.0.0.1:1/gpubox?sslpassword=***: the server refused the connection; "
        "see that PostgreSQL runs and listens there"
    )


def test_the_driver_is_not_installed() -> None:
    assert told(WITHOUT_DRIVER, "postgresql://me:secret@127.0.0.1:1/gpubox") == (
        "postgresql://me:***@127.0.0.1:1/gpubox: the PostgreSQL driver is not installed; "
        "install it: pip install 'gpubox[postgresql]'\n"
    )

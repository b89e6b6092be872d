"""What is written down about each box, so that any process can find it, use it and end it.

boxes/INDEX/box.json      this record
boxes/INDEX/keeper.json   the keeper process, while the box is on
boxes/INDEX/slirp.json    the network process, while the box is on
boxes/INDEX/upper, work   what the box wrote over its layers
boxes/INDEX/stores/       Podman's stores, rootful and rootless (an overlay can't lie over an overlay)
boxes/INDEX/*.log         the keeper's, the network's and the console's words
"""

from __future__ import annotations

import hashlib
import json
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

from .errors import BoxError
from .process import Process

SSH_PORT = 2222
_NETWORK = "127.77.0"
_MOST = 250


@dataclass(frozen=True)
class Record:
    """One box.

    Attributes:
        folder: where all of it lies.
        name: the box's host name.
        release: what it runs.
        roots: lower folders of its root, topmost first.
        owner: the process whose end ends the box too; None for a box that stays.
    """

    folder: Path
    name: str
    release: str
    roots: tuple[Path, ...]
    owner: Process | None

    @property
    def address(self) -> str:
        """A loopback address of this box alone, on which its SSH port is 2222."""
        return address(int(self.folder.name))

    @property
    def group(self) -> str:
        """A name that is unique on this machine, even where boxes are kept in several places."""
        return f"{hashlib.sha256(str(self.folder.parent).encode()).hexdigest()[:8]}-{self.folder.name}"

    def abandoned(self) -> bool:
        """Whether the process that the box was for has gone."""
        return self.owner is not None and not self.owner.alive()

    def write(self) -> None:
        """Write it down."""
        document = {
            "name": self.name,
            "release": self.release,
            "roots": [str(root) for root in self.roots],
            "owner": self.owner and asdict(self.owner),
        }
        (self.folder / "box.json").write_text(json.dumps(document), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Record:
        """Read a box's record."""
        document = json.loads((folder / "box.json").read_text(encoding="utf-8"))
        owner = document["owner"] and Process(**document["owner"])
        return cls(folder, document["name"], document["release"], tuple(map(Path, document["roots"])), owner)

    def process(self, part: str) -> Process | None:
        """Return the process that runs a part of the box (`keeper` or `slirp`), if it does."""
        try:
            process = Process(**json.loads((self.folder / f"{part}.json").read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        return process if process.alive() else None

    def note(self, part: str, pid: int) -> None:
        """Write down which process runs a part of the box."""
        (self.folder / f"{part}.json").write_text(json.dumps(asdict(Process.of(pid))), encoding="utf-8")


def records(boxes: Path) -> list[Record]:
    """Return every box's record, by address."""
    folders = sorted((file.parent for file in boxes.glob("*/box.json")), key=lambda folder: int(folder.name))
    return [Record.read(folder) for folder in folders]


def claim(boxes: Path, name: str | None, release: str, roots: tuple[Path, ...], owner: Process | None) -> Record:
    """Take the first free address and write a box's record; the caller holds the registry's lock.

    Raises:
        BoxError: every address is taken, or the name is.
    """
    if name in {record.name for record in records(boxes)}:
        raise BoxError(str(name), "there is a box of this name already", "choose another name, or take the box away")
    boxes.mkdir(parents=True, exist_ok=True)
    for index in range(1, _MOST + 1):
        folder = boxes / str(index)
        if folder.exists() or not _is_free(address(index)):
            continue
        folder.mkdir()
        record = Record(folder, name or f"box-{index}", release, roots, owner)
        record.write()
        return record
    raise BoxError(str(boxes), f"all {_MOST} addresses are taken", "take boxes away: make box-down")


def address(index: int) -> str:
    """Return the loopback address of a box."""
    return f"{_NETWORK}.{index}"


def _is_free(host: str) -> bool:
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, SSH_PORT))
        except OSError:
            return False
    return True

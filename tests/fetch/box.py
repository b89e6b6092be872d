"""A box in a folder: a cache, a manifest, and the fetch run on them as the role runs it."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gguf_fetch.__main__ import main

PROGRAM = Path(__file__).parents[2] / "roles/gguf_models/files"
REVISION = "451d18c5" * 5


def listen_to_ctrl_c() -> None:
    """Take SIGINT as from a terminal, also where the tests themselves run in the background and ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass
class Box:
    """The folder of a box.

    Attributes:
        folder: where everything is.
        endpoint: the hub's URL.
        settings: what differs from the defaults in the manifest.
    """

    folder: Path
    endpoint: str
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def cache(self) -> Path:
        """The Hugging Face cache."""
        return self.folder / "hub"

    @property
    def manifest(self) -> Path:
        """What the role writes."""
        return self.folder / "manifest.json"

    def wants(self, *models: dict[str, Any]) -> None:
        """Write the manifest."""
        self.folder.mkdir(exist_ok=True)
        defaults: dict[str, Any] = {
            "cache": str(self.cache), "endpoint": self.endpoint, "token_file": "", "offline": False, "connections": 4,
            "attempts": 4, "retry_wait_s": 0.01, "reserve_bytes": 0,
        }  # fmt: skip  # one line of defaults after the other
        self.manifest.write_text(json.dumps(defaults | self.settings | {"models": models}))

    def run(self, verb: str, *arguments: str) -> tuple[int, str, str]:
        """Run a verb on the manifest, in this process.

        Returns:
            Exit status, standard output, standard error.
        """
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            status = main([verb, str(self.manifest), *arguments])
        return status, out.getvalue(), err.getvalue()

    def start(self, **environment: str) -> subprocess.Popen[str]:
        """Fetch in a process of its own."""
        argv = [sys.executable, "-m", "gguf_fetch", "fetch", str(self.manifest)]
        return subprocess.Popen(
            argv,
            cwd=PROGRAM,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=listen_to_ctrl_c,  # noqa: PLW1509  # a test has no other thread that could hold a lock
        )

    def start_run(self) -> Path:
        """Start a fetch that outlives whoever started it, as the role does; return what `watch` takes."""
        argv = [sys.executable, "-m", "gguf_fetch", "start", str(self.manifest)]
        return Path(subprocess.run(argv, cwd=PROGRAM, stdout=subprocess.PIPE, text=True, check=True).stdout.strip())

    def repo(self, name: str) -> Path:
        """Return a repository's folder in the cache."""
        return self.cache / f"models--{name.replace('/', '--')}"

    def snapshot(self, repo: str, name: str) -> Path:
        """Return the path under which servers find a file."""
        return self.repo(repo) / "snapshots" / REVISION / name

    def files(self) -> list[str]:
        """Return every file and link of the cache, except the lock."""
        paths = (path for path in self.cache.rglob("*") if not path.is_dir() and path.parent.name != ".locks")
        return sorted(str(path.relative_to(self.cache)) for path in paths)


def model(repo: str, *names: str, **sha256: str) -> dict[str, Any]:
    """Return a model as a profile writes it; `sha256` maps a name without `.gguf` to the hash that it must have."""
    files = [{"name": n, "sha256": sha256[n.removesuffix(".gguf")]} if n.removesuffix(".gguf") in sha256 else {"name": n} for n in names]  # fmt: skip
    return {"repo": repo, "revision": REVISION, "files": files}

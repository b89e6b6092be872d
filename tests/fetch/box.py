"""A box in a folder: a cache, a manifest, and the fetch run on them as the role runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).parents[2] / "roles/gguf_models/files"
REVISION = "451d18c5" * 5


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

    def command(self, verb: str, *arguments: str) -> list[str]:
        """Return the argv of a verb."""
        return [sys.executable, "-m", "gguf_fetch", verb, *arguments]

    def run(self, verb: str, *arguments: str) -> tuple[int, str, str]:
        """Run a verb on the manifest.

        Returns:
            Exit status, standard output, standard error.
        """
        argv = self.command(verb, str(self.manifest), *arguments)
        done = subprocess.run(argv, cwd=PROGRAM, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def start(self, verb: str = "fetch") -> subprocess.Popen[str]:
        """Run a verb without waiting for it."""
        argv = self.command(verb, str(self.manifest))
        return subprocess.Popen(argv, cwd=PROGRAM, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

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

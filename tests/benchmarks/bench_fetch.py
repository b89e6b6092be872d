"""The fetch, verification and all, against curl: one 512 MiB file from a hub on loopback.

Prints the best of several interleaved rounds and the ratio of the speeds; 0.8 is what the fetch promises. The fetch also
starts Python, asks the hub, hashes every byte and syncs the file to the disk, of which curl does nothing.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "roles/gguf_models/files")]

from fetch.box import REVISION, Box, model  # noqa: E402 - the folders above are on the path only now
from hub.server import Hub, HubFile, Repository, write_gguf_like  # noqa: E402 - likewise

SIZE = 512 << 20
ROUNDS = 7
PROMISE = 0.8


def best_times(folder: Path) -> tuple[float, float]:
    """Return the shortest times of curl and of the fetch, seconds."""
    original = HubFile(write_gguf_like(folder / "model.gguf", SIZE))
    times: dict[str, list[float]] = {"curl": [], "fetch": []}
    with Hub(Repository("org/bench", REVISION, {"model.gguf": original})) as hub:
        box = Box(folder / "box", hub.endpoint)
        box.wants(model("org/bench", "model.gguf"))
        target = folder / "curl.gguf"
        url = f"{hub.endpoint}/org/bench/resolve/{REVISION}/model.gguf"
        for _ in range(ROUNDS):
            began = time.perf_counter()
            subprocess.run(["curl", "-sSfL", "-o", str(target), url], check=True)
            times["curl"].append(time.perf_counter() - began)
            target.unlink()
            began = time.perf_counter()
            process = box.start()
            process.communicate()
            times["fetch"].append(time.perf_counter() - began)
            if process.returncode:
                sys.exit("the fetch failed")
            shutil.rmtree(box.cache)
    return min(times["curl"]), min(times["fetch"])


def main() -> None:
    """Measure, and print one line."""
    with tempfile.TemporaryDirectory() as folder:
        curl, fetch = best_times(Path(folder))
    ratio = curl / fetch
    print(
        f"fetch with verification: {SIZE / fetch / 1e6:.0f} MB/s, curl: {SIZE / curl / 1e6:.0f} MB/s, "
        f"ratio {ratio:.2f} (promised: {PROMISE})"
    )


if __name__ == "__main__":
    main()

"""The fetch, verification and all, against curl alone and curl with sha256sum: one 512 MiB file from a hub on loopback.

Prints the best of several interleaved rounds and the ratios of the speeds; 0.8 of curl is what the fetch promises. The fetch
also starts Python, asks the hub, hashes every byte and syncs the file to the disk, of which curl does nothing. Where hub,
download and SHA-256 have to share two cores, curl alone is no measure; curl that is followed by sha256sum is one.
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


def best_times(folder: Path) -> dict[str, float]:
    """Return the shortest times of curl, of curl with the sha256sum that follows it, and of the fetch, seconds."""
    original = HubFile(write_gguf_like(folder / "model.gguf", SIZE))
    times: dict[str, list[float]] = {"curl": [], "curl and sha256sum": [], "fetch": []}
    with Hub(Repository("org/bench", REVISION, {"model.gguf": original})) as hub:
        box = Box(folder / "box", hub.endpoint)
        box.wants(model("org/bench", "model.gguf"))
        target = folder / "curl.gguf"
        url = f"{hub.endpoint}/org/bench/resolve/{REVISION}/model.gguf"
        for _ in range(ROUNDS):
            began = time.perf_counter()
            subprocess.run(["curl", "-sSfL", "-o", str(target), url], check=True)
            times["curl"].append(time.perf_counter() - began)
            subprocess.run(["sha256sum", str(target)], check=True, stdout=subprocess.DEVNULL)
            times["curl and sha256sum"].append(time.perf_counter() - began)
            target.unlink()
            began = time.perf_counter()
            process = box.start()
            process.communicate()
            times["fetch"].append(time.perf_counter() - began)
            if process.returncode:
                sys.exit("the fetch failed")
            shutil.rmtree(box.cache)
    return {name: min(taken) for name, taken in times.items()}


def main() -> None:
    """Measure, and print a line for each peer."""
    with tempfile.TemporaryDirectory() as folder:
        times = best_times(Path(folder))
    fetch = times.pop("fetch")
    print(f"fetch with verification: {SIZE / fetch / 1e6:.0f} MB/s")
    for name, taken in times.items():
        promise = f" (promised: {PROMISE})" if name == "curl" else ""
        print(f"{name}: {SIZE / taken / 1e6:.0f} MB/s, ratio {taken / fetch:.2f}{promise}")


if __name__ == "__main__":
    main()

"""How long the command line itself takes: `gpubox --version` and `gpubox check` of 1,000 profiles.

python tests/benchmarks/bench_cli.py

Prints medians, and ratios against `python -c pass` in the same run: interleaved, since machines drift.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BIN = Path(sys.executable).parent
PROFILE = """
model: {{path: /srv/models/m{0}.gguf}}
server: {{ctx_size: 131072, n_gpu_layers: 80, mla_use: 3, cache_type_k: q8_0, batch_size: 8192, ubatch_size: 2048}}
experts: [{{layers: "3-6,40-42", device: CUDA0}}]
speculative: [{{type: mtp, n_max: 4, p_min: 0.5}}]
sampling: {{temp: 0.6, top_k: 20, top_p: 0.95}}
port: {1}
"""


def seconds(*command: object) -> float:
    """Return the wall time of one command."""
    start = time.perf_counter()
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    bare, version = [], []
    for _ in range(41):
        bare.append(seconds(BIN / "python", "-c", "pass"))
        version.append(seconds(BIN / "gpubox", "--version"))
    ratio = statistics.median(version) / statistics.median(bare)
    print(f"gpubox --version      {statistics.median(version) * 1e3:6.1f} ms")
    print(f"python -c pass        {statistics.median(bare) * 1e3:6.1f} ms")
    print(f"ratio                 {ratio:6.2f}    (target: at most 1.5)")
    with tempfile.TemporaryDirectory() as folder:
        for number in range(1000):
            (Path(folder) / f"p{number}.yml").write_text(PROFILE.format(number, 1024 + number))
        times = [seconds(BIN / "gpubox", "check", *sorted(Path(folder).glob("*.yml"))) for _ in range(5)]
    print(f"check, 1,000 profiles {statistics.median(times):6.2f} s  (target: under 3)")


if __name__ == "__main__":
    main()

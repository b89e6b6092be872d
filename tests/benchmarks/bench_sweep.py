"""TG as gpubox measures it through the server, beside llama-sweep-bench of the same build on the same model.

python tests/benchmarks/bench_sweep.py [FOLDER]

FOLDER holds llama-server and llama-sweep-bench of ik_llama.cpp, as `gpubox image script` builds them; by default what
GPUBOX_IK_LLAMA_BIN says. Both generate 128 tokens after 512 others, in turns, of a model with made-up weights that is large
enough for a token to take some 50 ms on one core. Prints the best of each, which others on the machine can't raise, and the
difference of the best and of the medians in percent.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from gpubox.tiny_model import TinyShape, make_tiny_model

BIN = Path(sys.executable).parent
SHAPE = TinyShape(layers=8, width=1536, ffn=6144, kv_heads=4)
ROUNDS, DEPTH, N_GEN = 6, 512, 128
PROFILE = """
model: {{path: {model}}}
engine: {{name: ik_llama}}
gpus: none
server: {{ctx_size: 1024, batch_size: 512, ubatch_size: 512, threads: {threads}}}
port: 18099
"""


def ours(server: Path, folder: Path) -> float:
    """Return TG of one request, tokens per second."""
    words = ["bench", "x.yml", "--server", server, "--pp", DEPTH, "--tg", N_GEN, "--reps", 1, "--db", "r.db", "--json"]
    done = subprocess.run([BIN / "gpubox", *map(str, words)], cwd=folder, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout)["results"][0]["tg_tps"]["mean"])


def theirs(tool: Path, folder: Path, threads: int) -> float:
    """Return TG after as many tokens, tokens per second, by the engine's own tool."""
    words = f"-m x.gguf -c {2 * DEPTH} -b {DEPTH} -ub {DEPTH} -t {threads} --output-format jsonl".split()
    done = subprocess.run([tool, *words], cwd=folder, capture_output=True, text=True, check=True)
    rows = [json.loads(line) for line in (done.stdout + done.stderr).splitlines() if line.startswith("{")]
    (row,) = [row for row in rows if row["n_kv"] == DEPTH]
    return float(row["speed_tg"])


def main() -> None:
    """Measure in turns and print."""
    told = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("GPUBOX_IK_LLAMA_BIN")
    if told is None:
        print("bench_sweep: no build of ik_llama.cpp is named; left out")
        return
    build, threads = Path(told), max(1, (os.cpu_count() or 1) // 2)  # the rest is for whatever else runs
    found: dict[str, list[float]] = {"gpubox": [], "llama-sweep-bench": []}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model = make_tiny_model(folder / "x.gguf", shape=SHAPE)
        (folder / "x.yml").write_text(PROFILE.format(model=model, threads=threads))
        for _ in range(ROUNDS):
            found["gpubox"].append(ours(build / "llama-server", folder))
            found["llama-sweep-bench"].append(theirs(build / "llama-sweep-bench", folder, threads))
    for who, values in found.items():
        print(f"{who:<18} TG {max(values):7.3f} t/s  ({', '.join(f'{value:.2f}' for value in values)})")
    for how, one in (("best", max), ("median", statistics.median)):
        value, truth = (one(values) for values in found.values())
        print(f"{how:<18} {(value / truth - 1) * 100:+.2f} %")


if __name__ == "__main__":
    main()

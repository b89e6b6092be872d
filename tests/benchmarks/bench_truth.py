"""How true a measurement is: against a stand-in server of known speed, beside llama-benchy 0.4.0 on the same server.

python tests/benchmarks/bench_truth.py [--without-peer] [--tunnel]

Prints the error of PP and TG in percent of the truth, and the wall time beyond the requests themselves (warm-up
included). With --tunnel also what is measured through the tunnel that `gpubox bench --host` opens, to a real sshd on
loopback that runs as whoever runs this: by the server's clock, which counts, and by ours. llama-benchy is installed once into .cache/benchmarks; it wants a tokenizer and a book, so it gets a
word-level tokenizer and a text of words, on loopback.
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from statistics import fmean

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from benchmarks.loopback_ssh import loopback_sshd  # noqa: E402  # the folder above is on the path only now
from gpubox.bench.session import Subject, bench  # noqa: E402
from gpubox.box_connection import BoxConnection  # noqa: E402
from gpubox.endpoint import Endpoint  # noqa: E402
from gpubox.record import Run, Sample, Workload  # noqa: E402
from gpubox.results.store import Store  # noqa: E402
from gpubox.results.summary import summarise  # noqa: E402
from standin.start import standin  # noqa: E402

BIN = Path(sys.executable).parent
SPEEDS = ((1_000, 50), (20_000, 2_000))
N_PROMPT, N_GEN, REPS = 2048, 128, 5
PEER = ROOT / ".cache" / "benchmarks" / "llama-benchy"
TOKENIZER = """
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
words = {f"w{number}": number for number in range(997)} | {"[UNK]": 997}
tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]").save_pretrained("tokenizer")
"""


def report(who: str, truth: tuple[int, int], found: tuple[float, float], beyond_s: float) -> None:
    """Print one line."""
    errors = [f"{(value / true - 1) * 100:+6.2f} %" for value, true in zip(found, truth, strict=True)]
    print(
        f"{who:<18} PP {truth[0]:>6}: {errors[0]}   TG {truth[1]:>5}: {errors[1]}   beyond the requests {beyond_s:5.2f} s"
    )


def ours(url: str, truth: tuple[int, int], folder: Path) -> None:
    """Measure with gpubox."""
    database = str(folder / "results.db")
    words: list[object] = [
        "bench",
        "--endpoint",
        url,
        "--pp",
        N_PROMPT,
        "--tg",
        N_GEN,
        "--reps",
        REPS,
        "--db",
        database,
        "--json",
    ]
    start = time.perf_counter()
    done = subprocess.run([BIN / "gpubox", *map(str, words)], capture_output=True, text=True, check=True)
    wall_s = time.perf_counter() - start
    result = json.loads(done.stdout)["results"][0]
    show = subprocess.run(
        [BIN / "gpubox", "results", "latest", "--db", database, "--json"], capture_output=True, text=True, check=True
    )
    samples = json.loads(show.stdout)["samples"]
    measured_s = sum(sample["e2e_ms"] for sample in samples) / 1e3
    report("gpubox", truth, (result["pp_tps"]["mean"], result["tg_tps"]["mean"]), wall_s - measured_s)
    if result["flags"]:
        print(f"{'':<18} flags: {', '.join(result['flags'])}")


class Silent:
    """Nobody who wants to know."""

    def say(self, text: str) -> None:
        """Hear nothing."""

    def sample(self, run: Run, sample: Sample) -> None:
        """See nothing."""


def tunnelled(url: str, truth: tuple[int, int], folder: Path) -> None:
    """Measure with gpubox through SSH, in the process that holds the tunnel, as on a box."""
    workload = Workload("truth", N_PROMPT, N_GEN, min_reps=REPS, max_reps=REPS)
    with (
        loopback_sshd(folder) as variables,
        BoxConnection("loopback", variables) as connection,
        closing(
            connection.start(["true"])
        ),  # a benchmark of a box has a session too; without one sshd keeps Nagle's wait
        connection.tunnel(int(url.rpartition(":")[2])) as port,
        Endpoint(f"http://127.0.0.1:{port}") as endpoint,
        Store.open(str(folder / "tunnel.db")) as store,
    ):
        start = time.perf_counter()
        (run_id,) = bench(store, endpoint, [workload], Subject(), batch="truth", watcher=Silent())
        wall_s = time.perf_counter() - start
        samples = store.samples(run_id)
        flags = summarise(store.run(run_id), samples).flags
    valid = [sample for sample in samples if sample.valid]
    beyond_s = wall_s - sum(sample.e2e_ms for sample in samples) / 1e3
    server = fmean(sample.pp_tps or 0.0 for sample in valid), fmean(sample.tg_tps or 0.0 for sample in valid)
    report("through SSH", truth, server, beyond_s)
    ours = (
        fmean(sample.sent_n / ((sample.ttft_ms or 0.0) - (sample.rtt_ms or 0.0)) * 1e3 for sample in valid),
        fmean(sample.client_tg_tps or 0.0 for sample in valid),
    )
    report("  by our clock", truth, ours, beyond_s)
    if flags:
        print(f"{'':<18} flags: {', '.join(flags)}")


def prepare_peer() -> Path:
    """Install llama-benchy and its tokenizer once; return its folder."""
    program = PEER / "bin" / "llama-benchy"
    if not program.exists():
        print(f"installing llama-benchy 0.4.0 into {PEER.relative_to(ROOT)} (once)")
        subprocess.run([sys.executable, "-m", "venv", PEER], check=True)
        subprocess.run([PEER / "bin" / "pip", "install", "-qq", "llama-benchy==0.4.0"], check=True)
    if not (PEER / "tokenizer").exists():
        subprocess.run([PEER / "bin" / "python", "-c", TOKENIZER], cwd=PEER, check=True)
    return program


def theirs(url: str, truth: tuple[int, int], folder: Path, program: Path) -> None:
    """Measure with llama-benchy."""
    (folder / "book.txt").write_text(" ".join(f"w{number % 997}" for number in range(60_000)))
    handler = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *a: handler(*a, directory=str(folder))) as books:
        threading.Thread(target=books.serve_forever, daemon=True).start()
        words = [
            program, "--base-url", f"{url}/v1", "--model", "standin", "--tokenizer", PEER / "tokenizer",
            "--book-url", f"http://127.0.0.1:{books.server_port}/book.txt", "--pp", N_PROMPT, "--tg", N_GEN,
            "--runs", REPS, "--skip-coherence", "--no-cache", "--format", "json", "--save-result", folder / "peer.json",
        ]  # fmt: skip  # an option and its value together
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HOME": str(folder)}
        start = time.perf_counter()
        done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False, env=environment)
        wall_s = time.perf_counter() - start
        books.shutdown()
    if done.returncode != 0:
        print(f"llama-benchy failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return
    result = json.loads((folder / "peer.json").read_text())
    found = result["benchmarks"][0]
    request_s = N_PROMPT / truth[0] + (N_GEN - 1) / truth[1]
    report(
        "llama-benchy 0.4.0",
        truth,
        (found["pp_throughput"]["mean"], found["tg_throughput"]["mean"]),
        wall_s - REPS * request_s,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--without-peer", action="store_true", help="leave llama-benchy out")
    parser.add_argument("--tunnel", action="store_true", help="measure through SSH too, to an sshd on loopback")
    args = parser.parse_args()
    peer = None if args.without_peer else prepare_peer()
    for truth in SPEEDS:
        with standin("--pp", str(truth[0]), "--tg", str(truth[1])) as url, tempfile.TemporaryDirectory() as folder:
            ours(url, truth, Path(folder))
            if args.tunnel:
                tunnelled(url, truth, Path(folder))
            if peer:
                theirs(url, truth, Path(folder), peer)


if __name__ == "__main__":
    main()

"""How well a model foretells a text: the tool's command line, what it prints, and two runs beside each other."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest

from cli.console import Console
from gpubox.profile_files import load_profile
from gpubox.quality.perplexity import chunk_likelihoods, tool_arguments

PROFILE = """
model: {path: /srv/models/x.gguf}
engine: {name: ik_llama}
gpus: all
server: {ctx_size: 131072, n_gpu_layers: 80, mla_use: 3, cache_type_k: q8_0, batch_size: 8192, ubatch_size: 2048}
experts: [{layers: "3", device: CUDA0, tensors: [up]}]
speculative: [{type: mtp, n_max: 4, p_min: 0.5}]
sampling: {temp: 0.6}
extra_args: ["-cuda", "graphs=1"]
"""
TOOL = """#!{python}
import sys
text = open(sys.argv[sys.argv.index("--file") + 1]).read()
assert "The mill at the bend" in text
{body}
"""
# As llama-perplexity of ik_llama.cpp printed it: so far, chunk by chunk.
PRINTED = "[1]47.7975,[2]48.4162,[3]49.2011,[4]50.4020,[5]50.2923,[6]50.6722,\n"


def test_the_tool_computes_as_the_profile_does_and_serves_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.yml").write_text(PROFILE)
    profile = load_profile(str(tmp_path / "x.yml")).profile
    assert " ".join(tool_arguments(profile, model="/models/x.gguf", text="/t.txt")) == (
        "--model /models/x.gguf --ubatch-size 2048 --n-gpu-layers 80 --mla-use 3 --cache-type-k q8_0 "
        r"--override-tensor blk\.(3)\.ffn_(up)_exps\.weight=CUDA0 -cuda graphs=1 "
        "--ctx-size 256 --batch-size 256 --file /t.txt"
    )


def test_each_chunks_likelihood_follows_from_the_perplexities_so_far() -> None:
    found = chunk_likelihoods(PRINTED)
    assert found[0] == pytest.approx(math.log(47.7975))
    assert math.exp(math.fsum(found) / len(found)) == pytest.approx(50.6722)
    assert len(found) == 6


@pytest.mark.parametrize("printed", ["", "[1]nan,[2]nan,", "nothing", "[2]4.0,"])
def test_where_no_number_is_printed_there_is_none(printed: str) -> None:
    assert chunk_likelihoods(printed) == []


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a profile, a model, a workload and a build whose llama-perplexity is what a test writes."""
    from gpubox.tiny_model import TinyShape, make_tiny_model

    monkeypatch.chdir(tmp_path)
    make_tiny_model(tmp_path / "x.gguf", shape=TinyShape(layers=1, width=64, ffn=64, kv_heads=1))
    Path("x.yml").write_text(
        f"model: {{path: {tmp_path}/x.gguf}}\nengine: {{name: ik_llama}}\ngpus: none\nserver: {{ctx_size: 512}}\n"
    )
    Path("w.yml").write_text("measure: [{perplexity: essay}]\n")
    Path("llama-server").write_text("#!/bin/sh\necho version: 1\n")
    Path("llama-server").chmod(0o755)
    return tmp_path


def write_tool(folder: Path, body: str) -> None:
    import sys

    (folder / "llama-perplexity").write_text(TOOL.format(python=sys.executable, body=body))
    (folder / "llama-perplexity").chmod(0o755)


def measured(folder: Path) -> tuple[int, str, str]:
    done = Console(Path.cwd()).run(
        "bench", "x.yml", "--server", str(folder / "llama-server"), "--workload", "w.yml", "--db", "r.db"
    )
    return done.returncode, done.stdout, done.stderr


def test_a_worse_model_is_told_by_the_same_text_chunk_by_chunk(served: Path) -> None:
    for factor in (1.0, 1.03):
        # Chunks differ far more from each other than the two models do on any one of them.
        likelihoods = [(2 + index % 3) * factor for index in range(9)]
        so_far = [math.exp(math.fsum(likelihoods[: n + 1]) / (n + 1)) for n in range(9)]
        printed = "".join(f"[{n + 1}]{value:.4f}," for n, value in enumerate(so_far))
        write_tool(served, f"print({printed!r})")
        status, _, told = measured(served)
        assert status == 0, told
    compared = Console(Path.cwd()).run("compare", "latest~1", "latest", "--db", "r.db", "--fail-on-regression", "1")
    assert compared.returncode == 1
    assert "perplexity-essay: paired, piece by piece of the same text" in compared.stdout
    assert "B is less certain of the text by 3.0 % (95 % CI 3.0 to 3.0)" in compared.stdout
    assert "Quality: A has a perplexity of 20.08" in compared.stdout
    assert "; B has a perplexity of 21.97" in compared.stdout
    exported = Console(Path.cwd()).run("export", "--format", "prometheus", "--db", "r.db").stdout
    assert 'gpubox_perplexity{profile="x",workload="perplexity-essay",host="' in exported
    (_, found) = json.loads(Console(Path.cwd()).run("results", "--json", "--db", "r.db").stdout)["results"]
    assert found["perplexity"] == pytest.approx(math.exp(3.09), rel=1e-4)
    assert found["flags"] == []


def test_a_tool_that_fails_ends_the_run_with_its_words(served: Path) -> None:
    write_tool(served, "sys.exit('error: unknown argument: --mla-use')")
    status, _, told = measured(served)
    assert (status, told.splitlines()[-2:]) == (
        1,
        [
            f"{served}/llama-perplexity: failed with exit status 1",
            "  | error: unknown argument: --mla-use",
        ],
    )
    (run,) = json.loads(Console(Path.cwd()).run("results", "--json", "--db", "r.db").stdout)["results"]
    assert run["status"] == "failed"


def test_a_build_without_the_tool_leaves_the_text_out_and_says_so(served: Path) -> None:
    status, _, told = measured(served)
    assert status == 0
    server = served / "llama-server"
    assert f"x: perplexity-essay is left out: there is no llama-perplexity beside {server}" in told.splitlines()


REAL = os.environ.get("GPUBOX_IK_LLAMA_BIN")


@pytest.mark.skipif(not REAL, reason="GPUBOX_IK_LLAMA_BIN names no folder with llama-server and llama-perplexity")
def test_a_real_tool_is_understood(served: Path) -> None:
    done = Console(Path.cwd()).run(
        "bench", "x.yml", "--server", f"{REAL}/llama-server", "--workload", "w.yml", "--db", "r.db", "--json"
    )
    (run,) = json.loads(done.stdout)["results"]
    assert run["status"] == "done"
    assert run["nll"]["n"] >= 8
    assert served.is_dir()

"""Serve the small models with a real ik_llama.cpp built for the CPU, and keep the buffer sizes that it prints.

python tests/placement/record_buffers.py LLAMA_SERVER

Writes `cpu_buffers.json`, which `test_cpu_buffers.py` compares the planner with. The server is of commit 29a54f4.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(folder) for folder in (Path(__file__).parents[1], Path(__file__).parents[1] / "gguf_header")]

from placement.small_models import MODELS, write_small_model  # noqa: E402  # found by the path above

RECORD = Path(__file__).with_name("cpu_buffers.json")
_SIZE = re.compile(r"CPU +((?:KV |output |compute )?buffer) size = +([0-9.]+) MiB")
_LAST = "graph splits"

EVERY = [
    "-c 4096",
    "-c 16384 -ub 1024 -b 2048",
    "-c 8192 -ctk q8_0 -ctv q8_0",
    "-c 8192 -ub 256 -np 4",
    "-c 32768 -ub 2048 -b 2048 --no-mmap",
    "-c 8192 -wgt 1",
    "-c 4096 --merge-qkv",
    "-c 4096 -muge",
    "-c 4096 -no-fmoe",
    "-c 4096 -no-fug -no-mmad",
]
LATENT = [
    "-c 16384 -mla 1",
    "-c 16384 -mla 1 -ctk q8_0 -ub 1024",
    "-c 16384 -mla 3 -amb 64 -ub 1024",
    "-c 32768 -mla 3 -amb 256 -ctk q8_0",
    "-c 16384 -mla 2 -amb 128",
    "-c 4096 -ub 64 -b 64",
]
DRAFT = ["-c 8192 --spec-type mtp:n_max=2", "-c 16384 -ub 1024 -b 1024 --spec-type mtp:n_max=2"]


def cases(name: str) -> list[str]:
    """Return the command lines that one model is served with."""
    latent = LATENT if name.startswith(("deepseek2", "glm-dsa")) else []
    return EVERY + latent + (DRAFT if name.startswith("glm") else [])


def printed(server: str, model: Path, flags: str) -> dict[str, list[float]]:
    """Return what a server prints of its buffers, MiB, by kind, one entry for each context."""
    contexts = 2 if "mtp" in flags else 1
    command = [server, "-m", str(model), *flags.split(), "--no-warmup", "--port", "18911", "-t", "2"]
    found: dict[str, list[float]] = {"buffer": [], "KV buffer": [], "output buffer": [], "compute buffer": []}
    last: list[str] = []
    process = subprocess.Popen(  # it leaves a llama.log where it stands
        command, cwd=model.parent, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace"
    )
    try:
        assert process.stderr is not None
        for line in process.stderr:
            last = [*last[-20:], line]
            if match := _SIZE.search(line):
                found[match[1]].append(float(match[2]))
            contexts -= _LAST in line
            if not contexts:
                return found
    finally:
        process.kill()
        process.wait()
    raise SystemExit(f"{model.name} {flags}: ended before its buffers were printed\n{''.join(last)}")


def main() -> None:
    """Serve and record."""
    server = str(Path(sys.argv[1]).resolve())
    record = []
    with tempfile.TemporaryDirectory() as folder:
        for name in MODELS:
            model = write_small_model(Path(folder) / f"{name}.gguf", name)
            for flags in cases(name):
                record.append({"model": name, "flags": flags, **printed(server, model, flags)})
                print(record[-1])
    RECORD.write_text("[\n" + ",\n".join(json.dumps(case) for case in record) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()

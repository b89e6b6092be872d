"""Serve small models on several devices with a real ik_llama.cpp, and keep the buffer sizes that it prints.

python tests/placement/record_devices.py FOLDER

FOLDER holds llama-server and rpc-server of commit 29a54f4, built for the CPU with -DGGML_RPC=ON: each rpc-server is a device
to the server, to which layers, cache and compute buffers are dealt out by the same code as to GPUs. What is CUDA's own
(weights of the host used by a GPU for large batches, pools, `-sm graph`) can't be seen that way. The server counts one
device more than there are, which has no memory (llama.cpp:434). Writes `device_buffers.json`, which
`test_device_buffers.py` compares the planner with.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

sys.path[:0] = [str(folder) for folder in (Path(__file__).parents[1], Path(__file__).parents[1] / "gguf_header")]

from placement.small_models import write_small_model  # noqa: E402  # found by the path above

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORD = Path(__file__).with_name("device_buffers.json")
PORTS = (18921, 18922, 18923)
MORE_LAYERS = {"llama": 9, "qwen3moe": 8, "glm4moe": 7, "deepseek2": 8, "deepseek2-lite": 0, "glm-dsa": 7}
_SIZE = re.compile(r"(RPC0\[127\.0\.0\.1:(\d+)\]|CPU) +((?:KV |compute )?buffer) size = +([0-9.]+) MiB")
_LAST = "graph splits"

# Without `-ts` layers go by free memory, which all rpc-servers of one machine have alike.
EVERY = [
    "-c 8192 -ngl 99",
    "-c 8192 -ngl 99 -ts 3,1",
    "-c 16384 -ub 1024 -b 2048 -ngl 99 -ts 1,2",
    "-c 8192 -ngl 99 -ts 1,0",
    "-c 8192 -ctk q8_0 -ctv q8_0 -ngl 99 -ts 2,3",
]
THREE = ["-c 8192 -ngl 99 -ts 1,1,1", "-c 8192 -ngl 99 -ts 5,2,1"]
# Some of it on the host; GPU0 stands for the device's name.
HOSTED = [(2, "-c 8192 -ngl 6"), (2, "-c 8192 -ngl 6 -ts 1,4"), (3, "-c 8192 -ngl 7"), (2, "-c 8192 -ngl 99 -nkvo")]
HOSTED_EXPERTS = [
    (2, "-c 8192 -ngl 99 -cmoe"),
    (2, "-c 8192 -ngl 99 --n-cpu-moe 3"),
    (2, "-c 8192 -ngl 99 --n-cpu-moe 5 -ts 1,3"),
    (3, "-c 8192 -ngl 99 --n-cpu-moe 4"),
    (2, "-c 8192 -ngl 8 --n-cpu-moe 4 -ts 2,1"),
    (2, r"-c 8192 -ngl 99 -ot blk\.([2-4])\.ffn_.*_exps=CPU"),
    (2, r"-c 8192 -ngl 99 -ot blk\.2\.ffn_up_exps=GPU1,blk\.[23]\.ffn=CPU,blk\.(9|10)\..*=GPU0"),
    (3, r"-c 8192 -ngl 99 -ts 1,1,2 -ot blk\.[4-6]\.ffn_down_exps=GPU2 --n-cpu-moe 2"),
]
LATENT = [
    "-c 16384 -mla 1 -ngl 99 -ts 2,3",
    "-c 16384 -mla 3 -amb 64 -ub 1024 -ngl 99 -ts 3,2",
    "-c 32768 -mla 3 -amb 256 -ctk q8_0 -ngl 99",
]
DRAFT = ["-c 8192 -ngl 99 --spec-type mtp:n_max=2", "-c 16384 -ub 1024 -b 1024 -ngl 99 -ts 1,3 --spec-type mtp:n_max=2"]


def cases(name: str) -> list[tuple[int, str, bool]]:
    """Return how many devices and which command line one model is served with, and whether the host has no layers' part."""
    latent = LATENT if name.startswith(("deepseek2", "glm-dsa")) else []
    two = EVERY + latent + (DRAFT if name.startswith("glm") else [])
    hosted = HOSTED + (HOSTED_EXPERTS if name != "llama" else [])
    whole = [*((2, flags, True) for flags in two), *((3, flags, True) for flags in THREE)]
    return whole + [(devices, flags, False) for devices, flags in hosted]


@contextmanager
def device(tool: Path, port: int) -> Iterator[None]:
    """Run an rpc-server."""
    words = [str(tool), "-cpu", "-t", "1", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        yield
    finally:
        process.kill()
        process.wait()


def printed(folder: Path, model: Path, devices: int, flags: str) -> dict[str, dict[str, list[float]]]:
    """Return what a server prints of its buffers, MiB, by kind and device, one entry for each context."""
    contexts = 2 if "mtp" in flags else 1
    names = {str(port): f"GPU{number}" for number, port in enumerate(PORTS[:devices])}
    found: dict[str, dict[str, list[float]]] = {
        kind: {name: [] for name in [*names.values(), "CPU"]} for kind in ("buffer", "KV buffer", "compute buffer")
    }
    last: list[str] = []
    with ExitStack() as stack:
        for port in PORTS[:devices]:
            stack.enter_context(device(folder / "rpc-server", port))
        rpc = ",".join(f"127.0.0.1:{port}" for port in PORTS[:devices])
        for number, name in names.items():
            flags = flags.replace(f"={name}", f"=RPC0[127.0.0.1:{number}]")
        command = [str(folder / "llama-server"), "-m", str(model), "--rpc", rpc, *flags.split()]
        command += ["--no-warmup", "--port", "18911", "-t", "2"]
        process = subprocess.Popen(  # it leaves a llama.log where it stands
            command,
            cwd=model.parent,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        try:
            assert process.stderr is not None
            for line in process.stderr:
                last = [*last[-20:], line]
                if match := _SIZE.search(line):
                    found[match[3]][names[match[2]] if match[2] else "CPU"].append(float(match[4]))
                contexts -= _LAST in line
                if not contexts:
                    return found
        finally:
            process.kill()
            process.wait()
    raise SystemExit(f"{model.name} {flags}: ended before its buffers were printed\n{''.join(last)}")


def main() -> None:
    """Serve and record."""
    folder = Path(sys.argv[1]).resolve()
    record = []
    with tempfile.TemporaryDirectory() as models:
        for name, more in MORE_LAYERS.items():
            model = write_small_model(Path(models) / f"{name}.gguf", name, more)
            for devices, flags, whole in cases(name):
                found = printed(folder, model, devices, flags)
                case = {"model": name, "more_layers": more, "devices": devices, "flags": flags, "whole": whole}
                record.append({**case, **found})
                print(record[-1], flush=True)
    RECORD.write_text("[\n" + ",\n".join(json.dumps(case) for case in record) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Deployments to render in tests: the least, the most, and the host's network."""

from __future__ import annotations

from gpubox.deployment import Deployment, Health, Mount, Port, Restart, Secret

MINIMAL = Deployment(
    name="tiny", description="A tiny model", image="localhost/llama:1", argv=("--model", "/models/tiny.gguf")
)

FULL = Deployment(
    name="glm-5.2-1.630bpw-mtp",
    description="GLM-5.2 at 1.630 bpw, 100% on GPU, MTP",
    image="localhost/ik_llama@sha256:4d1fcf4a1ea1e1e1b8f3a0c5ab7b3c1a2f1f0a9be1f2f6d7c8b9a0e1d2c3b4a5",
    argv=(
        "--model",
        "/models/snapshots/451d18c5/GLM-5.2-GGUF-1.630bpw.gguf",
        "--ctx-size",
        "131072",
        "-ngl",
        "80",
        "-ot",
        r"blk\.(3|4|5|6)\.ffn_(up|gate|down)_exps\.weight=CUDA0",
        "-ot",
        r"blk\.[0-9]+\.ffn_.*_exps\.=CPU$",
        "-cuda",
        "graphs=1",
        "--chat-template-kwargs",
        '{"enable_thinking": false, "note": "it\'s 100% \\"quoted\\""}',
        "--grammar",
        'root ::= "yes" | "no"\n',
        "--seed",
        "-1",
        "--api-key-file",
        "/run/secrets/api-key",
    ),
    devices=(
        "nvidia.com/gpu=GPU-5f6d1c2e-3a4b-4c5d-8e9f-0a1b2c3d4e5f",
        "nvidia.com/gpu=GPU-0a1b2c3d-4e5f-4061-8273-8495a6b7c8d9",
    ),
    mounts=(
        Mount("/srv/models/models--sokann--GLM-5.2-GGUF-1.630bpw", "/models"),
        Mount("/var/lib/gpubox/slots", "/slots", read_only=False, relabel=True),
    ),
    publish=(Port("0.0.0.0", 8000, 8080), Port("::1", 8001, 8080)),
    add_capabilities=("SYS_NICE", "IPC_LOCK"),
    tmpfs=("/var/cache/llama",),
    environment={"CUDA_VISIBLE_DEVICES": "0,1", "GREETING": 'it\'s $5 \\ 100% "free"', "EMPTY": ""},
    secrets=(Secret("glm-api-key", "/run/secrets/api-key"),),
    podman_args=("--ulimit=memlock=-1:-1", "--shm-size=8g"),
    pull="never",
    conflicts=("glm-5.2-q2.service", "qwen.service"),
    start_at_boot=True,
    start_timeout_s=1800,
    stop_timeout_s=120,
    restart=Restart(policy="always", delay_s=30, burst=4, window_s=7200),
    health=Health("curl -fsS 'http://127.0.0.1:8080/health' | grep -q \"ok\"", timeout_s=10, start_period_s=1200),
)

HOST_NETWORK = Deployment(
    name="qwen",
    description="Qwen on the host's network",
    image="registry.example:5000/llama.cpp/server:b9000",
    argv=("--host", "127.0.0.1", "--port", "8000", "--model", "/models/qwen.gguf"),
    devices=("nvidia.com/gpu=all", "/dev/dri/renderD128"),
    mounts=(Mount("/srv/models", "/models"),),
    host_network=True,
    add_capabilities=(),
    no_new_privileges=False,
    read_only_root=False,
    restart=Restart(policy="no"),
)

SAMPLES = {"minimal": MINIMAL, "full": FULL, "host-network": HOST_NETWORK}

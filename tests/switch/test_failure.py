"""Why a server did not come up, from logs of ik_llama.cpp at 29a54f4 (on a GPU in `data/engine_logs`) and of Podman 5.4.2.

The `oom-*` and `illegal-instruction*` ones are of a virtual machine with Debian 13 (Linux 6.12, systemd 257), whose
services ran a process that takes memory without end, with `MemoryMax=128M` and without, or one that executes `ud2`: what
the box's program reads of their journals.

The lines in this file are put together from the format strings of ik_llama.cpp and CUDA's own texts. That of a driver
that is too old is what libcudart 13.5 says beside libcuda 535.261 (CUDA 12.2), error 35.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from golden import compare
from gpubox.switch_program.failure import LINES_AFTER, LINES_BEFORE, LINES_SHOWN, Evidence, explain, told_cpu
from gpubox.switch_program.units import UnitState

# Where it is not 1.
STATUS = {
    "vram-at-first-request": 134,
    "no-kernel-image": 134,
    "killed-while-loading": 137,
    "split-mode-none-on-two-gpus": 134,
    "bad-cache-type": 134,
    "oom-at-memory-max": 137,
    "oom-of-a-plain-unit": 137,
    "oom-of-the-whole-box": 137,
    "illegal-instruction": 132,
}
HERE = Path(__file__).parent


def told(*lines: str, **evidence: object) -> str:
    """The explanation without the lines that it shows."""
    error = explain("two", Evidence(lines, **evidence))  # type: ignore[arg-type]
    return f"{error.place}: {error.fault}; {error.remedy}"


def test_golden_explanations_of_captured_logs() -> None:
    logs = [*(HERE / "logs").glob("*.txt"), *(HERE.parent / "data" / "engine_logs").glob("*.log")]
    explained = {
        f"{log.stem}.txt": f"{explain('two', Evidence(tuple(log.read_text().splitlines()), STATUS.get(log.stem, 1)))}\n"
        for log in logs
    }
    compare(HERE / "golden", explained)


LESS = "lower server.ctx_size or server.ubatch_size, or move experts to the CPU; `gpubox plan` names the nearest change"
LESS_OF_THE_HOST = (
    "move experts to a GPU, lower server.ctx_size, or take a smaller model; `gpubox plan` says what the host must hold"
)
CUDA = {
    "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 5967.00 MiB on device 1: cudaMalloc failed: out of memory": (
        f"two: CUDA is out of memory: GPU 1 has no 5967.00 MiB left; {LESS}"
    ),
    "CUDA error: out of memory": f"two: CUDA is out of memory; {LESS}",
    "CUDA error: no kernel image is available for execution on the device": (
        "two: the image has no code for this GPU; build the image for this GPU: run playbooks/image.yml with this box in it"
    ),
    "mmq.cuh:12: ERROR: CUDA kernel mul_mat_q has no device code compatible with CUDA arch 1200. "
    "ggml-cuda.cu was compiled for: 800,860,890": (
        "two: the image has no code for this GPU: it was built for 800,860,890, and the GPU is 1200; "
        "build the image for this GPU: run playbooks/image.yml with this box in it"
    ),
    "ggml_cuda_init: failed to initialize CUDA: CUDA driver version is insufficient for CUDA runtime version": (
        "two: the driver is too old for the CUDA of the image; "
        "install a newer driver: run playbooks/provision.yml, then reboot"
    ),
    "nvidia-container-cli: requirement error: unsatisfied condition: cuda>=13.0, please update your driver": (
        "two: the driver is too old for the image, which wants cuda>=13.0; "
        "install a newer driver: run playbooks/provision.yml, then reboot"
    ),
}


@pytest.mark.parametrize("line", CUDA)
def test_a_line_of_cuda_is_told_in_words(line: str) -> None:
    assert told("loading", line, "Aborted", exit_status=134) == CUDA[line]


def test_a_driver_that_is_too_old_is_told_also_where_the_server_goes_on_with_the_cpu() -> None:
    line = "ggml_cuda_init: failed to initialize CUDA: CUDA driver version is insufficient for CUDA runtime version"
    assert told(line, "llm_load_tensors: offloaded 0/80 layers to GPU", timeout_s=900) == CUDA[line]


NO_GPU_CODE = (
    "the server of this image can use no GPU; build the image for CUDA: run playbooks/image.yml, "
    "or correct engine.image in the profile"
)
CPU = {
    "ggml_cuda_init: failed to initialize CUDA: CUDA driver version is insufficient for CUDA runtime version": (
        "the driver is too old for the CUDA of the image; install a newer driver: run playbooks/provision.yml, then reboot"
    ),
    "ggml_cuda_init: failed to initialize CUDA: no CUDA-capable device is detected": (
        "CUDA finds no GPU; does nvidia-smi list it? If it does, the container is not given it: "
        "run `nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`, or `systemctl restart nvidia-cdi-refresh`"
    ),
    "ggml_cuda_init: failed to initialize CUDA: system not yet initialized": (
        "the GPUs wait for the fabric manager of their NVLink switches; "
        "systemctl start nvidia-fabricmanager; it must be of the driver's version"
    ),
    "ggml_cuda_init: failed to initialize CUDA: unknown error": (
        "CUDA can't start: unknown error; does nvidia-smi show every GPU? If it does: "
        "run `nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`, or `systemctl restart nvidia-cdi-refresh`; "
        "else reboot, and see journalctl -k -g NVRM"
    ),
    "warning: no usable GPU found, --gpu-layers option will be ignored": NO_GPU_CODE,
    "warning: not compiled with GPU offload support, --gpu-layers option will be ignored": NO_GPU_CODE,
}


@pytest.mark.parametrize("line", CPU)
def test_a_server_that_answers_from_the_cpu_is_told_from_its_own_lines(line: str) -> None:
    error = told_cpu("two", ("build info", line, "CPU: using device CPU", "all slots are idle"))
    assert error is not None
    assert str(error).splitlines() == [
        f"two: it answers from the CPU: {CPU[line]}",
        "  | build info",
        f"  | {line}",
        "  | CPU: using device CPU",
        "  | all slots are idle",
    ]


def test_a_real_log_without_a_gpu_is_told_and_those_with_one_are_not() -> None:
    logs = {
        log.stem: told_cpu("two", log.read_text().splitlines())
        for log in (HERE.parent / "data" / "engine_logs").glob("*.log")
    }
    assert {name for name, error in logs.items() if error} == {"no-gpu"}


@pytest.mark.parametrize(
    ("shown", "status"),
    [
        ({"result": "exit-code", "code": "1", "status": "132"}, 132),  # Podman's, of a SIGILL
        ({"result": "signal", "code": "2", "status": "4"}, 132),  # systemd's own
        ({"result": "exit-code", "code": "1", "status": "137"}, 137),  # Podman's, of the OOM killer
        ({"result": "oom-kill", "code": "2", "status": "9"}, 137),
    ],
)
def test_podman_and_systemd_show_the_same_end_alike(shown: dict[str, str], status: int) -> None:
    told_by_systemd = dict.fromkeys((field.name for field in fields(UnitState)), "") | shown
    assert UnitState(**told_by_systemd).exit_status == status


def test_the_planners_verdict_replaces_the_general_remedy_where_memory_is_short() -> None:
    verdict = "CUDA0 lacks 812 MiB by the plan; it would with -ub 1024: a smaller batch"
    assert (
        told("CUDA error: out of memory", exit_status=134, verdict=verdict) == f"two: CUDA is out of memory; {verdict}"
    )


def test_progress_is_told_where_a_load_was_cut_short() -> None:
    assert told("CUDA error: out of memory", exit_status=134, progress="12.0 GB of 184 GB read (6 %)") == (
        f"two: CUDA is out of memory (12.0 GB of 184 GB read (6 %)); {LESS}"
    )


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        (
            {"exit_status": 132},
            (
                "two: illegal instruction: the image was built for another CPU; "
                "build it on this box, or without GGML_NATIVE: run playbooks/image.yml"
            ),
        ),
        (
            {"exit_status": 137, "result": "oom-kill"},
            f"two: the kernel killed it for want of memory (OOM killer); {LESS_OF_THE_HOST}",
        ),
        (
            {"exit_status": 137},
            "two: it was killed (SIGKILL); if nobody did, the memory was short: journalctl -k -g oom",
        ),
        (
            {"exit_status": 139},
            "two: it crashed (SIGSEGV); see its last lines; all of them are in its journal",
        ),
        ({"exit_status": 3}, "two: it ended with exit status 3; see its last lines; all of them are in its journal"),
        (
            {"timeout_s": 900.0, "progress": "12.0 GB of 184 GB read (6 %), about 3000 s to go"},
            (
                "two: it did not answer within 900 s; 12.0 GB of 184 GB read (6 %), about 3000 s to go; "
                "if it is only slow, raise health.start_timeout in the profile, or switch with --timeout"
            ),
        ),
        (
            {"timeout_s": 30.0},
            (
                "two: it did not answer within 30 s; it read nothing of its model; "
                "if it is only slow, raise health.start_timeout in the profile, or switch with --timeout"
            ),
        ),
        ({"answer": "it stopped answering /health"}, "two: it stopped answering /health; see its last lines"),
    ],
)
def test_an_end_without_a_telling_line_is_told_by_how_it_ended(evidence: dict[str, object], expected: str) -> None:
    assert told("loading", **evidence) == expected


def test_the_kernels_own_words_tell_the_oom_killer() -> None:
    line = "Out of memory: Killed process 4711 (llama-server) total-vm:812345678kB"
    assert (
        told("loading", line, exit_status=137)
        == f"two: the kernel killed it for want of memory (OOM killer); {LESS_OF_THE_HOST}"
    )


def test_the_lines_around_the_telling_one_are_shown_and_podmans_noise_is_not() -> None:
    noise = "2026-11-24 03:39:53.346070243 +0000 UTC m=+0.155559830 container create 5e7e (image=x, name=two)"
    before, after = [f"before {number}" for number in range(20)], [f"after {number}" for number in range(20)]
    shown = explain("two", Evidence((*before, noise, "error: unknown argument: -x", *after))).last_lines
    assert shown == (*before[-LINES_BEFORE:], "error: unknown argument: -x", *after[:LINES_AFTER])
    assert explain("two", Evidence((*before, noise), 1)).last_lines == tuple(before[-LINES_SHOWN:])

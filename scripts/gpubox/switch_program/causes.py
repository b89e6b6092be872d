"""The words of a log that tell why a server does not serve, with what to do.

The messages are those of ik_llama.cpp at 29a54f4, of CUDA 12 and 13, and of Podman 4.9 and 5.4.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MEND_CDI = "run `nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`, or `systemctl restart nvidia-cdi-refresh`"
PORT_REMEDY = "`ss -ltnp` shows who has it; end that, or give the profile another port"
FETCH = "run playbooks/models.yml to fetch it again"


@dataclass(frozen=True)
class Cause:
    """Words of a log that tell a cause.

    Attributes:
        sign: found in the lines.
        fault: what is wrong, with the sign's groups.
        remedy: what to do.
        memory: whether the planner's verdict, if there is one, says more than the remedy.
        on_cpu: whether the server goes on with the CPU: it answers, and is slow.
    """

    sign: re.Pattern[str]
    fault: str
    remedy: str
    memory: bool = False
    on_cpu: bool = False


_LESS = (
    "lower server.ctx_size or server.ubatch_size, or move experts to the CPU; `gpubox plan` names the nearest change"
)
LESS_OF_THE_HOST = (
    "move experts to a GPU, lower server.ctx_size, or take a smaller model; `gpubox plan` says what the host must hold"
)
_OTHER_ARCHITECTURE = "build the image for this GPU: run playbooks/image.yml with this box in it"
_NEWER_DRIVER = "install a newer driver: run playbooks/provision.yml, then reboot"
# The first that is found counts, so the more certain ones come first.
CAUSES = (
    *(
        Cause(
            re.compile(
                rf"allocating ([\d.]+) MiB on device (\d+): cudaMalloc failed: out of memory\n(?:.*\n)?.*{sign}"
            ),
            f"CUDA is out of memory: GPU {{1}} has no {{0}} MiB left for the {part}",
            remedy,
            memory=True,
        )
        for sign, part, remedy in (
            (
                "failed to allocate buffer for kv cache",
                "KV cache",
                "lower server.ctx_size, or take a smaller cache_type_k",
            ),
            (
                "failed to allocate compute buffers",
                "compute buffer",
                "lower server.ubatch_size, or set server.attention_max_batch to 512",
            ),
            (
                "Failed to allocate buffer type",
                "weights",
                "move experts to the CPU (`gpubox plan --fill` says which), and see with nvidia-smi who else is on that GPU",
            ),
        )
    ),
    Cause(
        re.compile(r"allocating ([\d.]+) MiB on device (\d+): cudaMalloc failed: out of memory"),
        "CUDA is out of memory: GPU {1} has no {0} MiB left",
        _LESS,
        memory=True,
    ),
    Cause(
        re.compile(r"CUDA error: out of memory\n.*current device: (\d+)"),
        "CUDA is out of memory: GPU {0} was full when a request came",
        _LESS,
        memory=True,
    ),
    Cause(re.compile(r"CUDA error: out of memory"), "CUDA is out of memory", _LESS, memory=True),
    Cause(
        re.compile(r"has no device code compatible with CUDA arch (\d+)\. .*compiled for: (.*)"),
        "the image has no code for this GPU: it was built for {1}, and the GPU is {0}",
        _OTHER_ARCHITECTURE,
    ),
    Cause(
        re.compile(r"no kernel image is available for execution on the device"),
        "the image has no code for this GPU",
        _OTHER_ARCHITECTURE,
    ),
    Cause(
        re.compile(r"CUDA driver version is insufficient for CUDA runtime version"),
        "the driver is too old for the CUDA of the image",
        _NEWER_DRIVER,
        on_cpu=True,
    ),
    Cause(
        re.compile(r"unsatisfied condition: (cuda[^\s,]+)"),
        "the driver is too old for the image, which wants {0}",
        _NEWER_DRIVER,
    ),
    Cause(
        re.compile(r"unresolvable CDI devices? (.+)"),
        "the CDI specification has no {0}",
        MEND_CDI,
    ),
    Cause(
        re.compile(r"(?i)cannot stat `?(\S*(?:nvidia|cuda)\S*?)`?: no such file or directory"),
        "the CDI specification names {0}, which is gone, as after an update of the driver",
        MEND_CDI,
    ),
    Cause(
        re.compile(r'failed to stat CDI host device "([^"]+)": no such file'),
        "the CDI specification names {0}, which is gone, as after an update of the driver",
        MEND_CDI,
    ),
    Cause(
        re.compile(r"(?i)driver/library version mismatch"),
        "the driver that is loaded is not the one that is installed",
        "reboot",
    ),
    Cause(
        re.compile(r"no CUDA-capable device is detected"),
        "CUDA finds no GPU",
        f"does nvidia-smi list it? If it does, the container is not given it: {MEND_CDI}",
        on_cpu=True,
    ),
    Cause(
        re.compile(r"failed to initialize CUDA: system not yet initialized"),
        "the GPUs wait for the fabric manager of their NVLink switches",
        "systemctl start nvidia-fabricmanager; it must be of the driver's version",
        on_cpu=True,
    ),
    Cause(
        re.compile(r"failed to initialize CUDA: (.+)"),
        "CUDA can't start: {0}",
        f"does nvidia-smi show every GPU? If it does: {MEND_CDI}; else reboot, and see journalctl -k -g NVRM",
        on_cpu=True,
    ),
    Cause(
        re.compile(r"error: Invalid tensor buffer type override: (\S+)"),
        "the tensor override {0} names a device that is not there",
        "name one that the lines before list, or give the profile more gpus",
    ),
    Cause(
        re.compile(r"It is not possible to use split mode 'graph' with less than 2 devices"),
        "split mode graph needs two GPUs",
        "set server.split_mode to layer, or give the profile more gpus",
    ),
    Cause(
        re.compile(r"GGML_ASSERT\(n_inputs < GGML_SCHED_MAX_SPLIT_INPUTS\) failed"),
        "split mode none computes on one GPU, and too much of the KV cache is on others",
        "give the profile one GPU (`gpus: [0]`) instead of server.split_mode none",
    ),
    Cause(
        re.compile(r"error: (?:unknown|invalid) argument: (\S+)"),
        "the server knows no flag {0}",
        "correct the profile (`gpubox check`), or engine.commit where the image is of another commit",
    ),
    Cause(
        re.compile(r"(legacy speculative option .+? is disabled)"),
        "{0}",
        "correct the profile: use speculative instead of extra_args",
    ),
    Cause(re.compile(r"Invalid cache type: (\S+)"), "the server knows no cache type {0}", "correct the profile"),
    Cause(
        re.compile(r"data is not within the file bounds, model is corrupted or incomplete"),
        "the model file is cut off",
        FETCH,
    ),
    Cause(
        re.compile(r"invalid magic characters:? '?([^'\n]*)'?"),
        "the model file is no GGUF: it begins with {0}",
        FETCH,
    ),
    Cause(re.compile(r"failed to read key-value pairs|failed to read tensor"), "the model file is damaged", FETCH),
    Cause(
        re.compile(r"unknown model architecture: '(\S+)'"),
        "this build of the server does not know the architecture {0}",
        "name a newer engine.commit in the profile and run playbooks/image.yml",
    ),
    Cause(
        re.compile(r"gguf_init_from_file: failed to open (?:GGUF file )?'([^'\n]+)'"),
        "there is no model file {0} in the container",
        "run playbooks/models.yml, then playbooks/profiles.yml",
    ),
    Cause(
        re.compile(r"couldn't bind to server socket: hostname=(\S+) port=(\d+)"),
        "{0}:{1} is taken inside the container",
        PORT_REMEDY,
    ),
    Cause(
        re.compile(r"listen \w+ (\S+): bind: address already in use"),
        "{0} is in use",
        PORT_REMEDY,
    ),
    Cause(
        re.compile(r"(?m)^Error: (\S+): image not known"),
        "the image {0} is not on the box",
        "run playbooks/image.yml",
    ),
    Cause(
        re.compile(r"(?m)^Error: .*pinging container registry (\S+?): .*: ([^:\n]+)$"),
        "the image is not on the box, and the registry {0} can't be reached ({1})",
        "run playbooks/image.yml",
    ),
    Cause(
        re.compile(r"(?m)^Error: statfs (\S+): no such file or directory"),
        "there is no folder {0} on the box",
        "run playbooks/models.yml, or correct model.path in the profile",
    ),
    Cause(
        re.compile(r"(?i)no space left on device"),
        "a disk is full",
        "free space where Podman keeps containers: podman system df, podman system prune",
    ),
    Cause(
        re.compile(r"std::bad_alloc|unable to allocate CPU buffer|failed to allocate CPU buffer"),
        "the host has too little memory",
        LESS_OF_THE_HOST,
        memory=True,
    ),
    Cause(
        re.compile(r"warning: (?:no usable GPU found|not compiled with GPU offload support), --gpu-layers"),
        "the server of this image can use no GPU",
        "build the image for CUDA: run playbooks/image.yml, or correct engine.image in the profile",
        on_cpu=True,
    ),
)

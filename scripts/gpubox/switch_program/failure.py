"""Why a server did not come up, in words: read from how it ended and from what it, Podman and systemd logged.

The messages are those of ik_llama.cpp at 29a54f4, of CUDA 12 and 13, and of Podman 4.9 and 5.4.
"""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpubox.errors import ServerExitedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LINES_BEFORE, LINES_AFTER = 6, 3  # of the line that tells the cause
LINES_SHOWN = 12  # where no line does
MEND_CDI = "run `nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`, or `systemctl restart nvidia-cdi-refresh`"
PORT_REMEDY = "`ss -ltnp` shows who has it; end that, or give the profile another port"
FETCH = "run playbooks/models.yml to fetch it again"
# What Podman and conmon print at every start and stop.
_NOISE = re.compile(
    r"^[0-9a-f]{64}$|^\s*$|^(Started|Starting|Stopping|Stopped) |^time=\S+ level=warning|^conmon \w+ <n?warn>"
    r"|^\d{4}-\d\d-\d\d \S+ \S+ UTC m=\S+ (container|image|volume|network) "
)


@dataclass(frozen=True)
class Evidence:
    """What is known of a server that does not serve.

    Attributes:
        lines: what it, Podman and systemd logged, oldest first.
        exit_status: as a shell shows it; 0 while it runs.
        result: systemd's word for its end: `exit-code`, `oom-kill`, `timeout`, …
        timeout_s: seconds that it had, where they were too few; else 0.
        answer: what was wrong with its answer, if there was one.
        progress: how much of the model it had read, in words.
        verdict: why the planner said that it would not fit; empty where it did not.
    """

    lines: tuple[str, ...]
    exit_status: int = 0
    result: str = ""
    timeout_s: float = 0.0
    answer: str = ""
    progress: str = ""
    verdict: str = ""


@dataclass(frozen=True)
class _Cause:
    """Words of a log that tell a cause.

    Attributes:
        sign: found in the lines.
        fault: what is wrong, with the sign's groups.
        remedy: what to do.
        memory: whether the planner's verdict, if there is one, says more than the remedy.
        also_slow: whether it also tells why a server that runs is not ready in time.
    """

    sign: re.Pattern[str]
    fault: str
    remedy: str
    memory: bool = False
    also_slow: bool = False


_LESS = (
    "lower server.ctx_size or server.ubatch_size, or move experts to the CPU; `gpubox plan` names the nearest change"
)
_LESS_OF_THE_HOST = (
    "move experts to a GPU, lower server.ctx_size, or take a smaller model; `gpubox plan` says what the host must hold"
)
_OTHER_ARCHITECTURE = "build the image for this GPU: run playbooks/image.yml with this box in it"
_NEWER_DRIVER = "install a newer driver: run playbooks/provision.yml, then reboot"
# The first that is found counts, so the more certain ones come first.
_CAUSES = (
    *(
        _Cause(
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
    _Cause(
        re.compile(r"allocating ([\d.]+) MiB on device (\d+): cudaMalloc failed: out of memory"),
        "CUDA is out of memory: GPU {1} has no {0} MiB left",
        _LESS,
        memory=True,
    ),
    _Cause(
        re.compile(r"CUDA error: out of memory\n.*current device: (\d+)"),
        "CUDA is out of memory: GPU {0} was full when a request came",
        _LESS,
        memory=True,
    ),
    _Cause(re.compile(r"CUDA error: out of memory"), "CUDA is out of memory", _LESS, memory=True),
    _Cause(
        re.compile(r"has no device code compatible with CUDA arch (\d+)\. .*compiled for: (.*)"),
        "the image has no code for this GPU: it was built for {1}, and the GPU is {0}",
        _OTHER_ARCHITECTURE,
    ),
    _Cause(
        re.compile(r"no kernel image is available for execution on the device"),
        "the image has no code for this GPU",
        _OTHER_ARCHITECTURE,
    ),
    _Cause(
        re.compile(r"CUDA driver version is insufficient for CUDA runtime version"),
        "the driver is too old for the CUDA of the image",
        _NEWER_DRIVER,
        also_slow=True,  # the server goes on with the CPU
    ),
    _Cause(
        re.compile(r"unsatisfied condition: (cuda[^\s,]+)"),
        "the driver is too old for the image, which wants {0}",
        _NEWER_DRIVER,
    ),
    _Cause(
        re.compile(r"unresolvable CDI devices? (.+)"),
        "the CDI specification has no {0}",
        MEND_CDI,
    ),
    _Cause(
        re.compile(r"(?i)cannot stat `?(\S*(?:nvidia|cuda)\S*?)`?: no such file or directory"),
        "the CDI specification names {0}, which is gone, as after an update of the driver",
        MEND_CDI,
    ),
    _Cause(
        re.compile(r'failed to stat CDI host device "([^"]+)": no such file'),
        "the CDI specification names {0}, which is gone, as after an update of the driver",
        MEND_CDI,
    ),
    _Cause(
        re.compile(r"(?i)driver/library version mismatch"),
        "the driver that is loaded is not the one that is installed",
        "reboot",
    ),
    _Cause(
        re.compile(r"failed to initialize CUDA|no CUDA-capable device is detected"),
        "CUDA finds no GPU",
        f"does nvidia-smi list it? If it does, the container is not given it: {MEND_CDI}",
        also_slow=True,
    ),
    _Cause(
        re.compile(r"error: Invalid tensor buffer type override: (\S+)"),
        "the tensor override {0} names a device that is not there",
        "name one that the lines before list, or give the profile more gpus",
    ),
    _Cause(
        re.compile(r"It is not possible to use split mode 'graph' with less than 2 devices"),
        "split mode graph needs two GPUs",
        "set server.split_mode to layer, or give the profile more gpus",
    ),
    _Cause(
        re.compile(r"GGML_ASSERT\(n_inputs < GGML_SCHED_MAX_SPLIT_INPUTS\) failed"),
        "split mode none computes on one GPU, and too much of the KV cache is on others",
        "give the profile one GPU (`gpus: [0]`) instead of server.split_mode none",
    ),
    _Cause(
        re.compile(r"error: (?:unknown|invalid) argument: (\S+)"),
        "the server knows no flag {0}",
        "correct the profile (`gpubox check`), or engine.commit where the image is of another commit",
    ),
    _Cause(
        re.compile(r"(legacy speculative option .+? is disabled)"),
        "{0}",
        "correct the profile: use speculative instead of extra_args",
    ),
    _Cause(re.compile(r"Invalid cache type: (\S+)"), "the server knows no cache type {0}", "correct the profile"),
    _Cause(
        re.compile(r"data is not within the file bounds, model is corrupted or incomplete"),
        "the model file is cut off",
        FETCH,
    ),
    _Cause(
        re.compile(r"invalid magic characters:? '?([^'\n]*)'?"),
        "the model file is no GGUF: it begins with {0}",
        FETCH,
    ),
    _Cause(re.compile(r"failed to read key-value pairs|failed to read tensor"), "the model file is damaged", FETCH),
    _Cause(
        re.compile(r"unknown model architecture: '(\S+)'"),
        "this build of the server does not know the architecture {0}",
        "name a newer engine.commit in the profile and run playbooks/image.yml",
    ),
    _Cause(
        re.compile(r"gguf_init_from_file: failed to open (?:GGUF file )?'([^'\n]+)'"),
        "there is no model file {0} in the container",
        "run playbooks/models.yml, then playbooks/profiles.yml",
    ),
    _Cause(
        re.compile(r"couldn't bind to server socket: hostname=(\S+) port=(\d+)"),
        "{0}:{1} is taken inside the container",
        PORT_REMEDY,
    ),
    _Cause(
        re.compile(r"listen \w+ (\S+): bind: address already in use"),
        "{0} is in use",
        PORT_REMEDY,
    ),
    _Cause(
        re.compile(r"(?m)^Error: (\S+): image not known"),
        "the image {0} is not on the box",
        "run playbooks/image.yml",
    ),
    _Cause(
        re.compile(r"(?m)^Error: .*pinging container registry (\S+?): .*: ([^:\n]+)$"),
        "the image is not on the box, and the registry {0} can't be reached ({1})",
        "run playbooks/image.yml",
    ),
    _Cause(
        re.compile(r"(?m)^Error: statfs (\S+): no such file or directory"),
        "there is no folder {0} on the box",
        "run playbooks/models.yml, or correct model.path in the profile",
    ),
    _Cause(
        re.compile(r"(?i)no space left on device"),
        "a disk is full",
        "free space where Podman keeps containers: podman system df, podman system prune",
    ),
    _Cause(
        re.compile(r"std::bad_alloc|unable to allocate CPU buffer|failed to allocate CPU buffer"),
        "the host has too little memory",
        _LESS_OF_THE_HOST,
        memory=True,
    ),
)
_OOM_LIMIT = re.compile(r"oom-kill:constraint=CONSTRAINT_MEMCG,")
_OOM_KILL = re.compile(r"(?i)oom-kill|killed by the OOM killer|Out of memory: Killed process")


def explain(place: str, evidence: Evidence) -> ServerExitedError:
    """Return why a server does not serve, what to do, and its last lines.

    Args:
        place: the profile.
        evidence: what is known.
    """
    lines = [line.rstrip() for line in evidence.lines if not _NOISE.search(line)]
    told = _told_cause(lines, [cause for cause in _CAUSES if cause.also_slow or not evidence.timeout_s])
    if told is None:
        fault, remedy = _untold(evidence)
        shown = lines[-LINES_SHOWN:]
    else:
        cause, match, at = told
        fault = cause.fault.format(*match.groups())
        remedy = evidence.verdict if cause.memory and evidence.verdict else cause.remedy
        shown = lines[max(at - LINES_BEFORE, 0) : at + LINES_AFTER + 1]
    if evidence.progress and not evidence.timeout_s:
        fault = f"{fault} ({evidence.progress})"
    return ServerExitedError(place, fault, remedy, shown)


def _told_cause(lines: Sequence[str], causes: Iterable[_Cause]) -> tuple[_Cause, re.Match[str], int] | None:
    """Return the most certain cause that the lines tell, what it found there, and the index of its first line."""
    text = "\n".join(lines)
    for cause in causes:
        match = cause.sign.search(text)
        if match:
            return cause, match, text.count("\n", 0, match.start())
    return None


def _untold(evidence: Evidence) -> tuple[str, str]:
    """Return fault and remedy where no line tells them."""
    if evidence.result == "oom-kill" or any(_OOM_KILL.search(line) for line in evidence.lines):
        if any(_OOM_LIMIT.search(line) for line in evidence.lines):
            remedy = f"raise MemoryMax (systemctl show -P MemoryMax), or {_LESS_OF_THE_HOST}"
            return "the kernel killed it at the memory limit of its service (OOM killer)", remedy
        return "the kernel killed it for want of memory (OOM killer)", evidence.verdict or _LESS_OF_THE_HOST
    if evidence.timeout_s:
        seen = f"; {evidence.progress}" if evidence.progress else "; it read nothing of its model"
        fault = f"it did not answer within {evidence.timeout_s:g} s{seen}"
        return fault, "if it is only slow, raise health.start_timeout in the profile, or switch with --timeout"
    if evidence.answer:
        return evidence.answer, "see its last lines"
    return _ending(evidence.exit_status)


def _ending(status: int) -> tuple[str, str]:
    """Tell a bare exit status: what 128 and a signal mean."""
    if status == 128 + signal.SIGILL:
        return (
            "illegal instruction: the image was built for another CPU",
            "build it on this box, or without GGML_NATIVE: run playbooks/image.yml",
        )
    if status == 128 + signal.SIGKILL:
        return "it was killed (SIGKILL)", "if nobody did, the memory was short: journalctl -k -g oom"
    if status > 128:
        try:
            name = signal.Signals(status - 128).name
        except ValueError:
            name = f"signal {status - 128}"
        return f"it crashed ({name})", "see its last lines; all of them are in its journal"
    return f"it ended with exit status {status}", "see its last lines; all of them are in its journal"

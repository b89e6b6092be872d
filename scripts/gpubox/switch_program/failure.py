"""Why a server did not come up, in words: read from how it ended and from what it, Podman and systemd logged."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpubox.errors import ServerExitedError
from gpubox.switch_program.causes import CAUSES, LESS_OF_THE_HOST, Cause

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LINES_BEFORE, LINES_AFTER = 6, 3  # of the line that tells the cause
LINES_SHOWN = 12  # where no line does
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


_OOM_LIMIT = re.compile(r"oom-kill:constraint=CONSTRAINT_MEMCG,")
_OOM_KILL = re.compile(r"(?i)oom-kill|killed by the OOM killer|Out of memory: Killed process")


def explain(place: str, evidence: Evidence) -> ServerExitedError:
    """Return why a server does not serve, what to do, and its last lines.

    Args:
        place: the profile.
        evidence: what is known.
    """
    lines = [line.rstrip() for line in evidence.lines if not _NOISE.search(line)]
    told = _told_cause(lines, [cause for cause in CAUSES if cause.on_cpu or not evidence.timeout_s])
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


def told_cpu(place: str, lines: Iterable[str]) -> ServerExitedError | None:
    """Return why a server that answers computes on the CPU, if its lines tell so.

    Args:
        place: the profile.
        lines: of its log, oldest first.
    """
    kept = [line.rstrip() for line in lines if not _NOISE.search(line)]
    told = _told_cause(kept, [cause for cause in CAUSES if cause.on_cpu])
    if told is None:
        return None
    cause, match, at = told
    fault = f"it answers from the CPU: {cause.fault.format(*match.groups())}"
    return ServerExitedError(place, fault, cause.remedy, kept[max(at - LINES_BEFORE, 0) : at + LINES_AFTER + 1])


def _told_cause(lines: Sequence[str], causes: Iterable[Cause]) -> tuple[Cause, re.Match[str], int] | None:
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
            remedy = f"raise MemoryMax (systemctl show -P MemoryMax), or {LESS_OF_THE_HOST}"
            return "the kernel killed it at the memory limit of its service (OOM killer)", remedy
        return "the kernel killed it for want of memory (OOM killer)", evidence.verdict or LESS_OF_THE_HOST
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

"""Does a profile serve: the wait for its first completion, and the short question whether it still answers."""

from __future__ import annotations

import signal
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

from gpubox.api_key import read_api_key
from gpubox.errors import EndpointError
from gpubox.switch_program import units
from gpubox.switch_program.memory import LoadProgress, bytes_read

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpubox.errors import ServerExitedError
    from gpubox.switch_program.profiles import BoxProfile

START_LOOK_S = 0.05
LOOK_S = 0.25  # between two looks at the service while it loads
PROGRESS_S = 1.0
HEALTH_S = 10.0


def wait_until_served(
    profile: BoxProfile, size: int, limit_s: float, on_progress: Callable[[LoadProgress], None]
) -> float:
    """Wait until a profile that was started has answered a completion.

    Args:
        profile: what was started.
        size: of its model, bytes.
        limit_s: seconds from now.
        on_progress: told about every second.

    Returns:
        The seconds that it took.

    Raises:
        ServerExitedError: it ended, answered wrongly or was too slow; says why, with its last lines.
        GpuboxError: its API key can't be read.
    """
    from gpubox.readiness import probe_until_ready  # noqa: PLC0415  # while the container starts

    key = read_api_key(Path(profile.api_key_file)) if profile.api_key_file else None
    begun = time.monotonic()
    progress = LoadProgress(size)
    _wait_until_started(profile, begun + limit_s, progress)
    looked = told = time.monotonic()
    try:
        for said in probe_until_ready(profile.url, key):
            now = time.monotonic()
            if said == "ready":
                return now - begun
            if now - looked < LOOK_S:
                continue
            looked = now
            state = units.show(profile.unit)
            if state.ended:
                raise _failed(profile, state, progress)
            if now - begun >= limit_s:
                raise _failed(profile, state, progress, timeout_s=limit_s)
            if now - told >= PROGRESS_S:
                told = now
                progress.update(bytes_read(units.processes(state)), now - begun)
                on_progress(progress)
    except EndpointError as error:
        raise _failed(profile, units.show(profile.unit), progress, answer=str(error)) from error
    raise AssertionError


def _wait_until_started(profile: BoxProfile, end: float, progress: LoadProgress) -> None:
    """Wait until the container runs. Before, Podman itself holds its port: a connection made then hangs for ever."""
    while (state := units.show(profile.unit)).active != "active":
        if state.ended:
            raise _failed(profile, state, progress)
        if time.monotonic() >= end:
            raise _failed(profile, state, progress, answer="its container did not start in time")
        time.sleep(START_LOOK_S)


def watch(profile: BoxProfile, seconds: float) -> None:
    """Watch a profile that serves for a while.

    Raises:
        ServerExitedError: it ended, or did not answer at the end; says why, with its last lines.
    """
    end = time.monotonic() + seconds
    state = units.show(profile.unit)
    while time.monotonic() < end:
        if state.ended:
            raise _failed(profile, state, None)
        time.sleep(min(LOOK_S, max(end - time.monotonic(), 0)))
        state = units.show(profile.unit)
    if state.ended or not healthy(profile):
        raise _failed(profile, state, None, answer="" if state.ended else "it stopped answering /health")


def require_running(profile: BoxProfile) -> None:
    """Say why a profile that served has ended, if it has.

    Raises:
        ServerExitedError: it has; says why, with its last lines.
    """
    state = units.show(profile.unit)
    if state.ended:
        raise _failed(profile, state, None)


def healthy(profile: BoxProfile, limit_s: float = HEALTH_S) -> bool:
    """Whether a profile's server says that it is well, within a time in seconds."""
    # http.client takes longer to import than all else here.
    try:
        with socket.create_connection(("127.0.0.1", profile.port), limit_s) as connection:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            with connection.makefile("rb") as answer:
                return answer.readline(1024).split()[1:2] == [b"200"]
    except OSError:
        return False


def _failed(
    profile: BoxProfile,
    state: units.UnitState,
    progress: LoadProgress | None,
    *,
    timeout_s: float = 0.0,
    answer: str = "",
) -> ServerExitedError:
    from gpubox.switch_program.failure import Evidence, explain  # noqa: PLC0415  # most profiles serve

    killed = state.exit_status == 128 + signal.SIGKILL
    lines = (*units.log_lines(state), *(units.out_of_memory_lines(profile.unit, state) if killed else ()))
    seen = str(progress) if progress and progress.done else ""
    evidence = Evidence(lines, state.exit_status, state.result, timeout_s, answer, seen, profile.verdict)
    return explain(profile.name, evidence)

"""Measure the perplexity of texts on a box: in the profile's image, on its GPUs, while its server is stopped."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from gpubox.bench.perplexity import measure_perplexity
from gpubox.bench.texts import prompt_of
from gpubox.errors import ServerExitedError
from gpubox.podman_run import options
from gpubox.profile_deployment import deploy, model_mount
from gpubox.quality.perplexity import TOOL, tool_arguments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpubox.bench.session import Subject, Watcher
    from gpubox.box import Box
    from gpubox.box_connection import BoxConnection
    from gpubox.profile_files import LoadedProfile
    from gpubox.record import Workload
    from gpubox.results.store import Store
    from gpubox.switch_program.profiles import BoxProfile

# The arguments are the text, the container's name and the command. An empty line now and then keeps the connection from being
# taken for broken while a model is loaded; where nobody reads it any more, the container goes, and the GPUs' memory with it.
_RUN = """
text=$1 name=$2 said=$(mktemp) && shift 2 || exit
trap '' PIPE
{ printf %s "$text" | "$@" 2>"$said"; echo "ended: $?"; tail -n 6 "$said"; rm "$said"; } &
while kill -0 $! 2>/dev/null; do
    echo 2>/dev/null || exec podman rm --force --time 0 "$name" >/dev/null 2>&1
    sleep 1
done
"""
_ENDED = re.compile(r"^ended: (\d+)$", re.MULTILINE)


def container_name(loaded: LoadedProfile) -> str:
    """Return what the container that runs the tool is called."""
    return f"{loaded.name}-perplexity"


def tool_command(loaded: LoadedProfile, box: Box, image: str) -> tuple[str, ...]:
    """Return the command line that runs the tool on a box, the text on its standard input.

    Args:
        loaded: the profile.
        box: where.
        image: as the profile's unit names it.
    """
    deployment = replace(deploy(loaded, box), publish=(), secrets=(), health=None)
    _, model = model_mount(loaded.profile.model, box)
    return (
        *("podman", "run", "--rm", "--replace", "--interactive", f"--name={container_name(loaded)}"),
        *(option.argument for option in options(deployment)),
        f"--entrypoint={TOOL}",
        image,
        *tool_arguments(loaded.profile, model=model, text="/dev/stdin"),
    )


def perplexity_on_box(
    store: Store,
    workloads: Sequence[Workload],
    subject: Subject,
    *,
    connection: BoxConnection,
    box: Box,
    profile: BoxProfile,
    batch: str,
    watcher: Watcher,
) -> None:
    """Stop a profile's server and measure texts; an image without the tool leaves them out, and the server running.

    Args:
        store: where results go.
        workloads: with `check` perplexity.
        subject: what is measured.
        connection: to the box.
        box: it.
        profile: as the box knows it; it serves, and whoever asked starts it again.
        batch: id shared by the runs of one invocation.
        watcher: who is told of progress, and of what is left out.

    Raises:
        GpuboxError: the tool failed, or the results can't be kept.
        ConnectionLostError: the connection broke.
    """
    loaded = subject.profile
    assert loaded is not None
    look = ["podman", "run", "--rm", "--entrypoint=/bin/sh", profile.image, "-c", f"command -v {TOOL} || echo none"]
    if list(connection.lines(look)) == ["none"]:
        names = ", ".join(workload.name for workload in workloads)
        watcher.say(f"{loaded.name}: {names} is left out: its image has no {TOOL}")
        return

    def run_tool(argv: Sequence[str]) -> str:
        command = ["sh", "-c", _RUN, "sh", prompt_of(workload.text), container_name(loaded), *argv]
        printed = "\n".join(line for line in connection.lines(command) if line)
        ended = _ENDED.search(printed)
        if ended is None or ended.group(1) != "0":
            status, last = ("?", printed) if ended is None else (ended.group(1), printed[ended.end() :])
            raise ServerExitedError(
                f"{connection.name}: {TOOL}", f"failed with exit status {status}", "", last.split("\n")[1:]
            )
        return printed[: ended.start()].replace("\n", "")

    watcher.say(f"{loaded.name}: stopping its server, for a perplexity takes the same memory")
    list(connection.lines(["systemctl", "stop", profile.unit]))
    for workload in workloads:
        argv = tool_command(loaded, box, profile.image)
        measure_perplexity(store, workload, subject, argv=argv, run_tool=run_tool, batch=batch, watcher=watcher)

"""Measure the perplexity of shipped texts with the engine's own tool, and record it as any other run."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gpubox import __version__
from gpubox.bench.session import new_id, record
from gpubox.bench.texts import prompt_of
from gpubox.clock import now
from gpubox.errors import ServerError, ServerExitedError
from gpubox.quality.perplexity import CHUNK, TOOL, chunk_likelihoods, tool_arguments
from gpubox.record import Run, Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from gpubox.bench.session import Subject, Watcher
    from gpubox.record import Workload
    from gpubox.results.store import Store

_LAST_LINES = 6


def tool_beside(command: Sequence[str]) -> Path | None:
    """Return the llama-perplexity of the same build as a llama-server, or None where there is none beside it."""
    tool = Path(command[0]).resolve().with_name(TOOL)
    return tool if len(command) == 1 and tool.is_file() else None


def measure_perplexity(
    store: Store,
    workload: Workload,
    subject: Subject,
    *,
    argv: Sequence[str],
    run_tool: Callable[[Sequence[str]], str],
    batch: str,
    watcher: Watcher,
) -> str:
    """Run the tool over a workload's text, record a sample a chunk, and return the run's id.

    Args:
        store: where results go.
        workload: with `check` perplexity.
        subject: what is measured; its profile counts.
        argv: of the tool, program first.
        run_tool: runs it and returns what it printed.
        batch: id shared by the runs of one invocation.
        watcher: who is told of progress.

    Raises:
        GpuboxError: the tool failed, or the results can't be kept; the run says so too.
    """
    loaded = subject.profile
    assert loaded is not None
    run = Run(
        id=new_id(),
        batch=batch,
        started_at=now().astimezone().isoformat(timespec="milliseconds"),
        tool_version=__version__,
        endpoint=TOOL,
        workload=workload,
        profile=loaded.name,
        profile_hash=loaded.hash,
        profile_document=loaded.profile.document(),
        argv=tuple(argv),
        engine={"name": loaded.profile.engine.name} | subject.engine,
        model=subject.model,
        host=subject.host,
        flags=subject.flags,
    )

    def samples() -> Iterator[Sample]:
        started, began = now().isoformat(timespec="milliseconds"), time.monotonic()
        printed = run_tool(argv)
        took_ms = (time.monotonic() - began) * 1e3
        found = chunk_likelihoods(printed)
        if not found:
            raise ServerError(loaded.name, f"{TOOL} printed no perplexity", f"run it: {' '.join(argv[:1])} --help")
        for index, nll in enumerate(found):
            yield _sample(index, started, nll, round(took_ms / len(found), 3))

    record(store, run, samples(), watcher=watcher)
    return run.id


def run_here(argv: Sequence[str], env: Mapping[str, str] | None = None) -> str:
    """Run the tool on this machine and return what it printed on standard output.

    Args:
        argv: of the tool, program first.
        env: added to this process's environment.

    Raises:
        ServerError: it can't be run.
        ServerExitedError: it failed, with the end of what it said.
    """
    try:
        with tempfile.TemporaryDirectory() as folder:  # it leaves a llama.log where it stands
            done = subprocess.run(
                argv,
                cwd=folder,
                env={**os.environ, **(env or {})},
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
    except OSError as error:
        raise ServerError(argv[0], f"can't be run: {error.strerror}", "is it a program for this machine?") from None
    if done.returncode:
        last = done.stderr.strip().splitlines()[-_LAST_LINES:]
        raise ServerExitedError(argv[0], f"failed with exit status {done.returncode}", "", last)
    return done.stdout


def perplexity_here(
    store: Store,
    workloads: Sequence[Workload],
    subject: Subject,
    *,
    command: Sequence[str],
    model: Path,
    batch: str,
    watcher: Watcher,
    env: Mapping[str, str] | None = None,
) -> list[str]:
    """Measure texts on this machine, the server stopped; return the runs' ids, none where the build has no such tool.

    Args:
        store: where results go.
        workloads: with `check` perplexity.
        subject: what is measured.
        command: the llama-server whose build counts.
        model: the GGUF.
        batch: id shared by the runs of one invocation.
        watcher: who is told of progress, and of what is left out.
        env: added to the tool's environment.

    Raises:
        GpuboxError: the tool failed, or the results can't be kept.
    """
    tool, loaded = tool_beside(command), subject.profile
    assert loaded is not None
    ids = []
    for workload in workloads:
        if tool is None:
            watcher.say(f"{loaded.name}: {workload.name} is left out: there is no {TOOL} beside {command[0]}")
            continue
        with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as text:
            text.write(prompt_of(workload.text))
            text.flush()
            argv = (str(tool), *tool_arguments(loaded.profile, model=str(model.resolve()), text=text.name))
            ids.append(
                measure_perplexity(
                    store,
                    workload,
                    subject,
                    argv=argv,
                    run_tool=partial(run_here, env=env),
                    batch=batch,
                    watcher=watcher,
                )
            )
    return ids


def _sample(index: int, started_at: str, nll: float, e2e_ms: float) -> Sample:
    return Sample(
        index=index,
        kind="measured",
        started_at=started_at,
        sent_n=CHUNK,
        requested_n=0,
        delivered_n=0,
        prompt_n=None,
        prompt_ms=None,
        predicted_n=None,
        predicted_ms=None,
        predicted_steps=None,
        cached_n=None,
        draft_n=None,
        draft_n_accepted=None,
        ttft_ms=None,
        e2e_ms=e2e_ms,
        nll=round(nll, 6),
    )

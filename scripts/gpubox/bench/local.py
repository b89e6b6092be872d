"""Serve a profile on this machine with a llama-server command, measure it, stop it."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpubox.api_key import read_api_key
from gpubox.argv import server_argv
from gpubox.bench.gpu_watch import GpuWatch
from gpubox.bench.perplexity import perplexity_here
from gpubox.bench.planned import planned_mib
from gpubox.bench.session import Subject, bench
from gpubox.bench.suitability import driver_doubts
from gpubox.endpoint import Endpoint
from gpubox.errors import GpuboxError, ModelFileError, ServerError, ServerExitedError
from gpubox.gguf import check_model_file
from gpubox.host_facts import host_facts
from gpubox.model_file import fingerprint
from gpubox.server_process import ServerProcess
from gpubox.telemetry.judgement import used_gpus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gpubox.bench.prompts import Route
    from gpubox.bench.session import Watcher
    from gpubox.profile_files import LoadedProfile
    from gpubox.record import Workload
    from gpubox.results.store import Store

VERSION_TIMEOUT_S = 30.0


def bench_locally(
    store: Store,
    loaded: LoadedProfile,
    workloads: Sequence[Workload],
    *,
    command: Sequence[str],
    model: Path | None,
    logs: Path,
    batch: str,
    watcher: Watcher,
    route: Route | None = None,
    leave_out: bool = False,
) -> list[str]:
    """Serve `loaded` with `command`, run the workloads, stop the server; return the ids of the recorded runs.

    Args:
        store: where results go.
        loaded: the profile.
        workloads: what to measure.
        command: a llama-server, program first; the profile's arguments are added.
        model: a GGUF to serve instead of the profile's path.
        logs: folder for the server's log, `NAME.log`.
        batch: id shared by the runs of one invocation.
        watcher: who is told of progress.
        route: `completion` or `chat`; chosen by the engine when None.
        leave_out: leave out the workloads that the context can't hold.

    Raises:
        GpuboxError: the model file, the server, the endpoint or the results are at fault.
    """
    profile = loaded.profile
    path = model or _model_path(loaded)
    check_model_file(path)
    watcher.say(f"{loaded.name}: hashing {path.name}")
    known = fingerprint(path)
    url = f"http://127.0.0.1:{profile.port}"
    argv = (
        *command,
        *server_argv(profile, name=loaded.name, model=str(path), host="127.0.0.1", port=profile.port),
    )
    facts = host_facts()
    subject = Subject(
        profile=loaded,
        argv=argv,
        engine={"version": server_version(command)},
        model={"path": str(path), "size": known.size, "sha256": known.sha256},
        host=facts | ({"planned_mib": planned} if (planned := planned_mib(loaded, path, facts)) else {}),
    )
    changed = driver_doubts(store, loaded.name, facts)
    for doubt in changed:
        watcher.say(f"{loaded.name}: {doubt}")
    subject = replace(subject, flags=tuple(changed))
    logs.mkdir(parents=True, exist_ok=True)
    key_file = profile.security.api_key_file
    api_key = read_api_key(Path(key_file)) if key_file else None
    asked = [workload for workload in workloads if workload.check != "perplexity"]
    of_texts = [workload for workload in workloads if workload.check == "perplexity"]
    env = visible_gpus(profile.gpus, facts["gpus"])
    ids = perplexity_here(store, of_texts, subject, command=command, model=path, batch=batch, watcher=watcher, env=env)
    if not asked:
        return ids
    watcher.say(f"{loaded.name}: starting on {url}")
    log, used = logs / f"{loaded.name}.log", used_gpus(profile.gpus, facts["gpus"])
    with ServerProcess(argv, url=url, log=log, name=loaded.name, env=env, api_key=api_key) as server:
        took = server.wait_ready(profile.health.start_timeout)
        watcher.say(f"{loaded.name}: ready after {took:.1f} s")
        try:
            with Endpoint(url, api_key=api_key) as endpoint, GpuWatch(only=used) as gpus:
                ids += bench(
                    store,
                    endpoint,
                    asked,
                    subject,
                    batch=batch,
                    watcher=watcher,
                    route=route,
                    leave_out=leave_out,
                    gpus=gpus,
                    telemetry=gpus,
                )
        except GpuboxError as error:
            if server.status is None:
                raise
            fault = f"the server ended while it was measured ({error.fault})"
            raise ServerExitedError(loaded.name, fault, f"its log is {server.log}", server.last_lines()) from error
    watcher.say(f"{loaded.name}: stopped")
    return ids


def visible_gpus(wanted: str | Sequence[int | str], present: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the environment in which CUDA sees the GPUs that a profile names, in its order, and no others.

    Args:
        wanted: `all`, `none`, or indices (nvidia-smi's) and UUIDs.
        present: the GPUs of this machine, each with `index` and `uuid`.
    """
    if wanted == "all":
        return {}
    uuids = {gpu["index"]: gpu["uuid"] for gpu in present if gpu["uuid"]}
    names = [] if wanted == "none" else [str(uuids.get(gpu, gpu)) for gpu in wanted]
    return {"CUDA_VISIBLE_DEVICES": ",".join(names), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def server_version(command: Sequence[str]) -> str:
    """Return what `llama-server --version` prints, on one line.

    Raises:
        ServerError: the program is missing or can't be run.
    """
    try:
        done = subprocess.run(
            [*command, "--version"], capture_output=True, text=True, timeout=VERSION_TIMEOUT_S, check=False
        )
    except FileNotFoundError:
        raise ServerError(command[0], "no such program", "give the path of a llama-server with --server") from None
    except OSError as error:
        raise ServerError(command[0], f"can't be run: {error.strerror}", "is it a program for this machine?") from None
    except subprocess.TimeoutExpired:
        return "no answer to --version"
    return " | ".join((done.stdout + done.stderr).strip().splitlines()[:3])


def _model_path(loaded: LoadedProfile) -> Path:
    if loaded.profile.model.path is None:
        remedy = "give the file with --model"
        raise ModelFileError(loaded.name, f"its model is in the repository {loaded.profile.model.repo}", remedy)
    return Path(loaded.profile.model.path)

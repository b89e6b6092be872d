"""The command line: `python -m gguf_fetch VERB MANIFEST`."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from . import runs
from .cache import locked
from .errors import FetchError
from .local_models import check_local_models
from .manifest import Manifest, read_manifest
from .plan import not_in_place
from .progress import Progress, in_gb
from .prune import delete, unneeded
from .verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable


def main(argv: list[str] | None = None) -> int:
    """Run one verb.

    Returns:
        0 when done, 1 for a fault that the operator can mend (one `place: fault; remedy` a line on stderr), 130 when
        interrupted.
    """
    # Its warnings repeat, in more words, what our own lines say about retries.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    arguments = _parser().parse_args(argv)
    try:
        arguments.verb(arguments)
    except FetchError as fault:
        print(fault, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; what is there is kept, run again to go on", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gguf_fetch", description=sys.modules["gguf_fetch"].__doc__)
    verbs = parser.add_subparsers(required=True)

    def add(name: str, verb: Callable[[argparse.Namespace], None], explanation: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=explanation, description=explanation)
        added.set_defaults(verb=verb)
        return added

    add("plan", _plan, "check local models, and list as JSON what is not in place; asks no hub").add_argument(
        "manifest", type=Path
    )
    fetching = add("fetch", _fetch, "fetch and check what is not in place, with lines of progress")
    fetching.add_argument("manifest", type=Path)
    fetching.add_argument("--run", type=Path, help="file to keep the state in (set by start)")
    add("start", _start, "start a fetch that outlives the login; prints the file to watch").add_argument(
        "manifest", type=Path
    )
    watching = add("watch", _watch, "wait for a started fetch, and print its state as JSON")
    watching.add_argument("run", type=Path)
    watching.add_argument("--wait", type=float, default=0.0, help="seconds to wait for its end")
    verifying = add("verify", _verify, "hash what is in place again")
    verifying.add_argument("manifest", type=Path)
    verifying.add_argument("--quick", action="store_true", help="hash only what changed size or mtime")
    collecting = add("gc", _gc, "list what the manifest does not need")
    collecting.add_argument("manifest", type=Path)
    collecting.add_argument("--delete", action="store_true", help="and delete it")
    return parser


def _say(line: str) -> None:
    print(line, flush=True)


def _plan(arguments: argparse.Namespace) -> None:
    manifest = read_manifest(arguments.manifest)
    check_local_models(manifest)
    lacking = [f"{model.repo}/{file.name}" for model in not_in_place(manifest) for file in model.files]
    _say(json.dumps({"not_in_place": lacking}))


def _fetch(arguments: argparse.Namespace) -> None:
    from .fetch import fetch  # noqa: PLC0415 - the hub's client takes longer to import than the other verbs to run

    tell: Callable[[str], None] = partial(runs.report, arguments.run, "running") if arguments.run else _say
    try:
        manifest = read_manifest(arguments.manifest)
        with locked(manifest.cache, "fetch", tell):
            fetched = fetch(manifest, Progress(tell))
    except FetchError as fault:
        if arguments.run and arguments.run.exists():
            runs.report(arguments.run, "failed", str(fault))
        raise
    line = f"in place: {', '.join(fetched)}" if fetched else "everything was in place"
    if arguments.run:
        runs.report(arguments.run, "done", line)
    _say(line)


def _start(arguments: argparse.Namespace) -> None:
    _say(str(runs.start(arguments.manifest)))


def _watch(arguments: argparse.Namespace) -> None:
    _say(json.dumps(runs.watch(arguments.run, arguments.wait)))


def _verify(arguments: argparse.Namespace) -> None:
    manifest = read_manifest(arguments.manifest)
    with locked(manifest.cache, "verify", _say):
        count = verify(manifest, Progress(_say), quick=arguments.quick)
    _say(f"{count} files are right")


def _gc(arguments: argparse.Namespace) -> None:
    manifest: Manifest = read_manifest(arguments.manifest)
    with locked(manifest.cache, "gc", _say):
        items = unneeded(manifest)
        for item in items:
            _say(f"{in_gb(item.size)} GB {item.path.relative_to(manifest.cache)}")
        if arguments.delete:
            delete(manifest, items)
        freed = in_gb(sum(item.size for item in items))
        _say(f"{'deleted' if arguments.delete else 'could delete'} {len(items)} files, {freed} GB")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())

"""Find the commit of ik_llama.cpp that made a profile slower.

Builds the engine's images of commits between a fast one (--good) and a slow one (--bad) on a box, lets each serve in the
profile's place, and measures it as `gpubox bench` does. Both ends come first; then the middle of what is left, about
log2(n) times. What does not build or does not start is left out, and a neighbour taken. In the end the first slow commit
and the one before it are measured in turns (A B A B). All verdicts together are right 95 times of 100.

The profile's GPUs and port serve nothing else meanwhile. What is deployed stays as it is, and what served before serves
again in the end, also after a failure or Ctrl-C; images that were built stay until playbooks/image.yml runs next.
Interrupted anywhere, the same command goes on and measures nothing twice. Commits are those of the first parents, read
from a clone in this machine's cache.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence
    from typing import Any

    from gpubox.bisect.decision import Rules
    from gpubox.bisect.history import Commit
    from gpubox.bisect.remembered import Remembered, RememberedFile
    from gpubox.bisect.session import Asked
    from gpubox.cli.progress import Progress
    from gpubox.profile_files import LoadedProfile
    from gpubox.record import Workload

HELP = "find the commit of the engine that made a profile slower"
EXAMPLE = """
gpubox bench bisect --good 29a54f4 --bad main --profile glm-5.2-1.630bpw --host glm-box
gpubox bench bisect --good 29a54f4 --bad main --profile glm-5.2-1.630bpw --host glm-box --list
gpubox bench bisect --good v1 --bad v2 --profile glm-5.2-1.630bpw --host glm-box --metric pp --pp 8192 --threshold 5
"""
METRICS = {"pp": "pp_tps", "tg": "tg_tps"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from gpubox.cli.bench import DEFAULT_PP, DEFAULT_TG, percent, positive
    from gpubox.cli.results import DB_HELP

    parser.add_argument("--good", required=True, metavar="COMMIT", help="a fast one: hash, tag or branch")
    parser.add_argument("--bad", required=True, metavar="COMMIT", help="a slow one, which has the good one before it")
    parser.add_argument("--profile", required=True, metavar="P", help="deployed on the box; a name or a file")
    parser.add_argument("--host", required=True, metavar="BOX", help="a host of the inventory")
    parser.add_argument("--list", action="store_true", help="only list the commits, and how many would be measured")
    parser.add_argument(
        "--source",
        metavar="URL",
        help="git repository, or clone on this machine, to read commits from (ik_llama_image_source, which boxes build from)",
    )
    parser.add_argument("--metric", choices=sorted(METRICS), help="what got slower (what the ends differ in most)")
    parser.add_argument("--threshold", type=percent, default=3.0, metavar="PCT", help="loss that counts as slow (3)")
    parser.add_argument("--pp", type=positive, metavar="N", help=f"prompt tokens ({DEFAULT_PP}, or half the context)")
    parser.add_argument("--tg", type=positive, metavar="N", help=f"tokens to generate ({DEFAULT_TG})")
    parser.add_argument(
        "--workload", metavar="NAME", help="a file of inventory/workloads/ with one thing to measure, instead of both"
    )
    parser.add_argument(
        "--reps", type=positive, metavar="N", help="most repetitions of a run (15); of a commit four times as many"
    )
    parser.add_argument(
        "--turns", type=_turns, default=2, metavar="N", help="how often to measure in turns in the end (2); 0 for never"
    )
    parser.add_argument("--target", type=percent, metavar="PCT", help="relative half-width to stop at, percent (1)")
    parser.add_argument("--seed", type=int, help="seed of the prompts (1)")
    parser.add_argument("--route", choices=["auto", "completion", "chat"], default="auto", help="which API to measure")
    parser.add_argument("--timeout", type=float, default=600.0, metavar="S", help="longest silence of the server (600)")
    parser.add_argument("--anew", action="store_true", help="begin again, whatever was measured of it before")
    parser.add_argument("--db", metavar="URL", help=DB_HELP)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(budget=None)


def run(args: argparse.Namespace) -> int:
    """Bisect and print; 1 where no first slow commit was found and confirmed, or what served does not serve again."""
    from gpubox.bench.box import Host
    from gpubox.bisect.decision import Rules
    from gpubox.bisect.image import playbook
    from gpubox.bisect.session import Asked
    from gpubox.box import host_variables
    from gpubox.cli.bench import route_of
    from gpubox.cli.bench_box import SWITCH_OPTIONS
    from gpubox.cli.box_progress import BoxProgress
    from gpubox.cli.progress import Progress
    from gpubox.errors import GpuboxError
    from gpubox.profile_files import load_profile
    from gpubox.profiles_folder import profiles_folder

    inventory = profiles_folder().parent
    loaded = load_profile(args.profile)
    if loaded.profile.engine.name != "ik_llama":
        raise GpuboxError(
            loaded.name, f"is served by {loaded.profile.engine.name}", "only ik_llama.cpp can be bisected"
        )
    workload = _workload(args, loaded)
    hosts = host_variables([args.host], inventory)
    if len(hosts) > 1:
        raise GpuboxError(args.host, "is a group of several boxes", f"name one of {', '.join(hosts)}")
    ((box, variables),) = hosts.items()
    progress, switching = Progress(quiet=args.json), BoxProgress()

    def on_event(event: Mapping[str, Any]) -> None:
        if not args.json:
            progress.close()
            switching.event(box, event)

    commits = _commits(args, variables, progress)
    rules = Rules(metric=METRICS.get(args.metric), threshold=args.threshold, confirm_rounds=args.turns)  # type: ignore[arg-type]  # one of both keys
    if args.list:
        _list(args, commits, rules)
        return 0
    playbook()
    host = Host(box, variables, SWITCH_OPTIONS, on_event)
    asked = Asked(host, inventory, loaded, commits, rules, route_of(args), args.timeout)
    try:
        return _bisect(args, asked, workload, progress)
    finally:
        progress.close()
        switching.close()


def _bisect(args: argparse.Namespace, asked: Asked, workload: Workload, progress: Progress) -> int:
    from gpubox.bisect.decision import Outcome
    from gpubox.bisect.remembered import RememberedFile
    from gpubox.bisect.session import BoxBisect, runs_of, unusable_of
    from gpubox.bisect.wording import document, in_words
    from gpubox.results.store import Store

    file = RememberedFile(asked.host.name, asked.loaded.name)
    with Store.open(args.db) as store:
        remembered = _begin(args, asked, workload, file, progress)
        result = BoxBisect(store, asked, remembered, file, progress).run()
        runs = [run.id for run in runs_of(store, remembered)]
    progress.close()
    ending, commits, unusable = result.ending, asked.commits, unusable_of(remembered, asked.commits)
    if args.json:
        batches = {"batch": remembered.batch, "batch_in_turns": remembered.turns, "runs": runs}
        print(json.dumps(document(ending, commits, unusable, asked.rules) | batches, indent=2))
    else:
        print("\n".join(in_words(ending, commits, unusable, asked.rules)))
        if ending.step:
            both = " ".join(f"{asked.loaded.name}@{commits[at].short}" for at in (ending.low, ending.high))
            print(f"Side by side: gpubox compare {both}")
    if result.unrestored:
        text = f"what served before does not serve again: {result.unrestored}"
        print(f"gpubox: {asked.host.name}: {text}", file=sys.stderr)
    return 0 if ending.outcome is Outcome.FOUND and not result.unrestored else 1


def _turns(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number


def _workload(args: argparse.Namespace, loaded: LoadedProfile) -> Workload:
    from gpubox.cli.bench import workloads_of
    from gpubox.errors import GpuboxError

    if args.workload and (args.pp or args.tg):
        raise GpuboxError("--workload", "says itself how long prompts and answers are", "leave --pp and --tg out")
    found = [one for one in workloads_of(args, loaded.profile.server.ctx_size) if one.check != "perplexity"]
    if len(found) != 1:
        names = ", ".join(one.name for one in found) or "none that has a speed"
        raise GpuboxError("--workload", f"a bisection measures one thing ({names})", "write a file with that one")
    return found[0]


def _commits(args: argparse.Namespace, variables: Mapping[str, Any], progress: Progress) -> list[Commit]:
    import yaml

    from gpubox.bisect.history import commits_between
    from gpubox.bisect.image import ROOT
    from gpubox.errors import GpuboxError

    source = args.source or variables.get("ik_llama_image_source")
    if source is None:
        defaults = ROOT / "roles" / "ik_llama_image" / "defaults" / "main.yml"
        source = yaml.safe_load(defaults.read_text("utf-8"))["ik_llama_image_source"]
    if "{{" in str(source):
        raise GpuboxError("ik_llama_image_source", f"is a template ({source})", "name the repository with --source")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gpubox" / "git"
    return commits_between(str(source), args.good, args.bad, cache, progress.say)


def _list(args: argparse.Namespace, commits: Sequence[Commit], rules: Rules) -> None:
    from dataclasses import asdict

    from gpubox.bisect.search import steps_left

    steps, turns = steps_left(0, len(commits) - 1), 2 * rules.confirm_rounds
    if args.json:
        document = {"commits": [asdict(commit) for commit in commits], "steps": steps, "in_turns": turns}
        print(json.dumps(document, indent=2))
        return
    print("\n".join(map(str, commits)))
    print(f"{len(commits) - 2} commits between both ends: about {steps} of them, and {turns} measurements in turns")


def _begin(
    args: argparse.Namespace, asked: Asked, workload: Workload, file: RememberedFile, progress: Progress
) -> Remembered:
    """Return what is known of the bisection that was begun with the same words, or of a new one; say what is to do."""
    from gpubox.bench.session import new_id
    from gpubox.bisect.remembered import Remembered, begin_or_go_on, hashes
    from gpubox.bisect.search import steps_left

    batch, line = new_id(), hashes(asked.commits)
    box, loaded = asked.host.name, asked.loaded
    wanted = Remembered(box, loaded.name, loaded.hash, line, workload, batch, f"{batch}t")
    remembered, begun = begin_or_go_on(file, wanted, anew=args.anew)
    if begun is remembered:
        progress.say(f"{box}: going on with the bisection {remembered.batch}; --anew begins again")
    elif begun is not None:
        progress.say(f"{box}: another bisection of {loaded.name} ({begun.batch}) had not ended; it is forgotten")
    between = f"{len(line) - 2} commits between {asked.commits[0].short} and {asked.commits[-1].short}"
    steps = steps_left(0, len(line) - 1)
    progress.say(f"{between}: both ends are measured, about {steps} of them, then two in turns")
    return remembered

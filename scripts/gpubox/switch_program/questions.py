"""Commands whose answers a switch needs before all else: begun before its modules are imported, which takes as long."""

from __future__ import annotations

import os
import subprocess

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

PROFILES = "/var/lib/gpubox/profiles.json"
QUADLETS = ("/usr/libexec/podman/quadlet", "/usr/lib/podman/quadlet")
CARDS = "--query-gpu=index,uuid,memory.used,memory.total"
HOLDERS = "--query-compute-apps=gpu_uuid,pid,process_name,used_memory"
_begun: dict[tuple[str, ...], subprocess.Popen[str]] = {}


def begin_questions(profile: str) -> None:
    """Begin to ask what a switch to a profile will want to know; what can't be asked yet, it will ask itself."""
    _begin(smi_question(CARDS))
    _begin(smi_question(HOLDERS))

    import json  # noqa: PLC0415  # while the driver is asked

    try:
        with open(PROFILES, "rb") as file:  # noqa: PTH123  # pathlib takes longer to import than this to run
            document: dict[str, Any] = json.load(file)
        entry = next(entry for entry in document["profiles"] if entry["name"] == profile)
        asked = [image_question(entry["image"]), dry_run_question(entry["file"])]
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        return
    for argv in asked:
        _begin(argv)


def answer(argv: Sequence[str], limit_s: float) -> subprocess.CompletedProcess[str]:
    """Return what a command printed and how it ended: the one that was begun, the first time; else it is run now.

    Args:
        argv: the command.
        limit_s: seconds to wait for it.

    Raises:
        OSError: it can't be run.
        subprocess.TimeoutExpired: it does not end.
    """
    process = _begun.pop(tuple(argv), None) or _start(argv)
    with process:
        try:
            out, err = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return subprocess.CompletedProcess(argv, process.returncode, out, err)


def forget_questions() -> None:
    """Forget what was begun: it was asked before something that changes the answer."""
    while _begun:
        _, process = _begun.popitem()
        with process:
            process.kill()


def image_question(image: str) -> list[str]:
    """Return how to ask for an image's ID."""
    return ["podman", "image", "inspect", "--format", "{{.Id}}", image]


def dry_run_question(file: str) -> list[str]:
    """Return how to ask which services Podman makes of the units beside a Quadlet; empty for other files."""
    generator = next((path for path in QUADLETS if os.path.exists(path)), None)  # noqa: PTH110  # likewise
    if generator is None or not file.endswith(".container"):
        return []
    return ["env", f"QUADLET_UNIT_DIRS={os.path.dirname(file)}", generator, "-dryrun"]  # noqa: PTH120  # likewise


def smi_question(query: str) -> list[str]:
    """Return how to ask the driver."""
    return ["nvidia-smi", query, "--format=csv,noheader,nounits"]


def _begin(argv: Sequence[str]) -> None:
    if argv:
        try:
            _begun[tuple(argv)] = _start(argv)
        except OSError:  # whoever wants the answer will say so
            return


def _start(argv: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

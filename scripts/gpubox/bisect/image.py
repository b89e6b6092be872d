"""Build the image of a commit on a box: by playbooks/image.yml, beside what the box has, which stays as it is."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpubox.ansible_inventory import inventory_files
from gpubox.errors import GpuboxError, ImageError, UnusableCommitError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpubox.box_connection import BoxConnection

# Says what was built; the box's own record is another file.
RECORD = "/run/gpubox/bisect-image.json"
ROOT = Path(__file__).resolve().parents[3]
KEEP_ALL = 1_000_000
_FATAL = re.compile(r"^fatal: \[[^\]]+\](?: -> \S+)?: (\w+)! => (\{.*\})$", re.MULTILINE)
# The commit's own fault, and not the network's, the disk's or the registry's: those have words of their own.
_COMMITS_FAULT = re.compile(r"^\S+: the (?:build|first run) of \S+: it failed\b")


def playbook() -> Path:
    """Return the playbook that builds.

    Raises:
        GpuboxError: this gpubox was installed without its playbooks.
    """
    path = ROOT / "playbooks" / "image.yml"
    if not path.exists():
        raise GpuboxError(str(path), "is missing", "run gpubox from a checkout, which has the playbooks")
    return path


def image_variables(variables: Mapping[str, Any], commit: str) -> dict[str, Any]:
    """Return what image.yml has to be told, so that it builds one commit for one box alone and takes nothing away.

    Args:
        variables: of the box.
        commit: 40 hex digits.
    """
    # The role's own default depends on the registry, which is left out here.
    native = variables.get("ik_llama_image_native", not variables.get("ik_llama_image_registry"))
    return {
        "ik_llama_image_commit": commit,
        "ik_llama_image_native": native,
        "ik_llama_image_registry": "",
        "ik_llama_image_record": RECORD,
        "ik_llama_image_catalogues": "",
        "ik_llama_image_keep": KEEP_ALL,
        "ik_llama_image_state": "present",
    }


def build_image(box: str, variables: Mapping[str, Any], inventory: Path, commit: str) -> None:
    """Build the image of a commit, or find that the box has it; RECORD there says which it is.

    Args:
        box: its name in the inventory.
        variables: of it.
        inventory: the folder.
        commit: 40 hex digits.

    Raises:
        UnusableCommitError: the commit does not build, or its server does not run.
        ImageError: something else is at fault.
    """
    beside = Path(sys.executable).with_name("ansible-playbook")
    program = str(beside) if beside.exists() else shutil.which("ansible-playbook")
    if program is None:
        raise GpuboxError("ansible-playbook", "is not installed", "pip install ansible-core beside gpubox")
    argv = [program, *(f"--inventory={file}" for file in inventory_files(inventory)), str(playbook()), f"--limit={box}"]
    argv += ["--extra-vars", json.dumps(image_variables(variables, commit))]
    told = {"ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "ANSIBLE_CALLBACK_FORMAT_PRETTY": "false", "ANSIBLE_NOCOLOR": "1"}
    env = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), **os.environ, **told, "ANSIBLE_STDOUT_CALLBACK": "default"}
    done = subprocess.run(
        argv, env=env, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
    )  # nobody sees it ask for a password
    if done.returncode:
        raise build_fault(box, done.stdout, done.stderr)


def build_fault(box: str, printed: str, said: str = "") -> GpuboxError:
    """Return why image.yml failed, from what it printed, as JSON on one line.

    Args:
        box: where.
        printed: its standard output.
        said: its standard error.
    """
    for word, text in _FATAL.findall(printed):
        message = str(json.loads(text).get("msg", "")).strip()
        if word == "UNREACHABLE":
            return ImageError(f"{box}: image.yml", f"can't reach the box: {message}", f"does `ssh {box}` work?")
        first, _, rest = message.partition("\n")
        lines = rest.splitlines()
        place, _, fault = first.partition(": it failed") if _COMMITS_FAULT.match(first) else (first, "", "")
        if _COMMITS_FAULT.match(first):
            return UnusableCommitError(place, f"it failed{fault}", telling_line(lines))
        return ImageError(f"{box}: image.yml", first, "", [line.removeprefix("  | ") for line in lines])
    last = (said.strip() or printed.strip() or "it said nothing").splitlines()[-6:]
    return ImageError(f"{box}: image.yml", "failed", "run playbooks/image.yml by hand to see why", last)


def built_image(connection: BoxConnection) -> str:
    """Return the reference, by digest, of the image that was built last.

    Raises:
        BoxError: there is none.
    """
    return str(json.loads("".join(connection.lines(["cat", RECORD])))["reference"])


def telling_line(lines: Sequence[str]) -> str:
    """Return the line that tells most of what was printed: the first of an error, else the first; empty without any."""
    errors = [line for line in lines if re.search(r"\berror\b", line, re.IGNORECASE)]
    return (errors or [*lines, ""])[0].removeprefix("  | ").strip()

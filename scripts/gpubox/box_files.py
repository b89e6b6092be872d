"""Which files of a box are not as they should be: one question for all of them.

Ansible's own way is two modules a file, each a process here and one there, only to find that nothing is to be done. With
this, a role asks once and lets Ansible's modules touch what differs.
"""

from __future__ import annotations

import hashlib
import shlex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_FILE_MODE = "644"
_FOLDER_MODE = "755"


def files_question(paths: Iterable[str]) -> str:
    """Return a shell command that tells owner, group and mode of files and folders, and the SHA-256 of files.

    What does not exist is not told. The command's exit status is always 0.

    Args:
        paths: absolute.
    """
    words = shlex.join(str(path) for path in paths)
    return f"{{ stat -c '%U:%G %a %n' {words}; sha256sum {words}; }} 2>/dev/null || true" if words else "true"


def files_differing(files: Iterable[Mapping[str, Any]], answer: Iterable[str]) -> list[dict[str, Any]]:
    """Return the files and folders that a box lacks or has otherwise.

    Args:
        files: each with `dest`, and a file with its `content` (text) or its `sha256`; what has neither is a folder. All are
            root's, with mode 0644, folders with 0755, unless they say another `mode` ("755").
        answer: the lines that `files_question` printed there, among others.
    """
    told = {str(line) for line in answer}
    return [dict(file) for file in files if not told.issuperset(_lines(file))]


def files_existing(paths: Iterable[str], answer: Iterable[str]) -> list[str]:
    """Return those of some paths that a box has, whatever is in them."""
    there = {path for line in answer for path in [str(line).split(" ", 2)[-1]]}
    return [str(path) for path in paths if str(path) in there]


def _lines(file: Mapping[str, Any]) -> list[str]:
    path = str(file["dest"])
    if "content" in file:
        digest = hashlib.sha256(str(file["content"]).encode()).hexdigest()
    elif "sha256" in file:
        digest = str(file["sha256"])
    else:
        return [f"root:root {file.get('mode', _FOLDER_MODE)} {path}"]
    return [f"root:root {file.get('mode', _FILE_MODE)} {path}", f"{digest}  {path}"]

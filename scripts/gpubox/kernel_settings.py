"""Settings of the running kernel that are files: compared, written, and put back to what they were.

Needs the standard library alone, so that it runs on a box that has nothing of gpubox:
`python3 - plan|apply WANTED MEMORY < kernel_settings.py` prints what `plan` or `apply` returns, as JSON.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path


def current(text: str) -> str:
    """Return the value that a kernel's file names: the word in brackets where it lists all, else the whole text."""
    chosen = re.search(r"\[(\S+)\]", text)
    return chosen[1] if chosen else text.strip()


def plan(wanted: dict[str, str], memory: Path, root: Path = Path("/")) -> dict[str, str]:
    """Return the settings that differ from what is wanted.

    Args:
        wanted: absolute path, wildcards allowed, to value; what this kernel doesn't have is left out.
        memory: the file in which `apply` keeps how settings were. One that is kept and no longer wanted goes back.
        root: where /proc and /sys are found.

    Returns:
        Absolute path to value.
    """
    kept = _recall(memory)
    settings = {**kept, **{path: value for pattern, value in wanted.items() for path in _match(pattern, root)}}
    return {path: value for path, value in settings.items() if _read(path, root) not in {value, None}}


def apply(wanted: dict[str, str], memory: Path, root: Path = Path("/")) -> list[str]:
    """Write the settings that `plan` returns, and keep how they were before the first time.

    Args:
        wanted: as for `plan`.
        memory: likewise.
        root: likewise.

    Returns:
        What could not be written, a clause each.
    """
    todo = plan(wanted, memory, root)
    kept = {**{path: value for path in todo if (value := _read(path, root)) is not None}, **_recall(memory)}
    # Kept first: a value that was changed and not kept could never be put back.
    memory.parent.mkdir(parents=True, exist_ok=True)
    memory.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    faults = []
    for path, value in todo.items():
        try:
            _file(path, root).write_text(value, encoding="utf-8")
        except OSError as error:
            faults.append(f"{path} can't be set to {value} ({error.strerror})")
    return faults


def _match(pattern: str, root: Path) -> list[str]:
    return [f"/{path.relative_to(root)}" for path in sorted(root.glob(pattern.removeprefix("/")))]


def _file(path: str, root: Path) -> Path:
    return root / path.removeprefix("/")


def _read(path: str, root: Path) -> str | None:
    try:
        return current(_file(path, root).read_text(encoding="utf-8"))
    except OSError:
        return None


def _recall(memory: Path) -> dict[str, str]:
    try:
        kept: dict[str, str] = json.loads(memory.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return kept


def main() -> None:
    """Print as JSON what a verb returns for the settings and the file that the arguments name."""
    verb, wanted, memory = sys.argv[1], json.loads(sys.argv[2]), Path(sys.argv[3])
    print(json.dumps({"plan": plan, "apply": apply}[verb](wanted, memory)))  # noqa: T201  # what it is run for


if __name__ == "__main__":
    main()

"""Puts the fetch on a box: its Python packages in a virtual environment, then the program, all of it or nothing.

Reads `{"path": "text", …}` from standard input, the program's files. Runs on any Python 3, to be able to say that it is too old.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST = (3, 11)
PIP_LINES = 5


def main() -> None:
    """Install; end with one sentence where that is impossible."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", type=Path, required=True, help="folder to make; appears last, and whole")
    parser.add_argument(
        "--venv", type=Path, help="virtual environment to make of this Python; without it, this one is used"
    )
    parser.add_argument("pip_args", nargs="*", help="further arguments of pip install")
    arguments = parser.parse_args()
    program: Path = arguments.program
    files: dict[str, str] = json.load(sys.stdin)
    if sys.version_info < OLDEST:
        refuse(
            f"Python {sys.version_info[0]}.{sys.version_info[1]} is too old",
            "install 3.11 or newer and name it in gguf_models_python",
        )

    fresh = program.with_name(program.name + ".unfinished")
    shutil.rmtree(str(fresh), ignore_errors=True)
    for name, text in files.items():
        path = fresh / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    if arguments.venv is None:
        if importlib.util.find_spec("huggingface_hub") is None:
            refuse("no huggingface_hub in it", "install it, or leave gguf_models_interpreter empty")
    elif not (arguments.venv / ".complete").exists():
        make_venv(arguments.venv, fresh / "requirements.txt", arguments.pip_args)

    for earlier in [*program.parent.glob("program-*"), *program.parent.glob("venv-*")]:
        if earlier not in {fresh, arguments.venv}:
            shutil.rmtree(str(earlier))
    fresh.rename(program)


def make_venv(venv: Path, requirements: Path, pip_args: list[str]) -> None:
    """Make a virtual environment with the pinned packages; a file in it says that it is complete."""
    if importlib.util.find_spec("ensurepip") is None:
        refuse("makes no virtual environments", "install the distribution's package python3-venv")
    pip = [
        str(venv / "bin/python"),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--require-hashes",
    ]
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(venv)],
        [*pip, "--requirement", str(requirements), *pip_args],
    ):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            tail = "\n".join(done.stdout.splitlines()[-PIP_LINES:])
            refuse(
                "the packages of requirements.txt can't be installed",
                "name a package index with gguf_models_pip_args\n" + tail,
            )
    (venv / ".complete").touch()


def refuse(fault: str, remedy: str) -> None:
    """End with a sentence about this Python."""
    sys.exit(f"{sys.executable}: {fault}; {remedy}")


if __name__ == "__main__":
    main()

"""Git repositories that image builds clone, served over git:// from this machine's loopback.

The real one is made from the ik_llama.cpp tree that PyPI's sdist of ik-llama-cpp-python carries; the small one builds a
program in a second that answers `--help` and `--version`, for tests of everything but the compiler.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tarfile
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SDIST = "ik-llama-cpp-python==0.1.5"
_TREE = "vendor/ik_llama.cpp/"
# This machine's loopback, as a box of the lab sees it.
_FROM_A_BOX = "10.0.2.2"
_START_LIMIT_S = 10.0

# The sdist leaves this file out, and the tree's own CMakeLists runs it.
_BUILD_INFO = """\
# Writes build-info.cpp of the tree that the sdist carries, which knows its commit only from git.
execute_process(COMMAND git rev-parse --short HEAD OUTPUT_VARIABLE BUILD_COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE)
set(BUILD_NUMBER 1)
set(BUILD_COMPILER "${CMAKE_C_COMPILER_ID} ${CMAKE_C_COMPILER_VERSION}")
set(BUILD_TARGET "${CMAKE_HOST_SYSTEM_NAME}")
configure_file(common/build-info.cpp.in common/build-info.cpp)
"""
_SMALL_CMAKE = """\
cmake_minimum_required(VERSION 3.18)
project(small C)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
add_executable(llama-server server.c)
"""
_SMALL_SERVER = """\
#include <stdio.h>
#include <string.h>
int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "--version") == 0) return !fprintf(stderr, "version: 1 (NAME)\\n");
    puts("usage: llama-server [options]\\n");
    puts("  -m,    --model FNAME            path of the model");
    puts("  -c,    --ctx-size N             size of the prompt context (default: 0)");
    puts("  -NAME, --NAME N                 an option of this version alone");
    return 1;
}
"""


class GitMirror:
    """A repository below a folder that `serve` serves.

    Args:
        folder: the repository's, made when the first commit is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        if not (folder / ".git").exists():
            folder.mkdir(parents=True)
            self._git("init", "--quiet", "--initial-branch=main")

    def commit(self, message: str) -> str:
        """Commit what lies in the folder; the same files and message give the same commit, on every machine.

        Returns:
            The commit, 40 hex digits.
        """
        self._git("add", "--all", "--force")
        self._git("commit", "--quiet", "--allow-empty", f"--message={message}")
        return self._git("rev-parse", "HEAD")

    def commit_small(self, name: str, *, broken: bool = False) -> str:
        """Commit a server that builds in a second and has an option `--NAME`, or one that doesn't build."""
        (self.folder / "CMakeLists.txt").write_text(_SMALL_CMAKE, encoding="utf-8")
        source = _SMALL_SERVER.replace("NAME", name)
        (self.folder / "server.c").write_text("#error no such luck\n" if broken else source, encoding="utf-8")
        return self.commit(name)

    def _git(self, *arguments: str) -> str:
        fixed = {
            f"GIT_{who}_{what}": value
            for who in ("AUTHOR", "COMMITTER")
            for what, value in {"NAME": "mirror", "EMAIL": "mirror@localhost", "DATE": "2026-01-01T00:00:00Z"}.items()
        }
        env = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, **fixed}
        done = subprocess.run(
            ["git", "-C", str(self.folder), *arguments], env=env, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()


def ik_llama_mirror(folder: Path, cache: Path) -> tuple[GitMirror, str]:
    """Make a repository of the ik_llama.cpp tree that the sdist carries.

    Args:
        folder: of the repository.
        cache: where the sdist (42 MB) is kept.

    Returns:
        The repository and its one commit.
    """
    mirror = GitMirror(folder)
    with tarfile.open(_sdist(cache)) as archive:
        for member in archive:
            _, _, path = member.name.partition("/")
            if path.startswith(_TREE) and member.isfile():
                member.name = path.removeprefix(_TREE)
                archive.extract(member, folder, filter="data")
    build_info = folder / "common/cmake/build-info-gen-cpp.cmake"
    build_info.parent.mkdir(exist_ok=True)
    build_info.write_text(_BUILD_INFO, encoding="utf-8")
    return mirror, mirror.commit(f"The tree of {_SDIST}")


def _sdist(cache: Path) -> Path:
    found = [*cache.glob("ik_llama_cpp_python-*.tar.gz")]
    if not found:
        download = ["download", "--quiet", "--no-binary=ik-llama-cpp-python", "--no-deps", f"--dest={cache}", _SDIST]
        subprocess.run([sys.executable, "-m", "pip", *download], check=True)
        found = [*cache.glob("ik_llama_cpp_python-*.tar.gz")]
    return found[0]


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve the repositories below a folder to the boxes of the lab.

    Yields:
        The URL that a repository's name is added to.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    daemon = ["git", "daemon", "--export-all", "--reuseaddr", f"--base-path={folder}", "--listen=127.0.0.1"]
    process = subprocess.Popen([*daemon, f"--port={port}", str(folder)], start_new_session=True)
    try:
        end = time.monotonic() + _START_LIMIT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > end:
                    raise
                time.sleep(0.02)
        yield f"git://{_FROM_A_BOX}:{port}/"
    finally:
        # `git daemon` is a child of `git`, so the signal is the group's.
        os.killpg(process.pid, 15)
        process.wait()

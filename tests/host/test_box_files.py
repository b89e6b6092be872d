"""A box's files are asked for in one command, and only those that differ are told."""

from __future__ import annotations

import hashlib
import os
import subprocess
from typing import TYPE_CHECKING

from gpubox.box_files import files_differing, files_existing, files_question

if TYPE_CHECKING:
    from pathlib import Path

OWNER = "root:root"


def asked(*paths: str) -> list[str]:
    """Return the lines that a shell prints to the question."""
    done = subprocess.run(["/bin/sh", "-c", files_question(paths)], capture_output=True, text=True, check=True)
    assert not done.stderr
    return done.stdout.splitlines()


def told(path: str, text: str, mode: str = "644", owner: str = OWNER) -> list[str]:
    """Return the lines that a box with such a file prints."""
    return [f"{owner} {mode} {path}", f"{hashlib.sha256(text.encode()).hexdigest()}  {path}"]


def test_the_question_is_answered_in_the_lines_that_are_looked_for(tmp_path: Path) -> None:
    file, folder = tmp_path / "a file's name", tmp_path / "folder"
    file.write_text("täxt\n")
    file.chmod(0o640)
    folder.mkdir(mode=0o755)
    status = file.stat()
    names = subprocess.run(["stat", "-c", "%U:%G", file], capture_output=True, text=True, check=True).stdout.strip()
    assert (status.st_uid, status.st_gid) == (os.getuid(), os.getgid())
    assert asked(str(file), str(folder), str(tmp_path / "nothing")) == [
        f"{names} 640 {file}",
        f"{names} 755 {folder}",
        told(str(file), "täxt\n")[1],
    ]


def test_a_question_about_nothing_has_no_answer() -> None:
    assert asked() == []


def test_what_a_box_has_as_it_should_be_does_not_differ() -> None:
    answer = ["something else", *told("/etc/a", "text"), f"{OWNER} 755 /etc/folder", *told("/usr/b", "program", "755")]
    files = [
        {"dest": "/etc/a", "content": "text"},
        {"dest": "/etc/folder"},
        {"dest": "/usr/b", "sha256": hashlib.sha256(b"program").hexdigest(), "mode": "755"},
    ]
    assert files_differing(files, answer) == []


def test_each_way_to_differ_is_told() -> None:
    wanted = {"dest": "/etc/a", "content": "text", "label": "kept"}
    assert files_differing([wanted], []) == [wanted]
    assert files_differing([wanted], told("/etc/a", "other text")) == [wanted]
    assert files_differing([wanted], told("/etc/a", "text", mode="600")) == [wanted]
    assert files_differing([wanted], told("/etc/a", "text", owner="user:user")) == [wanted]
    assert files_differing([wanted], told("/etc/b", "text")) == [wanted]
    assert files_differing([{"dest": "/etc/folder"}], [f"{OWNER} 700 /etc/folder"]) == [{"dest": "/etc/folder"}]


def test_files_that_exist_are_told_whatever_is_in_them() -> None:
    answer = [f"{OWNER} 644 /etc/a b", "user:user 600 /etc/c"]
    assert files_existing(["/etc/a b", "/etc/c", "/etc/d"], answer) == ["/etc/a b", "/etc/c"]

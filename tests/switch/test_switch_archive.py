"""The program as one file: always the same bytes, and nothing in it that a box may lack."""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from gpubox.switch_archive import switch_archive, write_switch_archive

if TYPE_CHECKING:
    from pathlib import Path

SOURCES = {
    name: text.decode()
    for archive in [zipfile.ZipFile(io.BytesIO(switch_archive()))]
    for name in archive.namelist()
    for text in [archive.read(name)]
}
OLDEST = (3, 9)  # RHEL 9's


def imported(tree: ast.Module) -> set[str]:
    """The modules that a source imports when it runs, and not only for its types."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
    froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {alias.name for node in names for alias in node.names} | {
        f"{node.module}.{alias.name}" if node.module in {"gpubox", "gpubox.switch_program"} else str(node.module)
        for node in froms
        for alias in node.names
    }


def test_the_same_sources_give_the_same_bytes(tmp_path: Path) -> None:
    path = write_switch_archive(tmp_path / "cache")
    assert (path.read_bytes(), sorted(path.parent.iterdir())) == (switch_archive(), [path])
    before = path.stat().st_mtime_ns
    write_switch_archive(tmp_path / "cache")
    assert path.stat().st_mtime_ns == before


@pytest.mark.parametrize("name", SOURCES)
def test_a_module_is_python_3_9_and_needs_nothing_but_the_standard_library_and_its_like(name: str) -> None:
    tree = ast.parse(SOURCES[name], feature_version=OLDEST)
    own = {member.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for member in SOURCES}
    missing = {module for module in imported(tree) - own if module.partition(".")[0] not in sys.stdlib_module_names}
    assert missing == set()


def test_it_runs_with_the_standard_library_alone(tmp_path: Path) -> None:
    path = write_switch_archive(tmp_path)
    argv = [sys.executable, "-ISB", str(path), f"--lasting={tmp_path}", f"--running={tmp_path}", "status"]
    said = subprocess.run(argv, capture_output=True, text=True, check=False)
    message = f"{tmp_path}/profiles.json: can't be read: No such file or directory; run playbooks/profiles.yml"
    assert (said.returncode, message in said.stdout, said.stderr) == (1, True, "")

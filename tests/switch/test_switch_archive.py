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


def run(path: Path, *words: str, python: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run the program as a box does, with its files beside it."""
    argv = [sys.executable, *python, "-ISB", str(path), f"--lasting={path.parent}", f"--running={path.parent}", *words]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def compiled(folder: Path) -> list[Path]:
    return sorted(folder.glob("switch-*"))


def test_a_deployment_compiles_it_once_and_it_says_the_same(tmp_path: Path) -> None:
    path = write_switch_archive(tmp_path)
    (tmp_path / "profiles.json").write_text('{"profiles": []}')
    before = run(path, "status").stdout
    assert run(path, "declare").stdout == '{"active": [], "changed": false}\n'
    (archive,) = compiled(tmp_path)
    assert archive.name.endswith(f".{sys.implementation.cache_tag}.pyz")
    assert all(name.endswith(".pyc") for name in zipfile.ZipFile(archive).namelist())
    written = archive.stat().st_mtime_ns
    run(path, "declare")
    assert archive.stat().st_mtime_ns == written
    assert run(path, "status").stdout.split('"disk_free"')[0] == before.split('"disk_free"')[0]


def test_what_was_compiled_is_taken_and_another_versions_is_not(tmp_path: Path) -> None:
    path = write_switch_archive(tmp_path)
    (tmp_path / "profiles.json").write_text('{"profiles": []}')
    run(path, "declare")
    (archive,) = compiled(tmp_path)
    archive.write_bytes(b"")  # what is damaged is passed by
    assert run(path, "status").returncode == 0
    fake = "def main():\n    print('compiled')\n"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("gpubox/__init__.py", "")
        packed.writestr("gpubox/switch_program/__init__.py", "")
        packed.writestr("gpubox/switch_program/__main__.py", fake)
    assert run(path, "status").stdout == "compiled\n"
    archive.rename(tmp_path / f"switch-0000000000000000.{sys.implementation.cache_tag}.pyz")
    assert '"active": {}' in run(path, "status").stdout
    run(path, "declare")
    assert compiled(tmp_path) == [archive]  # the other version's is gone


def test_it_is_run_from_its_sources_where_nothing_can_be_written(tmp_path: Path) -> None:
    path = write_switch_archive(tmp_path / "program")
    (tmp_path / "program" / "profiles.json").write_text('{"profiles": []}')
    archive = path.with_name(f"switch-{zipfile.ZipFile(path).comment.decode()}.{sys.implementation.cache_tag}.pyz")
    archive.mkdir()  # stands for a folder that takes no file; the tests may be root's
    assert run(path, "declare").returncode == 0
    assert run(path, "status").returncode == 0


def test_it_runs_with_the_standard_library_alone(tmp_path: Path) -> None:
    path = write_switch_archive(tmp_path)
    argv = [sys.executable, "-ISB", str(path), f"--lasting={tmp_path}", f"--running={tmp_path}", "status"]
    said = subprocess.run(argv, capture_output=True, text=True, check=False)
    message = f"{tmp_path}/profiles.json: can't be read: No such file or directory; run playbooks/profiles.yml"
    assert (said.returncode, message in said.stdout, said.stderr) == (1, True, "")

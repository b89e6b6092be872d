"""How the program gets onto a box: all of it or nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest

FILES = Path(__file__).parents[2] / "roles/gguf_models/files"


def install(python: str, *arguments: str, files: dict[str, str] | None = None) -> tuple[int, str]:
    """Run the installer as the role does; return its status and what it says on standard error."""
    done = subprocess.run(
        [python, "-c", (FILES / "install.py").read_text(), *arguments],
        input=json.dumps(files if files is not None else {"gguf_fetch/__init__.py": "", "requirements.txt": ""}),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


def test_the_program_appears_whole_and_earlier_ones_go(tmp_path: Path) -> None:
    for earlier in ("program-000000000000", "program-111111111111.unfinished", "venv-000000000000"):
        (tmp_path / earlier / "sub").mkdir(parents=True)
    files = {"gguf_fetch/cache.py": "# gr\u00fcn\n", "requirements.txt": "x==1\n"}
    program = tmp_path / "program-222222222222"
    assert install(sys.executable, "--program", str(program), files=files) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == [program.name]
    assert {str(path.relative_to(program)): path.read_text() for path in program.rglob("*") if path.is_file()} == files


def test_an_interpreter_without_the_client_is_refused_and_leaves_no_program(tmp_path: Path) -> None:
    venv.create(tmp_path / "bare", with_pip=False)
    python = str(tmp_path / "bare/bin/python")
    assert install(python, "--program", str(tmp_path / "program-1")) == (
        1,
        f"{python}: no huggingface_hub in it; install it, or leave gguf_models_interpreter empty\n",
    )
    assert not (tmp_path / "program-1").exists()


def test_packages_that_can_not_be_had_are_said_with_the_last_lines_of_pip(tmp_path: Path) -> None:
    arguments = ["--program", str(tmp_path / "program-1"), "--venv", str(tmp_path / "venv-1")]
    files = {"requirements.txt": f"no-such-package==1 --hash=sha256:{'0' * 64}\n"}
    status, err = install(sys.executable, *arguments, "--", "--no-index", files=files)
    sentence, *tail = err.splitlines()
    assert (status, sentence) == (
        1,
        (
            f"{sys.executable}: the packages of requirements.txt can't be installed; "
            "name a package index with gguf_models_pip_args"
        ),
    )
    assert tail[-1] == "ERROR: No matching distribution found for no-such-package==1"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["program-1.unfinished", "venv-1"]
    assert not (tmp_path / "venv-1/.complete").exists()


@pytest.mark.e2e
def test_the_pinned_packages_install_by_hash_and_the_fetch_runs_on_them(tmp_path: Path) -> None:
    files = {str(path.relative_to(FILES)): path.read_text() for path in FILES.rglob("*.py")}
    files["requirements.txt"] = (FILES / "requirements.txt").read_text()
    program, environment = tmp_path / "program-1", tmp_path / "venv-1"
    assert install(sys.executable, "--program", str(program), "--venv", str(environment), files=files) == (0, "")
    done = subprocess.run(
        [environment / "bin/python", "-c", "import gguf_fetch.fetch, huggingface_hub; print(huggingface_hub.__version__)"],
        cwd=program, capture_output=True, text=True, check=True,
    )  # fmt: skip  # one command
    assert done.stdout == "2.4.0\n"


def test_the_tests_use_the_version_that_the_boxes_get() -> None:
    import huggingface_hub

    assert f"\nhuggingface-hub=={huggingface_hub.__version__} " in (FILES / "requirements.txt").read_text()

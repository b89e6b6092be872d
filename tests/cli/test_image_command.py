"""`gpubox image`: the script that builds a server, for this machine's GPUs or for what is asked, and what it does."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from cli.console import Console
from host.rtx_pro_6000 import TWO_GPUS

GOLDEN = Path(__file__).parents[1] / "image" / "golden"
FAKE_CMAKE = """\
#!/bin/sh
printf '%s\\n' "$*" >> {calls}
mkdir -p build/bin && cp /bin/true build/bin/llama-server
"""


@pytest.fixture
def console(tmp_path: Path) -> Console:
    return Console(tmp_path)


def executable(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def test_the_script_for_this_machines_gpus_is_the_one_of_its_image(console: Console) -> None:
    executable(console.folder / "bin", "nvidia-smi", f"#!/bin/sh\ncat <<'END'\n{TWO_GPUS}END\n")
    console.environment["PATH"] = f"{console.folder / 'bin'}:{os.environ['PATH']}"
    assert console.run("image", "script").stdout == (GOLDEN / "cuda-ik-llama-build.sh").read_text("utf-8")


def test_a_machine_without_gpus_can_still_name_them(console: Console) -> None:
    console.environment["PATH"] = str(console.folder)
    assert "    '-DCMAKE_CUDA_ARCHITECTURES=89-real;90a-real'\n" in (
        console.run("image", "script", "--arch", "90a-real", "--arch", "89-real").stdout
    )
    assert "    '-DGGML_CUDA=OFF'\n" in console.run("image", "script", "--cpu").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--arch: no NVIDIA GPU is known on this machine; name the architectures (120a-real), or give --cpu"),
        (
            ("--arch", "sm_90"),
            (
                "gpubox image: cuda_architectures: has a word that is no CUDA architecture (got 'sm_90'); "
                "write them as 120a-real"
            ),
        ),
        (
            ("--cpu", "--commit", "main"),
            (
                "gpubox image: commit: must be 40 hex digits (got 'main'); "
                "`git rev-parse` prints them; a branch or a tag can change"
            ),
        ),
    ],
)
def test_what_can_not_be_built_is_refused(console: Console, words: tuple[str, ...], said: str) -> None:
    console.environment["PATH"] = str(console.folder)
    done = console.run("image", "script", *words)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"gpubox: {said}\n")


def test_unpacked_files_are_built_where_they_are_and_again_in_the_same_folder(console: Console) -> None:
    calls = console.folder / "calls"
    executable(console.folder / "bin", "cmake", FAKE_CMAKE.format(calls=calls))
    (console.folder / "files").mkdir()
    (console.folder / "files" / "CMakeLists.txt").write_text("")
    script = console.run("image", "script", "--cpu").stdout
    path = f"{console.folder / 'bin'}:/usr/bin:/bin"
    for _ in range(2):
        subprocess.run(
            ["sh", "-s", "files", "work", "built"],
            input=script,
            text=True,
            cwd=console.folder,
            env={"PATH": path, "JOBS": "3"},
            check=True,
        )
    configure, build = calls.read_text().splitlines()[:2]
    assert configure.startswith(f"-S {console.folder}/files -B build ")
    assert configure.endswith("-DGGML_CUDA=OFF")
    assert build == "--build build --target llama-server --parallel 3"
    assert calls.read_text().splitlines()[2:] == [configure, build]
    assert sorted(path.name for path in console.folder.iterdir()) == ["bin", "built", "calls", "files", "work"]
    assert (console.folder / "built" / "bin" / "llama-server").stat().st_mode & 0o111

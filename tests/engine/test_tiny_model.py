"""The tiny model as a file; what llama.cpp makes of it is tested with the launcher."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from gpubox.errors import ModelFileError
from gpubox.tiny_model import SPECIAL_TOKENS, TinyShape, byte_vocabulary, make_tiny_model

if TYPE_CHECKING:
    from pathlib import Path

SMALL = TinyShape(layers=1, width=64, ffn=64, kv_heads=1)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_same_seed_gives_the_same_bytes(tiny_model: Path, tmp_path: Path) -> None:
    assert sha256(make_tiny_model(tmp_path / "again.gguf")) == sha256(tiny_model)


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    one = make_tiny_model(tmp_path / "1.gguf", seed=1, shape=SMALL)
    two = make_tiny_model(tmp_path / "2.gguf", seed=2, shape=SMALL)
    assert one.stat().st_size == two.stat().st_size
    assert sha256(one) != sha256(two)


def test_it_is_small_enough_to_write_and_large_enough_to_measure(tiny_model: Path) -> None:
    assert 20e6 < tiny_model.stat().st_size < 60e6


def test_it_replaces_the_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "tiny.gguf"
    path.parent.mkdir()
    path.write_text("an older file")
    assert make_tiny_model(path, shape=SMALL) == path
    assert path.read_bytes()[:4] == b"GGUF"
    assert list(path.parent.iterdir()) == [path]


def test_a_path_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "tiny.gguf"
    with pytest.raises(ModelFileError) as caught:
        make_tiny_model(path, shape=SMALL)
    assert str(caught.value) == f"{path}: can't be written: File exists; choose another folder"


def test_without_the_demo_packages_it_says_what_to_install(source_folder: Path, tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path.append({str(source_folder)!r})\n"
        "from pathlib import Path; from gpubox.errors import GpuboxError; from gpubox.tiny_model import make_tiny_model\n"
        f"try: make_tiny_model(Path({str(tmp_path / 'tiny.gguf')!r}))\n"
        "except GpuboxError as exc: print(exc)"
    )
    bare = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert bare.stdout == (
        "gpubox demo: needs the Python package gguf, which is not installed; run: pip install 'gpubox[demo]'\n"
    )


def test_importing_it_costs_no_numpy() -> None:
    code = (
        "import sys, gpubox.tiny_model, gpubox.llama_launcher; print({'numpy', 'gguf', 'xllamacpp'} & set(sys.modules))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout == "set()\n"


def test_every_token_has_its_own_text_and_printable_ascii_is_itself() -> None:
    tokens = byte_vocabulary()
    assert len(set(tokens)) == len(tokens) == 288
    assert all(tokens[code] == chr(code) for code in range(ord("!"), ord("~") + 1))
    assert tokens[ord(" ")] == "Ġ"
    assert tokens[ord("\n")] == "Ċ"
    assert tuple(tokens[256:259]) == SPECIAL_TOKENS

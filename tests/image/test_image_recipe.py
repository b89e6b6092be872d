"""Facts about the files that build an image, and the key that names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import golden
from gpubox.image_inputs import read_inputs
from gpubox.image_recipe import image_recipe
from image.inputs import COMMIT, GPU, variables

_OTHER = f"nvidia/cuda:13.0.2@sha256:{'f' * 64}"
_CHANGES: list[dict[str, Any]] = [
    {"variant": "cpu"},
    {"commit": COMMIT[::-1]},
    {"build_base": _OTHER},
    {"runtime_base": _OTHER},
    {"cuda_architectures": ["89-real"]},
    {"fa_all_quants": True},
    {"native": True},
    {"native": True, "cpu": "another one"},
    {"cmake_flags": ["-DGGML_CUDA_FORCE_CUBLAS=ON"]},
    {"cmake_flags": ["-DGGML_CUDA_FORCE_CUBLAS=ON", "-DGGML_NCCL=OFF"]},
    {"cmake_flags": ["-DGGML_NCCL=OFF", "-DGGML_CUDA_FORCE_CUBLAS=ON"]},
]


def test_golden_build_files() -> None:
    texts: dict[str, str] = {}
    for variant in ("cuda", "cpu"):
        recipe = image_recipe(read_inputs("box", variables(variant=variant, native=variant == "cpu"), [GPU]))
        texts |= {f"{variant}-{name}": text for name, text in recipe.files.items()}
    golden.compare(Path(__file__).parent / "golden", texts)


def test_every_input_changes_the_key() -> None:
    recipes = [image_recipe(read_inputs("box", variables(**changed), [GPU])) for changed in [{}, *_CHANGES]]
    assert len({recipe.key for recipe in recipes}) == len(recipes)


def test_the_tag_is_the_commit_and_the_key() -> None:
    recipe = image_recipe(read_inputs("box", variables(), [GPU]))
    assert recipe.tag == f"29a54f4-{recipe.key}"
    assert len(recipe.key) == 12


@given(st.permutations([{"compute_capability": word} for word in ("12.0", "12.0", "8.9", "9.0", "8.6")]))
def test_the_order_of_boxes_and_gpus_does_not_change_the_key(gpus: list[dict[str, str]]) -> None:
    ordered = sorted(gpus, key=lambda gpu: gpu["compute_capability"])
    key = image_recipe(read_inputs("one", variables(), gpus)).key
    assert key == image_recipe(read_inputs("other", variables(), ordered)).key


def test_labels_tell_what_went_into_the_image() -> None:
    assert image_recipe(read_inputs("box", variables(), [GPU, {"compute_capability": "8.9"}])).labels == {
        "org.opencontainers.image.title": "ik_llama.cpp server",
        "org.opencontainers.image.revision": COMMIT,
        "org.opencontainers.image.base.name": "nvidia/cuda:13.0.1-runtime-ubuntu24.04",
        "org.opencontainers.image.base.digest": f"sha256:{'e' * 64}",
        "gpubox.variant": "cuda",
        "gpubox.build-base": f"nvidia/cuda@sha256:{'d' * 64}",
        "gpubox.cuda-architectures": "89-real;120a-real",
        "gpubox.cmake-flags": (
            "-DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF -DGGML_CCACHE=OFF -DGGML_NATIVE=OFF "
            "-DGGML_IQK_FA_ALL_QUANTS=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_CURL=OFF -DGGML_CUDA=ON "
            "-DGGML_CUDA_FA_ALL_QUANTS=OFF -DCMAKE_CUDA_ARCHITECTURES=89-real;120a-real"
        ),
    }

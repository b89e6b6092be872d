"""Facts about reading what an image depends on."""

from __future__ import annotations

from typing import Any

import pytest

from gpubox.errors import DocumentError
from gpubox.image_inputs import cuda_architecture, read_base, read_inputs
from image.inputs import GPU, variables


@pytest.mark.parametrize(
    ("capability", "architecture"),
    [
        ("12.0", "120a-real"),
        ("12.1", "121a-real"),
        ("10.0", "100a-real"),
        ("9.0", "90a-real"),
        ("8.9", "89-real"),
        ("7.5", "75-real"),
    ],
)
def test_a_gpu_gets_code_for_itself_alone(capability: str, architecture: str) -> None:
    assert cuda_architecture(capability) == architecture


def test_boxes_that_differ_get_one_image_with_code_for_each() -> None:
    gpus: list[dict[str, Any]] = [GPU, GPU, {"compute_capability": "8.9"}, {"compute_capability": None}]
    assert read_inputs("box", variables(), gpus).build.architectures == ("89-real", "120a-real")


def test_named_architectures_win_over_the_gpus() -> None:
    assert read_inputs("box", variables(cuda_architectures=["86", "89-virtual"]), [GPU]).build.architectures == (
        "86",
        "89-virtual",
    )


def test_the_cpu_variant_has_no_architectures() -> None:
    assert (
        read_inputs("box", variables(variant="cpu", cuda_architectures=["120a-real"]), [GPU]).build.architectures == ()
    )


def test_the_cpu_counts_only_where_code_is_made_for_it() -> None:
    assert read_inputs("box", variables(), [GPU]).cpu == ""
    native = variables(native=True, cpu='Some "CPU" $@ 4.0GHz\\')
    assert read_inputs("box", native, [GPU]).cpu == "Some CPU @ 4.0GHz"


def test_a_base_is_pinned_by_digest_and_named_by_tag() -> None:
    digest = f"sha256:{'a' * 64}"
    base = read_base(f"library/debian:trixie-slim@{digest}")
    assert base == ("library/debian:trixie-slim", f"library/debian@{digest}", digest)
    assert read_base(f"base@{digest}") == ("base", f"base@{digest}", digest)
    assert read_base("library/debian:trixie-slim") is None


_FAULTS = [
    ({"variant": "rocm"}, "variant: must be cuda or cpu (got 'rocm')"),
    (
        {"commit": "29a54f4"},
        "commit: must be 40 hex digits (got '29a54f4'); `git rev-parse` prints them; a branch or a tag can change",
    ),
    (
        {"runtime_base": "nvidia/cuda:13.0.1-runtime-ubuntu24.04"},
        (
            "runtime_base: must be REPOSITORY:TAG@sha256:DIGEST without a registry (got "
            "'nvidia/cuda:13.0.1-runtime-ubuntu24.04'); a tag can change; ik_llama_image_base_registry says which registry"
        ),
    ),
    (
        {"cmake_flags": ["-DA='b'"]},
        """cmake_flags: must be -DNAME=VALUE without quotes, `$` and backslashes (got "-DA='b'")""",
    ),
    (
        {"cuda_architectures": ["sm_120"]},
        "cuda_architectures: has a word that is no CUDA architecture (got 'sm_120'); write them as 120a-real",
    ),
]


@pytest.mark.parametrize(("changed", "message"), _FAULTS)
def test_a_fault_names_the_variable_what_was_found_and_what_to_write(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(DocumentError) as raised:
        read_inputs("box", variables(**changed), [GPU])
    assert str(raised.value) == f"box: ik_llama_image_{message}"


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(DocumentError) as raised:
        read_inputs("box", variables(commit="main", cmake_flags=["GGML_CUDA=ON"]), [{"compute_capability": "6.1"}])
    assert str(raised.value) == (
        "box: ik_llama_image_commit: must be 40 hex digits (got 'main'); "
        "`git rev-parse` prints them; a branch or a tag can change\n"
        "box: ik_llama_image_cmake_flags: must be -DNAME=VALUE without quotes, `$` and backslashes (got 'GGML_CUDA=ON')\n"
        "box: ik_llama_image_cuda_architectures: a GPU of this compute capability is too old for CUDA 13 (got '6.1'); "
        "name the architectures, and base images with a CUDA that knows them"
    )


def test_a_box_whose_gpus_nobody_knows_is_told_what_to_do() -> None:
    with pytest.raises(DocumentError) as raised:
        read_inputs("box", variables(), [])
    assert str(raised.value) == (
        "box: ik_llama_image_cuda_architectures: is empty, and no GPU of the boxes is known; "
        "run provision.yml, which finds them, name the architectures (120a-real), or set the variant to cpu"
    )

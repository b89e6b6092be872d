"""Whether an argv is meant for GPUs, so that a server without memory there is wrong."""

from __future__ import annotations

import pytest

from gpubox.switch_program.gpu_use import offloads


@pytest.mark.parametrize(
    ("argv", "wants"),
    [
        (["-ngl", "80"], True),
        (["--n-gpu-layers", "80"], True),
        (["--gpu-layers", "all"], True),
        (["-ngl", "80", "-ngl", "0"], False),  # the last counts
        (["-ngl", "auto"], False),
        (["-ngl", "-1"], False),
        (["--model", "-ngl"], False),
        ([], False),
    ],
)
def test_layers_are_meant_for_gpus_where_the_argv_says_so(argv: list[str], *, wants: bool) -> None:
    assert offloads(argv) is wants

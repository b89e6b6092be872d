"""Findings that need neither model nor machine, as `gpubox check` gives them for a model that is not at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gpubox.lint import lint_settings
from gpubox.profile_check import check_profiles
from placement.glm_models import IK

if TYPE_CHECKING:
    from pathlib import Path

GRAPH = "is turned off by split mode graph (load-tensors.cpp:4395); leave it out"


@pytest.mark.parametrize(
    ("flags", "gpus", "told"),
    [
        ("-sm graph -mqkv", 2, [f"warning: -mqkv: {GRAPH}"]),
        (
            "-sm graph -ot exps=CPU",
            2,
            [
                (
                    "warning: -sm graph: tensors are spread, but computed without graph scheduling, since there are tensor"
                    " overrides (llama.cpp:7469, llama-model.cpp:1827); leave the overrides out, use layer, or try"
                    " --split-mode-graph-scheduling"
                )
            ],
        ),
        ("-sm graph -ot exps=CPU -smgs", 2, []),
        (
            "-sm none",
            2,
            [
                (
                    "warning: -sm none: norms and KV cache still follow the layer split over all GPUs (llama.cpp:3819, buft_layer"
                    " keeps the layer's own device; seen on two H200s); give the server one GPU with `gpus: [0]`"
                )
            ],
        ),
        ("-sm none", 1, []),
        (
            "-ts 1,1",
            1,
            ["warning: -ts 1,1: does nothing with fewer than two GPUs (llama.cpp:3611-3640); leave it out"],
        ),
        ("-ts 1,1", 2, []),
        ("-khad", 1, ["warning: -khad: does nothing with a K cache of f16 (llama.cpp:6916); leave it out"]),
        ("-khad -ctk q8_0", 1, []),
        (
            "-no-fa -ctv q8_0",
            1,
            [
                (
                    "error: -ctv q8_0: a quantised V cache needs flash attention (common.cpp:4192); leave flash attention on,"
                    " or use f16"
                )
            ],
        ),
        ("-amb 64", 1, ["warning: -amb 64: is raised to 128 (common.cpp:1898); write 128, or 0 for no cap"]),
        ("-amb 0", 1, []),
        (
            "-ub 4096",
            1,
            ["warning: -ub 4096: is cut to 2048, the batch (common.cpp:4114); raise --batch-size, or lower it"],
        ),
        (
            "-ub 2048 -b 2048 -c 512",
            1,
            ["warning: -ub 2048: is cut to 512, the context (common.cpp:4114); raise --batch-size, or lower it"],
        ),
        ("-ub 4096 -b 4096", 1, []),
    ],
)
def test_a_setting_that_does_nothing_is_told(flags: str, gpus: int, told: list[str]) -> None:
    assert [str(finding) for finding in lint_settings(IK, flags.split(), gpus)] == told


def test_check_tells_it_of_a_profile_whose_model_is_not_at_hand(tmp_path: Path) -> None:
    (tmp_path / "p.yml").write_text("model: {path: /none.gguf}\ngpus: [0]\nserver: {attention_max_batch: 64}\n")
    (checked,) = check_profiles([str(tmp_path / "p.yml")])
    fault = "server.attention_max_batch: --attention-max-batch 64: is raised to 128; write 128, or 0 for no cap"
    assert (checked.errors, checked.warnings) == ((), (f"{tmp_path}/p.yml: {fault}",))

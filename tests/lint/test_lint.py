"""What the lint says about every published run, whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import golden
from gpubox.lint import lint
from gpubox.placement import Machine, place, read_flags
from placement.glm_models import CARD, IK, glm, published
from writeup.published_runs import COMMANDS, flags


def test_the_findings_of_published_runs_equal_their_golden_files() -> None:
    texts = {
        f"{name}.txt": "".join(f"{finding}\n" for finding in lint(IK, flags(name), published(name)))
        for name in COMMANDS
    }
    golden.compare(Path(__file__).parent / "golden", texts)


@pytest.mark.parametrize(
    ("argv", "level", "start"),
    [
        (["-ngl", "80", "-c", "131072", "-amb", "0"], "warning", "attention expands K and V of all heads at once"),
        (["-ngl", "80", "-c", "131072"], "warning", "attention expands K and V of all heads at once"),
        (["-ngl", "80", "-c", "2000000"], "warning", "is more than the model was trained for, 1048576 tokens"),
        (["-ngl", "79", "-c", "4096"], "note", "the output stays on the host"),
        (["-c", "4096"], "warning", "no layer goes to a GPU"),
        (["-ngl", "70", "-c", "4096", "-t", "32"], "warning", "is more than the box has cores, 16"),
        (["-ngl", "80", "-c", "4096", "-ot", "nothing=CPU"], "warning", "matches no tensor of this model"),
        (["-ngl", "80", "-c", "4096", "-ot", "exps=CPU,ffn_up_exps=CUDA0"], "warning", "never comes to act: earlier"),
        (["-ngl", "80", "-c", "4096", "-sm", "graph", "--merge-qkv"], "warning", "is turned off by split mode graph"),
        (
            ["-ngl", "80", "-c", "4096", "-mqkv", "-ot", "attn_q_a=CPU"],
            "warning",
            "does not move 79 merged projections",
        ),
        (["-ngl", "80", "-c", "4096", "-ncmoe", "5"], "note", "sends the experts of 2 layers: the 3 dense ones count"),
        (["-ngl", "80", "-c", "4096", "-ctv", "q8_0"], "warning", "does nothing"),
        (["-ngl", "80", "-c", "4096", "-ot", "exps=CUDA2"], "error", "names CUDA2, and the server sees 2 GPUs"),
        (["-ngl", "80", "-c", "4096", "-sm", "none", "-mg", "2"], "error", "there is no such GPU: 2 are seen"),
        (["-ngl", "80", "-c", "4096", "-no-fa", "-ctv", "q8_0"], "error", "a quantised V cache needs flash attention"),
    ],
)
def test_a_flag_that_does_not_do_what_it_says_is_named(argv: list[str], level: str, start: str) -> None:
    placement = place(glm("1.630bpw"), read_flags(argv, IK), Machine((CARD, CARD), 768 * 10**9, 16))
    assert any(one.level == level and one.what.startswith(start) for one in lint(IK, argv, placement))


@pytest.mark.parametrize("pattern", [r"blk\.(3|99)\.ffn_up_exps=CPU", r"blk\.(3|[12]3[12])\.ffn_up_exps=CUDA1"])
def test_nothing_is_guessed_where_a_bar_would_move_nothing_or_stand_between_equals(pattern: str) -> None:
    argv = ["-ngl", "80", "-c", "4096", "-ts", "0,1", "-ot", pattern]
    placement = place(glm("1.630bpw"), read_flags(argv, IK), Machine((CARD, 2 * CARD), 768 * 10**9, 16))
    (told,) = (str(one) for one in lint(IK, argv, placement) if "its alternative" in one.what)
    assert told.endswith("; leave it out or mend it")


def test_mtp_of_a_model_without_it_is_dropped_and_told() -> None:
    model = replace(glm("1.630bpw"), n_draft=0)
    argv = ["-ngl", "80", "-c", "4096", "--spec-type", "mtp:n_max=4"]
    placement = place(model, read_flags(argv, IK), Machine((CARD, CARD)))
    told = [str(one) for one in lint(IK, argv, placement) if one.where.startswith("--spec-type")]
    dropped = "the model has no NextN layer: MTP is dropped and the server runs on without it (speculative.cpp:1878)"
    assert told == [f"warning: --spec-type mtp:n_max=4: {dropped}; leave it out"]

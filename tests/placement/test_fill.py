"""The filler proposes what the planner accepts, and as much as anyone placed by hand."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpubox.argv import server_argv
from gpubox.errors import GpuboxError
from gpubox.expert_groups import ranges
from gpubox.fill import fill
from gpubox.gguf import read_header
from gpubox.placement import Flags, Machine, place, read_flags, read_model
from gpubox.placement.sizes import GIB, MIB
from gpubox.profile_files import load_profile
from gpubox.proposed_profile import laid_over, proposed_layer
from placement.glm_models import IK, glm, published
from placement.small_models import write_small_model
from writeup.published_runs import COMMANDS, flags

if TYPE_CHECKING:
    from pathlib import Path

    from gpubox.profile import Profile

MARGIN = 512 * MIB


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_it_keeps_at_least_the_expert_bytes_of_each_published_run_on_the_gpus(name: str) -> None:
    by_hand = published(name)
    proposal = fill(by_hand.model, read_flags(flags(name), IK), by_hand.machine, MARGIN)
    assert proposal.placement.experts_on_gpus() >= by_hand.experts_on_gpus()


@settings(max_examples=15)
@given(st.lists(st.integers(24, 120), min_size=1, max_size=3), st.sampled_from([True, False]))
def test_what_it_proposes_fits_with_the_margin_and_leaves_no_room_for_another_matrix(
    cards: list[int],
    mtp: bool,  # noqa: FBT001  # drawn
) -> None:
    model = glm("2.244bpw")
    machine = Machine(tuple(card * GIB for card in cards), 512 * GIB)
    asked = Flags(ctx_size=32_768, cache_type_k="q8_0", ubatch_size=1024, attention_max_batch=512, mtp=mtp)
    placement = fill(model, asked, machine, MARGIN).placement
    assert placement.fits
    room = [device.free - device.total for device in placement.devices[:-1] if device.free is not None]
    assert min(room) >= MARGIN
    if placement.host.weights > 10 * GIB:
        assert max(room) < MARGIN + 2 * 2458 * MIB


def test_the_words_and_the_arguments_say_the_same() -> None:
    flagged = Flags(ctx_size=32_768, cache_type_k="q8_0", ubatch_size=2048, attention_max_batch=512)
    proposal = fill(glm("2.244bpw"), flagged, Machine((24 * GIB, 24 * GIB), 256 * GIB), MARGIN)
    assert [group.words() for group in proposal.groups] == [
        {"layers": "7", "device": "CPU", "tensors": ["down"]},
        {"layers": "8-40,46-77", "device": "CPU"},
    ]
    assert proposal.overrides[0] == r"blk\.(7)\.ffn_(down)_exps\.weight=CPU"


def test_where_the_rest_does_not_fit_settings_are_eased_and_the_context_last() -> None:
    asked = Flags(ctx_size=131_072, ubatch_size=4096, cache_type_k="q8_0", attention_max_batch=512)
    roomy = fill(glm("2.244bpw"), asked, Machine((_rest(asked) + MARGIN - MIB,)), MARGIN)
    assert (dict(roomy.settings), roomy.placement.n_ctx) == ({"ubatch_size": 2048}, 131_072)
    least = replace(asked, ubatch_size=512)
    tight = fill(glm("2.244bpw"), asked, Machine((_rest(least) + MARGIN - MIB,)), MARGIN)
    assert tight.settings == {"ubatch_size": 512, "ctx_size": 65_536}
    assert tight.placement.fits


def _rest(asked: Flags) -> int:
    """Return what all but the experts take of one GPU, bytes."""
    bare = replace(asked, n_gpu_layers=80, overrides=((r"_exps\.weight", "CPU"),))
    return place(glm("2.244bpw"), bare, Machine((96 * GIB,))).devices[0].total


def test_a_gpu_that_does_not_even_hold_what_computing_takes_is_named() -> None:
    with pytest.raises(GpuboxError) as caught:
        fill(glm("2.244bpw"), Flags(ctx_size=4096, attention_max_batch=512), Machine((600 * MIB,)), MARGIN)
    told = (
        r"--fill: CUDA0 needs \d+ MiB of 88 with every layer on the host; lower --margin, or serve it without this GPU"
    )
    assert re.fullmatch(told, str(caught.value))


def test_where_nothing_eases_enough_layers_stay_on_the_host() -> None:
    proposal = fill(glm("2.244bpw"), Flags(ctx_size=32_768, attention_max_batch=512), Machine((8 * GIB,)), MARGIN)
    assert 0 < proposal.placement.flags.n_gpu_layers < 79
    assert proposal.settings["n_gpu_layers"] == proposal.placement.flags.n_gpu_layers
    assert (proposal.placement.fits, proposal.placement.experts_on_gpus()) == (True, 0)


def test_a_model_that_is_too_large_is_told_with_the_size_that_would_do() -> None:
    asked = Flags(ctx_size=32_768, cache_type_k="q8_0", attention_max_batch=512)
    with pytest.raises(GpuboxError) as caught:
        fill(glm("2.244bpw"), asked, Machine((24 * 10**9,), 128 * 10**9), MARGIN)
    told = re.fullmatch(
        r"--fill: ([\d.]+) GiB are missing even with the GPUs full: CUDA_Host needs ([\d.]+) GiB of 119.2 GiB;"
        r" take a quantisation of at most ([\d.]+) GiB, 1.\d\d bits a weight \(this one has 196.8 GiB, 2.24 bits\)",
        str(caught.value),
    )
    assert told is not None
    missing, needed, most = map(float, told.groups())
    assert (needed - missing, most + missing) == pytest.approx((119.2, 196.8), abs=0.11)


def test_of_a_dense_model_as_many_layers_as_fit_go_to_the_gpu(tmp_path: Path) -> None:
    model = read_model(read_header(write_small_model(tmp_path / "llama.gguf", "llama")))
    asked = Flags(ctx_size=32_768)
    whole = fill(model, asked, Machine((2 * GIB,)), MARGIN).placement
    assert (whole.flags.n_gpu_layers, whole.fits) == (4, True)
    room = (whole.devices[0].total - 1 * MIB + MARGIN,)
    less = fill(model, asked, Machine(room), MARGIN).placement
    assert (less.flags.n_gpu_layers, less.devices[0].layers) == (3, [0, 1, 2])


@pytest.mark.parametrize("name", ["glm-5.2-2.244bpw-1gpu", "glm-5.2-2.244bpw-cmoe-mtp", "glm-5.2-2.244bpw-ngl65-graph"])
def test_what_is_written_on_top_of_a_profile_makes_it_the_proposal(name: str) -> None:
    profile = load_profile(name).profile
    machine = Machine((22 * GIB,) if profile.gpus == [0] else (24 * GIB, 24 * GIB))
    proposal = fill(glm("2.244bpw"), read_flags(_argv(profile), IK), machine, MARGIN)
    written = laid_over(profile, proposed_layer(profile, proposal, IK))
    placed = place(glm("2.244bpw"), read_flags(_argv(written), IK), machine)
    assert [device.as_json() for device in placed.devices] == [
        device.as_json() for device in proposal.placement.devices
    ]


def test_raw_arguments_that_contradict_the_proposal_are_left_out() -> None:
    raw = ["-ot", "exps=CPU", "-cuda", "graphs=1", "-ncmoe", "5", "-ub", "4096"]
    profile = load_profile("glm-5.2-2.244bpw-1gpu").profile.model_copy(update={"extra_args": raw})
    proposal = fill(glm("2.244bpw"), read_flags(_argv(profile), IK), Machine((22 * GIB,)), MARGIN)
    assert proposed_layer(profile, proposal, IK)["extra_args"] == ["-cuda", "graphs=1"]


def _argv(profile: Profile) -> tuple[str, ...]:
    return server_argv(profile, name="x", model="m.gguf", host="127.0.0.1", port=8000)


@given(st.sets(st.integers(0, 99)))
def test_ranges_name_every_layer_once(layers: set[int]) -> None:
    text = ranges(sorted(layers))
    named = [
        number
        for part in text.split(",")
        if part
        for number in range(int(part.split("-")[0]), int(part.split("-")[-1]) + 1)
    ]
    assert named == sorted(layers)

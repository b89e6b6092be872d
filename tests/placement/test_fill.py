"""The filler proposes what the planner accepts, and as much as anyone placed by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpubox.errors import GpuboxError
from gpubox.fill import fill, ranges
from gpubox.placement import Flags, Machine, read_flags
from gpubox.placement.sizes import GIB, MIB
from placement.glm_models import IK, glm, published
from writeup.published_runs import COMMANDS, flags

MARGIN = 512 * MIB


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_it_keeps_at_least_the_expert_bytes_of_each_published_run_on_the_gpus(name: str) -> None:
    by_hand = published(name)
    proposal = fill(by_hand.model, read_flags(flags(name), IK), by_hand.machine, MARGIN)
    assert proposal.placement.experts_on_gpus() >= by_hand.experts_on_gpus()


@settings(max_examples=15, deadline=None)
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


def test_without_room_for_the_rest_it_says_what_is_missing() -> None:
    with pytest.raises(GpuboxError) as caught:
        fill(glm("2.244bpw"), Flags(ctx_size=131_072, attention_max_batch=512), Machine((16 * GIB,)), MARGIN)
    assert str(caught.value).startswith("--fill: CUDA0 needs ")
    assert str(caught.value).endswith("even without experts; shorten the context, or lower --ubatch-size or the margin")


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

"""What holds for every placement, whatever the flags."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from gpubox.placement import Flags, Machine, place
from gpubox.placement.overrides import cpu_expert_layers
from gpubox.placement.sizes import GIB, MIB
from gpubox.placement.weights import gpu_tensor_bytes
from placement.glm_models import glm

MODEL = glm("1.630bpw")
RULES = st.lists(
    st.sampled_from(
        [
            ("exps", "CPU"),
            (r"blk\.([3-9]|1[0-9])\.ffn_.*_exps", "CUDA0"),
            (r"blk\.4[0-9]\.", "CPU"),
            ("attn_q_b", "CUDA0"),
            ("^output", "CPU"),
        ]
    ),
    max_size=3,
)


@st.composite
def flag_sets(draw: st.DrawFn) -> Flags:
    """Flags that move weights about."""
    return Flags(
        n_gpu_layers=draw(st.integers(0, 99)),
        ctx_size=draw(st.sampled_from([4096, 32_768])),
        ubatch_size=draw(st.sampled_from([64, 512])),
        attention_max_batch=512,
        mla=draw(st.sampled_from([1, 3])),
        merge_qkv=draw(st.booleans()),
        n_cpu_moe=draw(st.sampled_from([0, 5, 40, 999])),
        overrides=tuple(draw(RULES)),
        mtp=draw(st.booleans()),
        mmap=False,
    )


@settings(max_examples=25)
@given(flag_sets(), st.lists(st.integers(8, 96), min_size=1, max_size=3))
def test_every_loaded_tensor_lies_in_exactly_one_buffer(flags: Flags, cards: list[int]) -> None:
    placement = place(MODEL, flags, Machine(tuple(card * GIB for card in cards)))
    loaded = [MODEL.tensors[name] for name in placement.weights.homes]
    plain = sum(tensor.nbytes for tensor in loaded)
    padded = sum(gpu_tensor_bytes(tensor) for tensor in loaded)
    assert plain <= sum(device.weights for device in placement.devices) <= padded
    layers = sorted(layer for device in placement.devices for layer in device.layers)
    assert layers == list(range(79 if flags.mtp else 78))


@settings(max_examples=25)
@given(flag_sets())
def test_the_first_matching_rule_has_a_tensor_and_those_of_the_command_line_come_first(flags: Flags) -> None:
    placement = place(MODEL, flags, Machine((96 * GIB, 96 * GIB)))
    for name, rule in placement.weights.taken_by.items():
        assert next(one for one in placement.rules if one.matches(name)) is rule
    written = [rule.written is not None for rule in placement.rules]
    assert written == sorted(written, reverse=True)


def test_a_rule_for_a_gpu_that_is_not_there_moves_nothing() -> None:
    flags = Flags(n_gpu_layers=80, ctx_size=4096, attention_max_batch=512)
    plain = place(MODEL, flags, Machine((200 * GIB,)))
    ruled = place(MODEL, replace(flags, overrides=((".", "CUDA1"),)), Machine((200 * GIB,)))
    assert [device.as_json() for device in ruled.devices] == [device.as_json() for device in plain.devices]


def test_a_split_that_names_fewer_gpus_than_there_are_leaves_the_others_empty() -> None:
    flags = Flags(n_gpu_layers=80, ctx_size=4096, attention_max_batch=512, tensor_split=(1.0,))
    for mode in ("layer", "graph"):
        placement = place(MODEL, replace(flags, split_mode=mode), Machine((200 * GIB, 200 * GIB)))
        assert placement.devices[1].weights < placement.devices[0].weights / 10


@given(st.integers(1, 78), st.lists(st.integers(1, 40), min_size=2, max_size=4))
def test_cpu_experts_are_shared_out_over_gpus_without_loss(wanted: int, counts: list[int]) -> None:
    layers = [gpu for gpu, count in enumerate(counts) for _ in range(count)]
    flags = Flags(n_cpu_moe=wanted)
    chosen = cpu_expert_layers(flags, len(layers), len(counts), layers)
    assert len(chosen) == len(set(chosen)) == min(wanted, len(layers))
    for gpu, count in enumerate(counts):
        share = sum(layers[layer] == gpu for layer in chosen)
        assert abs(share - count * min(wanted, len(layers)) / len(layers)) < len(counts)


def test_a_boundary_that_hangs_on_a_few_mib_is_told() -> None:
    flags = Flags(n_gpu_layers=80, ctx_size=32_768, attention_max_batch=512)
    told = {place(MODEL, flags, Machine((CARD + change * MIB, CARD))).uncertain for change in range(0, 2000, 100)}
    assert told == {False, True}


CARD = 96 * GIB

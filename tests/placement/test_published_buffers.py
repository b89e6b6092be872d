"""The planner gives the buffers that real servers printed."""

from __future__ import annotations

import pytest
from glm52 import QUANTIZATIONS, tensors

from gpubox.placement import Flags, Machine, place
from gpubox.placement.sizes import GIB, MIB, mib
from placement.glm_models import CARD, glm, published


def test_one_full_gpu_has_the_printed_weight_buffers_to_the_digit() -> None:
    placement = published("glm-5.2-2.244bpw-1gpu")
    assert [round(device.weights / MIB) for device in placement.devices] == [74347, 124459]


def test_two_full_gpus_have_the_printed_weight_buffers_to_their_rounding() -> None:
    placement = published("glm-5.2-1.630bpw")
    assert [round(device.weights / MIB / 1000, 1) for device in placement.devices] == [71.0, 72.7, 0.7]


def test_nine_layers_and_the_output_stay_on_the_host_with_ngl_70() -> None:
    placement = published("glm-5.2-2.244bpw-ngl70")
    assert [device.weights / MIB / 1000 for device in placement.devices] == pytest.approx([91.6, 89.0, 18.1], abs=0.06)
    assert placement.host.layers == list(range(9))
    assert placement.layer_devices[-1] == -1


def test_the_single_gpu_of_the_published_run_fills_as_far_as_was_seen() -> None:
    assert published("glm-5.2-2.244bpw-1gpu").devices[0].at_ready / MIB / 1000 == pytest.approx(85, abs=0.5)


@pytest.mark.parametrize(("quantization", "size"), [("1.630bpw", 142.947), ("2.244bpw", 196.756)])
def test_the_outlines_have_the_published_file_size(quantization: str, size: float) -> None:
    model = glm(quantization)
    assert round(sum(tensor.nbytes for tensor in model.tensors.values()) / GIB, 3) == size
    written = {(name, kind, ne) for name, kind, ne in tensors(QUANTIZATIONS[quantization[:5]])}
    assert {(name, tensor.type.name, tensor.ne) for name, tensor in model.tensors.items()} == written


@pytest.mark.parametrize(
    ("kind", "per_token", "padding"),
    [("f16", 1152, 0), ("q8_0", 612, 512), ("q6_0", 468, 384), ("q5_0", 396, 384), ("q4_0", 324, 256)],
)
@pytest.mark.parametrize("mla", [1, 3])
def test_the_cache_takes_the_same_bytes_a_token_and_layer_with_mla_1_and_3(
    kind: str, per_token: int, padding: int, mla: int
) -> None:
    flags = Flags(n_gpu_layers=99, ctx_size=8192, cache_type_k=kind, mla=mla)
    assert place(glm("1.630bpw"), flags, Machine((2 * CARD,))).devices[0].kv == (per_token * 8192 + padding) * 78


def test_the_draft_layer_costs_its_weights_and_two_layers_of_cache() -> None:
    on, off = published("glm-5.2-1.630bpw-mtp"), published("glm-5.2-1.630bpw")
    assert round(sum(d.weights for d in on.devices) / MIB - sum(d.weights for d in off.devices) / MIB) == 1934
    assert mib(sum(d.kv for d in on.devices) - sum(d.kv for d in off.devices)) == pytest.approx(153, abs=0.01)


def test_mla_3_computes_wkv_b_for_every_layer_and_mla_1_for_none() -> None:
    machine = Machine((2 * CARD,))
    sizes = [place(glm("1.630bpw"), Flags(n_gpu_layers=99, ctx_size=4096, mla=mla), machine) for mla in (1, 3)]
    assert [placement.devices[0].wkv_b for placement in sizes] == [0, 16 * MIB * 79]  # of 14.875 MiB, in pages


def test_few_layers_on_gpus_force_mla_3() -> None:
    assert published("glm-5.2-2.244bpw-ngl50-mla1-mtp").mla == 3
    assert published("glm-5.2-2.244bpw-1gpu-mla1-mtp").mla == 1

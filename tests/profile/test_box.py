"""Facts about the boxes of the inventory and what of theirs a deployment takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gpubox.box import Box, box_of, load_box
from gpubox.errors import GpuboxError
from gpubox.profile import Profile
from gpubox.profile_deployment import cdi_devices

if TYPE_CHECKING:
    from pathlib import Path

UUIDS = ["GPU-5d6a0f6e-8a0c-4d0e-9a53-0c1c5a1f7b11", "GPU-0a4c7f9e-2b61-47a6-b0d5-6f3f6f0f2c22"]
TWO = Box(name="glm-box", gpu_uuids=UUIDS)


def profile(gpus: Any) -> Profile:
    """Return a profile that wants these GPUs."""
    return Profile.model_validate({"model": {"path": "/srv/x.gguf"}, "gpus": gpus})


@pytest.mark.parametrize(
    ("gpus", "box", "devices"),
    [
        ("none", TWO, ()),
        ("all", TWO, ("nvidia.com/gpu=all",)),
        ([1], TWO, (f"nvidia.com/gpu={UUIDS[1]}",)),
        ([UUIDS[0]], TWO, (f"nvidia.com/gpu={UUIDS[0]}",)),
        ([1], Box(), ("nvidia.com/gpu=1",)),
        ([UUIDS[0]], Box(), (f"nvidia.com/gpu={UUIDS[0]}",)),
    ],
)
def test_a_gpu_is_named_by_uuid_where_the_box_tells_it(gpus: Any, box: Box, devices: tuple[str, ...]) -> None:
    assert cdi_devices(profile(gpus), box) == devices


@pytest.mark.parametrize("gpu", [2, "GPU-99999999-9999-4999-8999-999999999999"])
def test_a_gpu_that_the_box_does_not_have_is_refused(gpu: int | str) -> None:
    with pytest.raises(GpuboxError) as error:
        cdi_devices(profile([gpu]), TWO)
    assert str(error.value) == f"glm-box: it has no GPU {gpu}; its GPUs are 0 ({UUIDS[0]}), 1 ({UUIDS[1]})"


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("image", 1, "text"),
        ("selinux_relabel", "yes", "true or false"),
        ("cores", "16", "a whole number"),
        ("gpu_uuids", "GPU-1", "a list of texts"),
        ("gpu_uuids", [1], "a list of texts"),
    ],
)
def test_a_variable_of_the_wrong_type_is_named(name: str, value: Any, kind: str) -> None:
    with pytest.raises(GpuboxError) as error:
        box_of("glm-box", {f"gpubox_{name}": value})
    assert str(error.value) == f"glm-box: gpubox_{name}: must be {kind} (got {value!r})"


def test_a_box_is_read_from_the_inventory_and_an_unknown_one_gets_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "boxes.yml").write_text(f"gpu_boxes: {{hosts: {{glm-box: {{gpubox_gpu_uuids: {UUIDS}}}}}}}\n")
    assert load_box("glm-box", tmp_path) == TWO
    with pytest.raises(GpuboxError) as error:
        load_box("glm-bx", tmp_path)
    assert str(error.value) == f"glm-bx: no such host in {tmp_path}; did you mean glm-box?"

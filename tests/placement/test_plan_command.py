"""`gpubox plan` as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from glm52 import write_glm52

from gpubox.cli import main
from gpubox.gguf import read_header
from gpubox.placement import Flags, Machine, place, read_model
from gpubox.placement.sizes import GIB, MIB
from placement.small_models import write_small_model

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

DEVICE_KEYS = [
    "name",
    "weights_mib",
    "kv_mib",
    "compute_mib",
    "other_mib",
    "ready_mib",
    "total_mib",
    "free_mib",
    "layers",
]


def test_the_json_of_a_real_file_has_the_promised_shape(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(write_glm52(tmp_path / "glm.gguf", "2.244", tokens=100))
    sizes = ["--gpu", "97887MiB", "--ram", "251GiB"]
    assert main(["plan", "glm-5.2-2.244bpw-1gpu", "--model", model, *sizes, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert list(plan) == ["devices", "fits", "may_fit", "findings"]
    assert [list(device) for device in plan["devices"]] == [DEVICE_KEYS, DEVICE_KEYS]
    assert [(device["name"], device["weights_mib"]) for device in plan["devices"]] == [
        ("CUDA0", 74347.2),
        ("CUDA_Host", 124459.34),
    ]
    assert plan["fits"] is True
    assert {tuple(finding) for finding in plan["findings"]} == {("level", "where", "what", "why", "instead")}


def test_what_does_not_fit_fails_and_names_a_change_that_would(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["plan", "glm-5.2-2.244bpw-1gpu", "--gpu", "81559MiB", "--ram", "251GiB", "--json"])
    plan = json.loads(capsys.readouterr().out)
    assert (status, plan["fits"]) == (1, False)
    changes = [finding["what"] for finding in plan["findings"] if finding["where"] == "to make it fit"]
    assert any(change.endswith("more layers on the host") for change in changes)


def test_strict_fails_on_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["plan", "glm-5.2-1.630bpw", "--gpu", "96GiB", "--gpu", "96GiB", "--ram", "128GiB"]
    assert (main(command), main([*command, "--strict"])) == (0, 1)
    assert "glm-5.2-1.630bpw: fits (sizes in MiB)" in capsys.readouterr().out


def test_a_box_of_the_inventory_needs_no_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "glm-5.2-1.630bpw", "--host", "glm-box"]) == 0
    assert capsys.readouterr().out.startswith("device")


def test_without_sizes_it_says_what_to_give(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "glm-5.2-1.630bpw"]) == 1
    fault = "gpubox: gpubox plan: the GPUs' memory is not known; give --host BOX, or --gpu SIZE for each GPU\n"
    assert capsys.readouterr().err == fault


def test_a_proposal_is_printed_as_words_and_as_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["plan", "glm-5.2-2.244bpw-ngl70", "--gpu", "24GiB", "--ram", "256GiB", "--fill", "--json"]
    assert main(command) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["fits"] is True
    assert plan["experts"][-1]["device"] == "CPU"
    assert plan["override_tensor"][-1].endswith(r"_exps\.weight=CPU")


def test_the_core_imports_none_of_the_tools_for_boxes() -> None:
    code = """
import sys
import gpubox.fill, gpubox.lint, gpubox.placement
print(sorted({name.split('.')[0] for name in sys.modules} & {'ansible', 'pyinfra', 'fabric', 'pydantic', 'rich'}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_model_file_alone_is_planned_with_the_defaults_and_told_what_to_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_small_model(tmp_path / "Qwen-Q4.gguf", "qwen3moe")
    flags = Flags(n_gpu_layers=5, ctx_size=32_768)
    whole = place(read_model(read_header(model)), flags, Machine((8 * GIB,))).devices[0].total
    gpu = f"{whole + 466 * MIB}B"  # some MiB less than all of it and the margin
    assert main(["plan", str(model), "--gpu", gpu, "--ram", "64GiB", "--fill"]) == 0
    told = capsys.readouterr().out
    assert told.splitlines()[0] == "qwen-q4 as it stands: fits; proposed instead:"
    assert told[told.index("as a profile") :] == (
        f"as a profile (save it as inventory/profiles/qwen-q4.yml):\n\nmodel: {{path: {model}}}\n"
        "server: {n_gpu_layers: 5, ctx_size: 32768}\n"
        "experts:\n- {layers: '3', device: CPU}\n"
        "\nor as arguments, in this order, each GPU keeping 512 MiB free:\n\n"
        "  --n-gpu-layers 5 --ctx-size 32768\n"
        "  -ot 'blk\\.(3)\\.ffn_(gate|up|down)_exps\\.weight=CPU'\n"
    )


def test_the_same_plan_comes_of_what_it_says_to_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--gpu", "22GiB", "--ram", "256GiB"]
    assert main(["plan", "glm-5.2-2.244bpw-1gpu", *sizes, "--fill"]) == 0
    printed = capsys.readouterr().out
    written = printed.partition("-filled.yml):\n\n")[2].partition("\nor as arguments")[0]
    (tmp_path / "filled.yml").write_text(written)
    assert main(["plan", "glm-5.2-2.244bpw-1gpu", *sizes, "--fill", "--json"]) == 0
    proposed = json.loads(capsys.readouterr().out)
    assert main(["plan", str(tmp_path / "filled.yml"), *sizes, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["devices"] == proposed["devices"]


def test_a_profile_that_fills_its_box_already_is_left_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--gpu", "96GiB", "--gpu", "96GiB", "--ram", "128GiB"]
    assert main(["plan", "glm-5.2-1.630bpw", *sizes, "--fill"]) == 0
    end = "126.9 GiB of 126.9 GiB of experts are on the GPUs\n\nnothing is to be changed: the profile says so already\n"
    assert capsys.readouterr().out.endswith(end)

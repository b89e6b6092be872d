"""The state of GPUs, from a real H200's report and from reports that were changed to have what that GPU does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gpubox.gpu_state import GpuProcess, GpuState, parse_gpu_states, read_gpu_states

if TYPE_CHECKING:
    from collections.abc import Callable

DATA = Path(__file__).parents[1] / "data" / "nvidia"
REPORT = (DATA / "h200.xml").read_text("utf-8")
IDLE = GpuState(
    uuid="GPU-5f0c1d2e-0000-4a11-8b22-0123456789ab",
    name="NVIDIA H200",
    bus_id="00000000:00:06.0",
    memory_total_mib=143771,
    memory_used_mib=0,
    memory_free_mib=143156,
    memory_reserved_mib=616,
    utilisation_percent=0,
    power_w=78.82,
    power_limit_w=700.0,
    temperature_c=39,
    sm_clock_mhz=345,
    sm_clock_max_mhz=1980,
    memory_clock_mhz=3201,
    performance_state="P0",
    held_back_by=(),
    pcie_generation=5,
    pcie_lanes=16,
    ecc=True,
    ecc_uncorrected=0,
    mig=False,
    processes=(),
)
PROCESS = """\
<processes>
  <process_info>
    <gpu_instance_id>N/A</gpu_instance_id>
    <compute_instance_id>N/A</compute_instance_id>
    <pid>9246</pid>
    <type>C</type>
    <process_name>/usr/local/bin/llama-server</process_name>
    <used_memory>121684 MiB</used_memory>
  </process_info>
  <process_info>
    <pid>77</pid>
    <type>G</type>
    <process_name>Xorg</process_name>
    <used_memory>N/A</used_memory>
  </process_info>
"""


def test_each_of_four_gpus_is_read() -> None:
    states = parse_gpu_states((DATA / "four-h200.xml").read_text("utf-8"))
    assert [state.bus_id for state in states] == [f"00000000:00:0{number}.0" for number in (6, 7, 8, 9)]
    assert len({state.uuid for state in states}) == 4
    assert {(state.name, state.memory_total_mib, state.memory_reserved_mib, state.mig) for state in states} == {
        ("NVIDIA H200", 143771, 616, False)
    }


def test_an_idle_h200_is_read_whole_and_idleness_holds_nothing_back() -> None:
    assert parse_gpu_states(REPORT) == (IDLE,)


def test_every_gpu_of_a_report_has_a_state() -> None:
    start, gpu, end = REPORT.index("<gpu "), "</gpu>", REPORT.index("</nvidia_smi_log>")
    both = REPORT[:end] + REPORT[start : REPORT.index(gpu) + len(gpu)].replace("00:06.0", "00:07.0") + REPORT[end:]
    assert [state.bus_id for state in parse_gpu_states(both)] == ["00000000:00:06.0", "00000000:00:07.0"]


def test_what_holds_clocks_back_is_named() -> None:
    active = REPORT
    for reason in ("sw_power_cap", "hw_thermal_slowdown"):
        field = f"clocks_event_reason_{reason}"
        active = active.replace(f"<{field}>Not Active<", f"<{field}>Active<")
    assert parse_gpu_states(active)[0].held_back_by == ("sw_power_cap", "hw_thermal_slowdown")


def test_processes_are_told_with_their_memory_where_the_driver_tells_it() -> None:
    report = REPORT.replace("<processes>\n", PROCESS)
    expected = (GpuProcess(9246, "/usr/local/bin/llama-server", 121684), GpuProcess(77, "Xorg", None))
    assert parse_gpu_states(report)[0].processes == expected


def test_a_card_without_ecc_mig_and_power_readings_has_none_there() -> None:
    report = REPORT
    for had in ("78.82 W", "700.00 W"):
        report = report.replace(f">{had}<", ">N/A<")
    for field in ("current_ecc", "current_mig"):
        report = report.replace(f"<{field}>Enabled<", f"<{field}>N/A<").replace(f"<{field}>Disabled<", f"<{field}>N/A<")
    report = report.replace("<dram_uncorrectable>0<", "<dram_uncorrectable>[N/A]<")
    lacking = replace(IDLE, power_w=None, power_limit_w=None, ecc=None, ecc_uncorrected=None, mig=None)
    assert parse_gpu_states(report) == (lacking,)


def test_a_report_of_an_older_driver_is_read_the_same() -> None:
    report = REPORT.replace("clocks_event_reason", "clocks_throttle_reason").replace(
        "gpu_power_readings", "power_readings"
    )
    report = report.replace("instant_power_draw", "power_draw").replace("current_power_limit", "power_limit")
    assert parse_gpu_states(report) == (IDLE,)


@pytest.mark.parametrize("script", ["exit 9", "echo 'No devices were found'", "exec sleep 30"])
def test_an_nvidia_smi_that_fails_tells_no_state(script: str, nvidia_smi: Callable[[str], Path]) -> None:
    nvidia_smi(script)
    assert read_gpu_states(limit_s=0.2) == ()


def test_nvidia_smi_is_asked_for_its_report(nvidia_smi: Callable[[str], Path]) -> None:
    arguments = nvidia_smi(f"cat {DATA / 'h200.xml'}")
    assert read_gpu_states() == (IDLE,)
    assert arguments.read_text() == "-q -x\n"

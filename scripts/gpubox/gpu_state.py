"""What GPUs are doing at one moment, from `nvidia-smi -q -x`: memory, load, power, clocks, what holds them back, and who is on them.

A field that a GPU does not have, or that the driver refuses to tell, is None.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from gpubox.nvidia import MISSING, NVIDIA_SMI_LIMIT_S

if TYPE_CHECKING:
    from collections.abc import Callable

_NUMBER = re.compile(r"-?\d+(\.\d+)?")
# Older drivers say throttle where newer ones say event.
_REASON = re.compile(r"clocks_(event|throttle)_reason_(?P<name>\w+)")
_AT_REST = "gpu_idle"


@dataclass(frozen=True)
class GpuProcess:
    """A process that has memory on a GPU.

    Attributes:
        pid: as the host sees it.
        name: its program.
        memory_mib: None where the driver does not tell.
    """

    pid: int
    name: str
    memory_mib: int | None


@dataclass(frozen=True)
class GpuState:
    """One GPU at one moment.

    Attributes:
        uuid: NVIDIA's.
        name: the product.
        bus_id: on the PCI bus.
        memory_total_mib: all of it; used, free and reserved by the driver add up to it.
        memory_used_mib: by programs.
        memory_free_mib: for programs.
        memory_reserved_mib: by the driver.
        utilisation_percent: share of the last sampling period in which a kernel ran.
        power_w: drawn now, W.
        power_limit_w: in force, W.
        temperature_c: of the GPU, °C.
        sm_clock_mhz: now.
        sm_clock_max_mhz: at most.
        memory_clock_mhz: now.
        performance_state: P0 (fastest) to P12.
        held_back_by: active reasons for lower clocks, `sw_power_cap`, `hw_thermal_slowdown`, …; idleness is none.
        pcie_generation: of the link, now.
        pcie_lanes: of the link, now.
        ecc: whether error correction is on.
        ecc_uncorrected: uncorrected DRAM errors since the driver was loaded.
        mig: whether the GPU is divided.
        processes: that have memory on it.
    """

    uuid: str | None
    name: str | None
    bus_id: str | None
    memory_total_mib: int | None
    memory_used_mib: int | None
    memory_free_mib: int | None
    memory_reserved_mib: int | None
    utilisation_percent: int | None
    power_w: float | None
    power_limit_w: float | None
    temperature_c: int | None
    sm_clock_mhz: int | None
    sm_clock_max_mhz: int | None
    memory_clock_mhz: int | None
    performance_state: str | None
    held_back_by: tuple[str, ...]
    pcie_generation: int | None
    pcie_lanes: int | None
    ecc: bool | None
    ecc_uncorrected: int | None
    mig: bool | None
    processes: tuple[GpuProcess, ...]


def read_gpu_states(limit_s: float = NVIDIA_SMI_LIMIT_S) -> tuple[GpuState, ...]:
    """Ask nvidia-smi; return nothing where it is missing, fails, or takes longer than `limit_s` seconds."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    try:
        answer = subprocess.run(
            [program, "-q", "-x"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit_s, check=True
        )
        return parse_gpu_states(answer.stdout)
    except (OSError, subprocess.SubprocessError, ET.ParseError):
        return ()


def parse_gpu_states(xml: str) -> tuple[GpuState, ...]:
    """Parse what `nvidia-smi -q -x` prints, one state a GPU, in its order.

    Raises:
        xml.etree.ElementTree.ParseError: the text is no XML.
    """
    return tuple(_state(gpu) for gpu in ET.fromstring(xml).iter("gpu"))  # noqa: S314  # nvidia-smi's own words


def _state(gpu: ET.Element) -> GpuState:
    def text(*paths: str) -> str | None:
        found = ((gpu.findtext(path) or "").strip() for path in paths)
        return next((word for word in found if word not in MISSING), None)

    def whole(*paths: str) -> int | None:
        number = _number(text(*paths))
        return None if number is None else int(number)

    def switch(path: str) -> bool | None:
        return {"Enabled": True, "Disabled": False}.get(text(path) or "")

    power = ("gpu_power_readings", "power_readings")  # the second up to driver 530
    return GpuState(
        uuid=text("uuid"),
        name=text("product_name"),
        bus_id=text("pci/pci_bus_id"),
        memory_total_mib=whole("fb_memory_usage/total"),
        memory_used_mib=whole("fb_memory_usage/used"),
        memory_free_mib=whole("fb_memory_usage/free"),
        memory_reserved_mib=whole("fb_memory_usage/reserved"),
        utilisation_percent=whole("utilization/gpu_util"),
        power_w=_number(text(*(f"{one}/{field}" for one in power for field in ("instant_power_draw", "power_draw")))),
        power_limit_w=_number(
            text(*(f"{one}/{field}" for one in power for field in ("current_power_limit", "power_limit")))
        ),
        temperature_c=whole("temperature/gpu_temp"),
        sm_clock_mhz=whole("clocks/sm_clock"),
        sm_clock_max_mhz=whole("max_clocks/sm_clock"),
        memory_clock_mhz=whole("clocks/mem_clock"),
        performance_state=text("performance_state"),
        held_back_by=_reasons(gpu),
        pcie_generation=whole("pci/pci_gpu_link_info/pcie_gen/current_link_gen"),
        pcie_lanes=whole("pci/pci_gpu_link_info/link_widths/current_link_width"),
        ecc=switch("ecc_mode/current_ecc"),
        ecc_uncorrected=whole("ecc_errors/volatile/dram_uncorrectable"),
        mig=switch("mig_mode/current_mig"),
        processes=tuple(_process(process.findtext) for process in gpu.iterfind("processes/process_info")),
    )


def _process(text: Callable[[str, str], str]) -> GpuProcess:
    memory = _number(text("used_memory", ""))
    return GpuProcess(int(text("pid", "0")), text("process_name", "").strip(), None if memory is None else int(memory))


def _reasons(gpu: ET.Element) -> tuple[str, ...]:
    matches = ((_REASON.fullmatch(element.tag), element.text) for element in gpu.iter())
    names = [match["name"] for match, said in matches if match and (said or "").strip() == "Active"]
    return tuple(name for name in names if name != _AT_REST)


def _number(text: str | None) -> float | None:
    match = _NUMBER.match(text or "")
    return float(match[0]) if match else None

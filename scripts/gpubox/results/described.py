"""What was recorded of an engine, a model, a host and its GPUs, as lines that people read; nothing known is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# Ends of recorded names that say the unit of the value.
UNITS = {"_mib": "MiB", "_mhz": "MHz", "_w": "W", "_c": "°C", "_percent": "%", "_s": "s"}
NAMES = {
    "cpu": "CPU", "ecc": "ECC", "ecc_uncorrected": "ECC errors", "gpu_fault": "GPU fault", "gpu_states": "before the run, GPU",
    "gpus": "GPUs", "mig": "MIG", "n_ctx": "context", "n_params": "parameters", "os": "OS", "pci_bus_id": "bus",
    "pcie_generation": "PCIe generation", "pcie_lanes": "PCIe lanes", "ram": "RAM", "sha256": "SHA-256",
    "sm_clock": "SM clock", "sm_clock_max": "SM clock at most", "unit_sha256": "unit SHA-256", "uuid": "UUID",
}  # fmt: skip  # a table
SIZES = {"size", "memory", "ram"}
_INDENT = "  "


def lines_of(facts: Mapping[str, object]) -> list[str]:
    """Return one `name: value` line for each fact that is known, and one for each element of a list of facts.

    Args:
        facts: a JSON object, as runs keep them of engine, model and host.
    """
    return [line for key, value in facts.items() for line in _lines(key, value)]


def gpu_lines(gpus: Sequence[object]) -> list[str]:
    """Return a line for each GPU: number, name, memory and what tells it from others.

    Args:
        gpus: as `gpubox.nvidia.parse_gpus` returns them, or names alone.
    """
    return [_gpu(gpu) if isinstance(gpu, dict) else str(gpu) for gpu in gpus]


def _gpu(gpu: Mapping[str, object]) -> str:
    rest = {key: value for key, value in gpu.items() if key not in {"index", "name", "memory_bytes", "uuid"}}
    size = gpu.get("memory_bytes")
    parts = [
        str(gpu.get("name") or "unknown"),
        *([_gibibytes(size)] if isinstance(size, int) else []),
        *(f"{_named(key)[0]} {value}" for key, value in rest.items() if _known(value)),
        *([str(gpu["uuid"])] if gpu.get("uuid") else []),
    ]
    return f"{gpu.get('index', '?')}: {', '.join(parts)}"


def _lines(key: str, value: object) -> Iterator[str]:
    if not _known(value):
        return
    name, unit = _named(key)
    if key == "gpus" and isinstance(value, list):
        yield from (f"GPU {line}" if isinstance(value[0], dict) else f"GPU: {line}" for line in gpu_lines(value))
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        yield from (f"{name} {index}: {_inline(item, unit)}" for index, item in enumerate(value))
    elif isinstance(value, dict) and any(isinstance(item, list | dict) for item in value.values()):
        yield f"{name}:"
        yield from (f"{_INDENT}{line}" for line in lines_of(value))
    else:
        yield f"{name}: {_scalar(key, value) if not isinstance(value, list | dict) else _inline(value, unit)}"


def _inline(value: object, unit: str) -> str:
    if isinstance(value, dict):
        return ", ".join(
            f"{_named(key)[0]} {_inline(item, unit) if isinstance(item, list | dict) else _scalar(key, item, unit)}"
            for key, item in value.items()
            if _known(item)
        )
    if isinstance(value, list):
        return ", ".join(_inline(item, unit) for item in value)
    return _scalar("", value, unit)


def _scalar(key: str, value: object, unit: str = "") -> str:
    name, own = _named(key)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and (key.endswith("_bytes") or name in SIZES) and not own:
        return f"{_gibibytes(value)} ({value:,} bytes)"
    if key == "version":
        return str(value).removeprefix("version: ")
    return f"{value} {own or unit}".rstrip()


def _named(key: str) -> tuple[str, str]:
    """Return the name for people of a recorded one, and its unit."""
    end = next((end for end in UNITS if key.endswith(end)), "")
    plain = key.removesuffix(end).removesuffix("_bytes")
    # Names of devices, as CUDA_Host, are nobody's to change.
    return NAMES.get(plain, plain.replace("_", " ") if plain.islower() else plain), UNITS.get(end, "")


def _gibibytes(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"


def _known(value: object) -> bool:
    return value is not None and value not in ("", [], {})

"""The GPUs of this machine, read from NVIDIA's own library (NVML), which costs microseconds a reading.

Names and numbers are those of nvml.h of CUDA 13; a library that lacks a function, as an older driver's does, leaves what it
would have told unknown.
"""

from __future__ import annotations

import ctypes
from ctypes import Structure, byref, c_char_p, c_int, c_uint, c_ulonglong, c_void_p, create_string_buffer
from typing import Any, Self

from gpubox.bench.gpu_readings import GpuReading, reasons_of

LIBRARY = "libnvidia-ml.so.1"
_SM_CLOCK = 1  # NVML_CLOCK_SM
_ON_CHIP = 0  # NVML_TEMPERATURE_GPU
_UUID_LENGTH = 96  # NVML_DEVICE_UUID_V2_BUFFER_SIZE


class _Memory(Structure):
    """nvmlMemory_v2_t, whose `used` is what nvidia-smi shows: without what the driver keeps for itself."""

    _fields_ = [  # as ctypes wants it
        ("version", c_uint),
        ("total", c_ulonglong),
        ("reserved", c_ulonglong),
        ("free", c_ulonglong),
        ("used", c_ulonglong),
    ]


class _Utilization(Structure):
    _fields_ = [("gpu", c_uint), ("memory", c_uint)]  # as ctypes wants it


class Nvml:
    """An open library; close it, or use it as a context manager.

    Args:
        library: its file name.

    Raises:
        OSError: there is no such library, or it finds no driver.
    """

    def __init__(self, library: str = LIBRARY) -> None:
        self._library = ctypes.CDLL(library)
        if self._call("nvmlInit_v2"):
            raise OSError(f"{library} finds no driver")
        count = c_uint()
        self._call("nvmlDeviceGetCount_v2", byref(count))
        self._devices: list[tuple[int, c_void_p, str]] = []
        for index in range(count.value):
            device, uuid = c_void_p(), create_string_buffer(_UUID_LENGTH)
            if self._call("nvmlDeviceGetHandleByIndex_v2", c_uint(index), byref(device)) == 0:
                self._call("nvmlDeviceGetUUID", device, ctypes.cast(uuid, c_char_p), c_uint(_UUID_LENGTH))
                self._devices.append((index, device, uuid.value.decode("ascii", "replace")))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the library go."""
        self._call("nvmlShutdown")

    def read(self) -> list[GpuReading]:
        """Return what each GPU does now; one that is lost is left out."""
        found = (self._reading(index, device, uuid) for index, device, uuid in self._devices)
        return [reading for reading in found if reading is not None]

    def _reading(self, index: int, device: c_void_p, uuid: str) -> GpuReading | None:
        memory, busy, reasons = _Memory(), _Utilization(), c_ulonglong()
        memory.version = ctypes.sizeof(_Memory) | 2 << 24  # NVML_STRUCT_VERSION(Memory, 2)
        knows_memory = self._call("nvmlDeviceGetMemoryInfo_v2", device, byref(memory)) == 0
        knows_busy = self._call("nvmlDeviceGetUtilizationRates", device, byref(busy)) == 0
        power = self._number("nvmlDeviceGetPowerUsage", device)
        clock = self._number("nvmlDeviceGetClockInfo", device, c_int(_SM_CLOCK))
        temperature = self._number("nvmlDeviceGetTemperature", device, c_int(_ON_CHIP))
        if not knows_memory and not knows_busy and power is None and clock is None and temperature is None:
            return None  # NVML_ERROR_GPU_IS_LOST, to every question
        # Newer drivers call the reasons for a low clock `event`, older ones `throttle`.
        for name in ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"):
            if self._call(name, device, byref(reasons)) == 0:
                break
        return GpuReading(
            index=index,
            uuid=uuid,
            memory_mib=memory.used / 2**20 if knows_memory else None,
            utilisation=float(busy.gpu) if knows_busy else None,
            power_w=None if power is None else power / 1e3,
            sm_mhz=None if clock is None else float(clock),
            temperature_c=None if temperature is None else float(temperature),
            throttled_by=reasons_of(reasons.value),
        )

    def _number(self, name: str, device: c_void_p, *which: c_int) -> int | None:
        value = c_uint()
        return value.value if self._call(name, device, *which, byref(value)) == 0 else None

    def _call(self, name: str, *arguments: Any) -> int:  # noqa: ANN401  # ctypes' own
        """Call a function; return its status, 0 for success and -1 where the library has no such function."""
        try:
            function = getattr(self._library, name)
        except AttributeError:
            return -1
        return int(function(*arguments))

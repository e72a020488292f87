"""How busy the GPU is, from NVIDIA's own library; nothing where there is none."""

from typing import NamedTuple

import pynvml
import torch


class GpuUse(NamedTuple):
    """What one device does now."""

    busy: float
    """Share of the last second in which a kernel ran, 0 to 1."""
    memory_gb: float
    """Memory in use on the device, GB."""


class GpuMeter:
    """Reads one device. `read` gives None on a machine without one."""

    def __init__(self, device: torch.device) -> None:
        self._handle = None
        if device.type == "cuda":
            try:
                pynvml.nvmlInit()
                uuid = torch.cuda.get_device_properties(device).uuid
                self._handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
            except pynvml.NVMLError:  # driver without NVML, MIG slices, other vendors: training goes on unmeasured
                self._handle = None

    def read(self) -> GpuUse | None:
        if self._handle is None:
            return None
        try:
            busy = int(pynvml.nvmlDeviceGetUtilizationRates(self._handle).gpu)
            used = int(pynvml.nvmlDeviceGetMemoryInfo(self._handle).used)
        except pynvml.NVMLError:
            return None
        return GpuUse(busy / 100, used / 1e9)

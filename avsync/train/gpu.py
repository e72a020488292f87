"""How busy the GPU is, from NVIDIA's own library; nothing where there is none."""

import threading
from contextlib import suppress
from typing import Any, NamedTuple, Self

import pynvml
import torch

LOOK_S = 1.0
"""Of so much time NVIDIA's library tells."""


class GpuUse(NamedTuple):
    """What a device does."""

    busy: float
    """Share of time in which a kernel ran, 0 to 1."""
    memory_gb: float
    """Memory in use on the device, GB."""


class GpuMeter:
    """Looks at one device every second, whatever the run is at: as a site does. Use as a context manager.

    `read` gives None on a machine without one.
    """

    def __init__(self, device: torch.device) -> None:
        self._handle: Any = None
        self._samples, self._left = list[float](), threading.Event()
        self._thread = threading.Thread(target=self._look, name="avsync-gpu", daemon=True)
        if device.type == "cuda":
            try:
                pynvml.nvmlInit()
                uuid = torch.cuda.get_device_properties(device).uuid
                self._handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
            except pynvml.NVMLError:  # driver without NVML, MIG slices, other vendors: training goes on unmeasured
                self._handle = None

    def __enter__(self) -> Self:
        if self._handle is not None:
            with suppress(RuntimeError):  # no thread more may be started: then it looks when it is asked
                self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()

    def read(self) -> GpuUse | None:
        """Since the last time."""
        if self._handle is None:
            return None
        samples, self._samples = self._samples, []
        try:
            busy = sum(samples) / len(samples) if samples else self._busy()
            used = int(pynvml.nvmlDeviceGetMemoryInfo(self._handle).used)
        except pynvml.NVMLError:
            return None
        return GpuUse(busy, used / 1e9)

    def _busy(self) -> float:
        return int(pynvml.nvmlDeviceGetUtilizationRates(self._handle).gpu) / 100

    def _look(self) -> None:
        while not self._left.wait(LOOK_S):
            try:
                self._samples.append(self._busy())
            except pynvml.NVMLError:
                continue

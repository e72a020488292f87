"""What the GPU's meter says. NVIDIA's library is played here, because few machines that run the tests have a GPU; the
calls and their fields are those of its documentation. A machine with a GPU checks the real ones.
"""

from collections.abc import Callable
from types import SimpleNamespace

import pynvml
import pytest
import torch

from avsync.train.gpu import GpuMeter, GpuUse

CUDA = torch.device("cuda")


def fail(*_: object) -> None:
    raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """One GPU of known name, 37 % busy, with 2.5 GB in use; calls given by name replace its own."""

    def play(**calls: Callable) -> None:
        library = {
            "nvmlInit": lambda: None,
            "nvmlDeviceGetHandleByUUID": lambda uuid: {"GPU-1234": "handle"}[uuid],
            "nvmlDeviceGetUtilizationRates": lambda handle: {"handle": SimpleNamespace(gpu=37, memory=80)}[handle],
            "nvmlDeviceGetMemoryInfo": lambda handle: {"handle": SimpleNamespace(used=2_500_000_000, total=80e9)}[
                handle
            ],
        }
        for name, call in (library | calls).items():
            monkeypatch.setattr(pynvml, name, call)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(uuid="1234"))

    return play


def test_busy_is_a_share_and_memory_is_in_gigabytes(played):
    played()
    assert GpuMeter(CUDA).read() == GpuUse(busy=0.37, memory_gb=2.5)


@pytest.mark.parametrize("call", ["nvmlInit", "nvmlDeviceGetHandleByUUID"])
def test_a_gpu_that_cannot_be_found_is_not_measured(played, call):
    played(**{call: fail})
    assert GpuMeter(CUDA).read() is None


@pytest.mark.parametrize("call", ["nvmlDeviceGetUtilizationRates", "nvmlDeviceGetMemoryInfo"])
def test_a_gpu_that_does_not_answer_costs_one_point_of_the_curve_and_no_more(played, call):
    answers = []

    def once(handle: str) -> SimpleNamespace:
        answers.append(handle)
        if len(answers) == 1:
            fail()
        return SimpleNamespace(gpu=50, used=1e9)

    played(**{call: once})
    meter = GpuMeter(CUDA)
    assert meter.read() is None
    assert meter.read() is not None


def test_a_cpu_is_not_measured():
    assert GpuMeter(torch.device("cpu")).read() is None


@pytest.mark.gpu
def test_a_real_gpu_holds_what_it_was_given():
    meter = GpuMeter(CUDA)
    held = torch.zeros(2**28, dtype=torch.uint8, device=CUDA)
    use = meter.read()
    if use is None:
        pytest.skip("this GPU's driver does not measure it")
    assert 0 <= use.busy <= 1
    assert use.memory_gb > held.nbytes / 1e9

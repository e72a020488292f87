"""A training step under a setting, made of the trainer's own parts; and how long it takes."""

import statistics
import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from fractions import Fraction
from itertools import pairwise

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from avsync.config import OptimConfig
from avsync.data.batch import Batch
from avsync.data.order import Draw, View
from avsync.data.pairs import Pair, SoundWindow
from avsync.data.transforms import NetworkInput, prepare, to_rgb
from avsync.models import MODELS, build_model
from avsync.models.parts import SyncOutput
from avsync.models.stem import use_fast_stem
from avsync.run.network import compile_network
from avsync.spec import InputSpec
from avsync.train.step import build_optimizer, score
from benchmarks.train.settings import Case, Computed, Setting
from sharding.format.clip import Clock

OPTIM = OptimConfig()
WARM_STEPS = 3
STEPS = (5, 60)
"""Least and most that are timed."""
PROFILED_STEPS = 3


class Stepper:
    """Network, optimiser and everything around them, from a batch on the device to new weights."""

    def __init__(self, case: Case, spec: InputSpec, view: View, device: torch.device) -> None:
        self.setting, self.view, self.device = case.setting, view, device
        set_precision(case.setting)
        torch.manual_seed(0)
        network = build_model(case.network, spec)
        if case.setting.stem:
            use_fast_stem(network)
        if case.setting.channels_last:
            network.to(memory_format=torch.channels_last_3d)  # pyright: ignore[reportCallIssue]
        network.to(device).train()
        self.weights = list(network.parameters())
        self.optimizer = build_optimizer(self.weights, OPTIM)
        if case.setting.fused:
            self.optimizer = torch.optim.SGD(
                self.weights, OPTIM.lr, momentum=0.9, weight_decay=OPTIM.weight_decay, fused=True
            )
        self.model: Callable[..., SyncOutput] = network
        self.convert = to_rgb
        if case.setting.compiled:
            torch.compiler.reset()
            self.model = compile_network(network)
            self.convert = torch.compile(to_rgb, dynamic=False)

    def __call__(self, batch: Batch) -> Tensor:
        """One optimiser step; what the trainer sums up for its curves."""
        given = self._laid_out(prepare(batch, self.view, convert=self.convert))
        with autocast(self.setting, self.device):
            out = self.model(given.frames, given.sounds)
        logit = out.logit.view(batch.in_sync.shape)
        result = score(logit, batch.in_sync, batch.valid)
        result.objective.backward()
        torch.nn.utils.clip_grad_norm_(self.weights, OPTIM.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return torch.stack((result.loss * result.examples, result.correct, result.examples))

    def _laid_out(self, given: NetworkInput) -> NetworkInput:
        frames, sounds = given
        if self.setting.channels_last and not self.setting.stem:  # the stem moves the pixels itself
            frames = frames.contiguous(memory_format=torch.channels_last_3d)
        if self.setting.per_example:
            frames, sounds = frames.repeat_interleave(sounds.shape[1], dim=0), sounds.flatten(0, 1).unsqueeze(1)
        return NetworkInput(frames, sounds)


def autocast(setting: Setting, device: torch.device) -> AbstractContextManager[object]:
    """Inside, networks compute in the setting's precision."""
    if setting.precision != "bf16":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def set_precision(setting: Setting) -> None:
    """What torch keeps for the whole process."""
    tf32 = setting.precision != "ieee"
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = setting.tuned


def spec_of(frames: int, view: View, fps: int = 30, sample_rate: int = 44_100) -> InputSpec:
    """The sizes of the thesis's windows, for 120 frames of 224 pixels."""
    clock = Clock(fps=Fraction(fps), sample_rate=sample_rate)
    size, samples = {"height": view.out_height, "width": view.out_width}, clock.sample_at(frames)
    return InputSpec(frames=frames, **size, samples=samples, channels=1, clock=clock)


def resident_batch(clips: int, spec: InputSpec, view: View, device: torch.device, sounds: int = 2) -> Batch:
    """Random bytes on the device, cut and mirrored as in training: each clip with one sound of its own, others not."""
    torch.manual_seed(1)
    pair = Pair(0, tuple(SoundWindow(60 * number, 0, not number) for number in range(sounds)))
    rows = (spec.frames, view.height * 3 // 2, view.width)
    corners = [(2 * (row % 5), 2 * (row % 7)) for row in range(clips)]
    most = view.height - view.crop_height, view.width - view.crop_width
    return Batch(
        keys=("",) * clips,
        jsons=(None,) * clips,
        draws=tuple(
            Draw(0, pair, min(top, most[0]), min(left, most[1]), flip=bool(row % 2))
            for row, (top, left) in enumerate(corners)
        ),
        yuv=torch.randint(0, 256, (clips, *rows), dtype=torch.uint8, device=device),
        audio=torch.randint(-(2**15), 2**15, (clips, sounds, spec.samples, 1), dtype=torch.int16, device=device),
        in_sync=torch.tensor([[1.0, *[0.0] * (sounds - 1)]], device=device).expand(clips, sounds),
        matrix=torch.zeros(clips, dtype=torch.long, device=device),
        valid=torch.ones(clips, dtype=torch.bool, device=device),
    )


def flops_of(network: str, spec: InputSpec, sounds: int = 2) -> int:
    """Operations that a clip's step needs, forward and backward; a multiply-add is two. Counted without numbers."""
    with torch.device("meta"):
        net = MODELS[network](spec).train()
        frames = torch.empty(1, 3, spec.frames, spec.height, spec.width)
        heard = torch.empty(1, sounds, spec.channels, spec.samples)
    with FlopCounterMode(display=False) as counter:
        net(frames, heard).logit.sum().backward()
    return counter.get_total_flops()


def measure(case: Case, step: Callable[[], object], device: torch.device, seconds: float, flops: int) -> Computed:
    """Time a step that has not run yet. `flops` for a clip."""
    first_s, cuda = timed(step, device), device.type == "cuda"
    guess = min(timed(step, device) for _ in range(WARM_STEPS))
    if cuda:
        torch.cuda.reset_peak_memory_stats(device)
    count = min(max(STEPS[0], round(seconds / guess)), STEPS[1])
    step_s = statistics.median(step_times(step, device, count))
    return Computed(
        case=case,
        step_s=step_s,
        peak_gb=torch.cuda.max_memory_allocated(device) / 1e9 if cuda else None,
        launch_s=launch_time(step, device),
        kernels_s=kernel_time(step, device) if cuda else None,
        waits=host_waits(step, device) if cuda else None,
        first_s=first_s,
        tflops=flops * case.batch / step_s / 1e12,
    )


def settle(device: torch.device) -> None:
    """Until the device has nothing left to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def timed(step: Callable[[], object], device: torch.device) -> float:
    """Seconds of one step, by itself."""
    settle(device)
    start = time.perf_counter()
    step()
    settle(device)
    return time.perf_counter() - start


def step_times(step: Callable[[], object], device: torch.device, count: int) -> list[float]:
    """Seconds from step to step in a row of them, by the device's own clock; the host is ahead, as in training."""
    if device.type != "cuda":
        return [timed(step, device) for _ in range(count)]
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(count + 1)]
    settle(device)
    marks[0].record()
    for mark in marks[1:]:
        step()
        mark.record()
    settle(device)
    return [before.elapsed_time(after) / 1e3 for before, after in pairwise(marks)]


def launch_time(step: Callable[[], object], device: torch.device) -> float:
    """Seconds until the host has asked for everything; the median of five."""
    taken = []
    for _ in range(5):
        settle(device)
        start = time.perf_counter()
        step()
        taken.append(time.perf_counter() - start)
    settle(device)
    return statistics.median(taken)


def kernel_time(step: Callable[[], object], device: torch.device) -> float | None:
    """Seconds of a step in which at least one kernel runs, by the profiler. None where it sees none."""
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        for _ in range(PROFILED_STEPS):
            step()
        settle(device)
    spans = sorted(
        (event.time_range.start, event.time_range.end)
        for event in profiled.events() or []
        if event.device_type.name == "CUDA" and not getattr(event, "is_user_annotation", False)
    )
    return covered(spans) / 1e6 / PROFILED_STEPS or None


def covered(spans: list[tuple[float, float]]) -> float:
    """Length of the union of spans (start, end), sorted."""
    total, reached = 0.0, float("-inf")
    for start, end in spans:
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def host_waits(step: Callable[[], object], device: torch.device) -> int:
    """How often in a step the host waits for the device: each time, the kernels that follow come late."""
    settle(device)
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchronizing" in str(warning.message) for warning in warned)

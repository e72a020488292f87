"""A network's answers about a file's pictures with its own sound moved: one pass, bounded memory.

The pictures of a window are looked at once. The sound from each frame on is heard once, and set against every window
that it is a candidate for. Only sound that the file has counts: a window is never filled up with silence.

n windows, D offsets, T frames of a window, S samples, C channels, K sounds of one pass.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, floor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avsync.confidence.file_evidence import ScoreEvidence, decibels, mean_motion, offset_step, usual_hop
from avsync.localize.windows import Window, as_input, form_of, read_windows
from avsync.run.network import LoadedNetwork
from avsync.score.config import ScoreConfig
from sharding.errors import InputError
from sharding.format.clip import Clock
from sharding.format.crop import Where
from sharding.media.probe import Probe


@dataclass(frozen=True, kw_only=True, slots=True)
class WindowPlan:
    """Which windows are looked at."""

    first: int
    """Frame at which the picture begins."""
    starts: tuple[int, ...]
    """Frames after it; empty when the file is shorter than a window."""
    reach: int
    """Largest offset, frames."""
    step: int
    """From one offset to the next, frames."""
    sound: range
    """Frames from whose beginning on there is sound for a whole window."""

    @property
    def offsets(self) -> range:
        return range(-self.reach, self.reach + 1, self.step)


def check_tolerance(network: LoadedNetwork, config: ScoreConfig) -> None:
    """Raises InputError for a tolerance that offsets as far apart as ours cannot tell."""
    fps = network.dataset.clock.fps
    step_ms = float(offset_step(fps) / fps) * 1000
    if min(config.early_ms, config.late_ms) < step_ms / 4:
        raise InputError(
            f"--early-ms {config.early_ms:g} and --late-ms {config.late_ms:g} are finer than this network can tell: "
            f"offsets are tried {step_ms:.0f} ms apart; give at least {ceil(step_ms / 4)}"
        )


def plan_windows(source: Probe, network: LoadedNetwork, config: ScoreConfig, shown: range) -> WindowPlan:
    """Windows that lie inside the frames `shown`, spread evenly over them."""
    fps, length = network.dataset.clock.fps, network.spec.frames
    step = offset_step(fps)
    reach = floor(config.reach_s * float(fps)) // step * step
    last = len(shown) - length
    hop = round((config.hop_s or usual_hop(len(shown) / float(fps), length / float(fps))) * float(fps))
    starts = range(0, last + 1, max(1, hop))
    if len(starts) > 1:  # the last one ends with the picture
        starts = np.linspace(0, last, len(starts)).round().astype(int).tolist()
    sound_first = ceil(source.audio.start * fps - 1)  # a frame may be missing at either end: codecs cut so much
    sound_stop = floor(source.audio.end * fps + 1)
    return WindowPlan(
        first=shown.start,
        starts=tuple(starts),
        reach=reach,
        step=step,
        sound=range(sound_first, sound_stop - length + 1),
    )


@torch.inference_mode()
def listen(
    network: LoadedNetwork,
    source: Probe,
    plan: WindowPlan,
    device: torch.device,
    advance: Callable[[], object],
    where: Where | None = None,
) -> ScoreEvidence:
    """Ask the network about every window and offset of `plan`; `advance` is called after each window. `where`: the part
    of the picture that it is shown, if not all of it.

    Raises RejectError.
    """
    clock, length = network.dataset.clock, network.spec.frames
    ear = _Ear(network, source, plan, device)
    rows, loudness, motion, peaks = list[NDArray[np.float32]](), list[float](), list[float](), list[float]()
    starts = plan.starts
    windows = read_windows(source, form_of(network), plan.first, starts, length, plan.reach, where) if starts else ()
    for number, window in enumerate(windows):
        rows.append(ear.ask(window))
        own = ear.own_sound(window)
        loudness.append(decibels(own))
        motion.append(mean_motion(window.yuv))
        until = starts[number + 1] - window.start if number + 1 < len(starts) else length
        peaks += _peaks(own, clock, min(until, length))
        peaks += [0.0] * max(0, until - length)
        advance()
    return ScoreEvidence(
        clock=clock,
        window=length,
        starts=np.array(starts, np.int64) + plan.first,
        offsets=np.array(plan.offsets, np.int64),
        logit=np.array(rows, np.float32).reshape(len(rows), len(plan.offsets)),
        loudness_db=np.array(loudness, np.float32),
        motion=np.array(motion, np.float32),
        peaks=np.array(peaks, np.float32),
    )


class _Ear:
    """The sound from each frame on, as the network's sound part hears it, kept as long as a window may ask for it."""

    BATCH = 16
    """Sounds, and pairs, of one pass."""

    def __init__(self, network: LoadedNetwork, source: Probe, plan: WindowPlan, device: torch.device) -> None:
        self._network, self._source, self._plan, self._device = network, source, plan, device
        self._clock, self._samples = network.dataset.clock, network.dataset.clock.sample_at(network.spec.frames)
        self._heard: dict[int, Tensor] = {}

    def ask(self, window: Window) -> NDArray[np.float32]:
        """(D,) logits of one window."""
        start, plan, model = self._plan.first + window.start, self._plan, self._network.model
        wanted = [start + offset for offset in plan.offsets if start + offset in plan.sound]
        self._heard = {frame: heard for frame, heard in self._heard.items() if frame >= start - plan.reach}
        row = np.full(len(plan.offsets), np.nan, np.float32)
        if not wanted:
            return row
        new = [frame for frame in wanted if frame not in self._heard]
        seen: Tensor | None = None
        for first in range(0, max(1, len(new)), self.BATCH):
            some = new[first : first + self.BATCH]
            sounds = np.stack([self._cut(window, frame) for frame in some or [start]])
            given = as_input(window.yuv, sounds, self._source, self._network, self._device)
            if seen is None:
                seen = model.video(given.frames)
            if some:
                self._heard.update(zip(some, model.audio(given.sounds[0]), strict=True))
        assert seen is not None
        columns = [(frame - start + plan.reach) // plan.step for frame in wanted]
        for first in range(0, len(wanted), self.BATCH):
            some = wanted[first : first + self.BATCH]
            heard = torch.stack([self._heard[frame] for frame in some])
            output = model.fused(seen.expand(len(some), *seen.shape[1:]), heard)
            row[columns[first : first + self.BATCH]] = output.logit.float().cpu().numpy()
        return row

    def own_sound(self, window: Window) -> NDArray[np.int16]:
        """(S, C): what is heard with the window's pictures."""
        return self._cut(window, self._plan.first + window.start)

    def _cut(self, window: Window, frame: int) -> NDArray[np.int16]:
        """(S, C): a window of sound from `frame` on."""
        begin = self._clock.sample_at(self._plan.first + window.start - self._plan.reach)
        first = self._clock.sample_at(frame) - begin
        return window.audio[first : first + self._samples]


def _peaks(sound: NDArray[np.int16], clock: Clock, frames: int) -> list[float]:
    edges = [clock.sample_at(frame) for frame in range(frames)]
    loud = np.abs(sound.astype(np.float32)).max(axis=1)
    return (np.maximum.reduceat(loud, edges) / 32768).tolist() if edges else []

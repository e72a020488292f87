"""A network's answers about a file's pictures with its own sound moved: one pass, bounded memory.

The file is decoded once, however many faces are asked about. The pictures of a window are looked at once. The sound
from each frame on is heard once, and set against every window that it is a candidate for. Only sound that the file has
counts: a window is never filled up with silence.

n windows, D offsets, T frames of a window, S samples, C channels, K sounds of one pass.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from math import ceil, floor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avsync.confidence.file_evidence import ScoreEvidence, decibels, mean_motion, offset_step, usual_hop
from avsync.localize.windows import Cut, Window, as_input, form_of, read_windows
from avsync.run.network import LoadedNetwork
from avsync.score.config import ScoreConfig
from sharding.base.ahead import ahead
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


AHEAD = 4
"""Windows that are heard while the pictures of those before are looked at: two halves of the work, a core for each."""
Asked = tuple[WindowPlan, Where | None]
"""Windows of one part of the picture; None: of all of it."""


@torch.inference_mode()
def listen(
    network: LoadedNetwork,
    source: Probe,
    parts: Sequence[Asked],
    device: torch.device,
    advance: Callable[[], object],
) -> list[ScoreEvidence]:
    """Ask the network about every window and offset of each part; `advance` is called after each window.

    Raises RejectError.
    """
    heard = _Heard(network, source, device)
    ears = [_Ear(heard, plan) for plan, _ in parts]
    cuts = [Cut(first=plan.first, starts=plan.starts, where=where) for plan, where in parts]
    reach = max((plan.reach for plan, _ in parts), default=0)
    with closing(
        ahead(_heard_windows(read_windows(source, form_of(network), cuts, network.spec.frames, reach), ears), AHEAD)
    ) as windows:
        for number, window, sounds in windows:
            ears[number].add(window, sounds)
            advance()
    return [ear.evidence() for ear in ears]


def _heard_windows(
    windows: Generator[tuple[int, Window]], ears: "Sequence[_Ear]"
) -> Generator[tuple[int, Window, Tensor | None]]:
    """Each window with the sounds that are its candidates, as the network hears them."""
    with closing(windows):
        for number, window in windows:
            with torch.inference_mode():  # each thread has its own
                sounds = ears[number].hear(window)
            yield number, window, sounds


class _Heard:
    """The sound from each frame on, as the network's sound part hears it, kept as long as a window may ask for it.

    Faces that are there together hear the same.
    """

    BATCH = 32
    """Sounds of one pass."""

    def __init__(self, network: LoadedNetwork, source: Probe, device: torch.device) -> None:
        self.network, self._source, self._device = network, source, device
        self._kept: dict[int, Tensor] = {}
        self._shared: dict[int, Tensor] = {}

    def look(self, window: Window) -> Tensor:
        """(1, c, t, h, w): the pictures of one window, as the network's picture part sees them."""
        silence = np.zeros((1, *window.audio[:1].shape), np.int16)
        return self.network.model.video(as_input(window.yuv, silence, self._source, self.network, self._device).frames)

    def hear(self, audio: NDArray[np.int16], begin: int, frames: Sequence[int]) -> Tensor:
        """(K, c, t) from each of `frames` on, out of a window's sound, (S, C), that begins at sample `begin`."""
        clock, model, new = (
            self.network.dataset.clock,
            self.network.model,
            [one for one in frames if one not in self._kept],
        )
        samples, mute = clock.sample_at(self.network.spec.frames), self.network.config.pairs.mute_samples
        sound = torch.from_numpy(audio).to(self._device).T * (1 / 32768)
        for first in range(0, len(new), self.BATCH):
            some = new[first : first + self.BATCH]
            starts = [clock.sample_at(frame) - begin for frame in some]
            if mute:
                heard = model.audio(_muted(sound, starts, samples, mute))
            else:
                heard = model.hear(sound, starts, samples, self._shared, begin)
            self._kept.update(zip(some, heard, strict=True))
        return torch.stack([self._kept[frame] for frame in frames])

    def forget_before(self, frame: int) -> None:
        """Nobody asks for what is earlier."""
        self._kept = {known: heard for known, heard in self._kept.items() if known >= frame}
        first = self.network.dataset.clock.sample_at(frame)
        self._shared = {known: heard for known, heard in self._shared.items() if known >= first}


def _muted(sound: Tensor, starts: Sequence[int], samples: int, mute: int) -> Tensor:
    """(K, C, S) with the first `mute` samples of each silent, as such a network was trained."""
    sounds = torch.stack([sound[:, start : start + samples] for start in starts])
    sounds[..., :mute] = 0
    return sounds


class _Ear:
    """What is found about the windows of one part, one after the other."""

    def __init__(self, heard: _Heard, plan: WindowPlan) -> None:
        self._heard, self._plan = heard, plan
        self._clock, self._length = heard.network.dataset.clock, heard.network.spec.frames
        self._rows, self._peaks = list[NDArray[np.float32]](), list[float]()
        self._loudness, self._motion = list[float](), list[float]()

    def add(self, window: Window, sounds: Tensor | None) -> None:
        """The next one, with what `hear` made of it."""
        starts, number = self._plan.starts, len(self._rows)
        self._rows.append(self._ask(window, sounds))
        own = self._cut(window, self._plan.first + window.start)  # what is heard with the window's pictures
        self._loudness.append(decibels(own))
        self._motion.append(mean_motion(window.yuv))
        until = starts[number + 1] - window.start if number + 1 < len(starts) else self._length
        self._peaks += _peaks(own, self._clock, min(until, self._length))
        self._peaks += [0.0] * max(0, until - self._length)

    def evidence(self) -> ScoreEvidence:
        """Of all of them."""
        plan = self._plan
        return ScoreEvidence(
            clock=self._clock,
            window=self._length,
            starts=np.array(plan.starts, np.int64) + plan.first,
            offsets=np.array(plan.offsets, np.int64),
            logit=np.array(self._rows, np.float32).reshape(len(self._rows), len(plan.offsets)),
            loudness_db=np.array(self._loudness, np.float32),
            motion=np.array(self._motion, np.float32),
            peaks=np.array(self._peaks, np.float32),
        )

    def hear(self, window: Window) -> Tensor | None:
        """(K, c, t): its candidates; None where the file has no sound for any."""
        start = self._plan.first + window.start
        self._heard.forget_before(start - self._plan.reach)
        wanted = self._wanted(start)
        begin = self._clock.sample_at(start - self._plan.reach)
        return self._heard.hear(window.audio, begin, wanted) if wanted else None

    def _wanted(self, start: int) -> list[int]:
        """Frames from which on the sound is a candidate for the pictures from `start` on."""
        return [start + offset for offset in self._plan.offsets if start + offset in self._plan.sound]

    def _ask(self, window: Window, sounds: Tensor | None) -> NDArray[np.float32]:
        """(D,) logits of one window."""
        start, plan = self._plan.first + window.start, self._plan
        row = np.full(len(plan.offsets), np.nan, np.float32)
        if sounds is not None:
            columns = [(frame - start + plan.reach) // plan.step for frame in self._wanted(start)]
            row[columns] = self._heard.network.model.logits(self._heard.look(window), sounds).float().cpu().numpy()
        return row

    def _cut(self, window: Window, frame: int) -> NDArray[np.int16]:
        """(S, C): a window of sound from `frame` on."""
        begin = self._clock.sample_at(self._plan.first + window.start - self._plan.reach)
        first = self._clock.sample_at(frame) - begin
        return window.audio[first : first + self._clock.sample_at(self._length)]


def _peaks(sound: NDArray[np.int16], clock: Clock, frames: int) -> list[float]:
    edges = [clock.sample_at(frame) for frame in range(frames)]
    loud = np.abs(sound.astype(np.float32)).max(axis=1)
    return (np.maximum.reduceat(loud, edges) / 32768).tolist() if edges else []

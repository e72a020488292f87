"""A video file as a trained network wants to see it: overlapping windows, prepared exactly as in training.

One pass over the file; memory holds one window. T frames of a window, R = H*3/2 rows of I420, S samples, C channels.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from avsync.config import TrainConfig
from avsync.data.batch import Batch
from avsync.data.order import Draw, View
from avsync.data.pairs import Pair, SoundWindow
from avsync.data.transforms import MATRICES, NetworkInput, prepare
from avsync.spec import InputSpec
from sharding.base.ahead import ahead
from sharding.format.clip import Box, Clock, Fit
from sharding.format.crop import Where
from sharding.format.index import DatasetInfo
from sharding.media.decode import OutputSpec, read_sound, read_views
from sharding.media.probe import Probe

AHEAD = 4
"""Pieces that are decoded while the network looks at the ones before."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Window:
    """What is seen and heard from one frame on."""

    start: int
    """First frame, on the network's clock, from the video's first picture on."""
    yuv: NDArray[np.uint8]
    """(T, R, W)"""
    audio: NDArray[np.int16]
    """(S, C); with a reach, as many frames of sound more at either end"""


def frames_of(source: Probe, clock: Clock) -> range:
    """Frame numbers on the network's clock during which the video has a picture."""
    first = max(0, floor(source.video.start * clock.fps))
    return range(first, max(first + 1, ceil(source.video.end * clock.fps)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """Windows of one part of the picture."""

    first: int
    """Frame from which `starts` are counted."""
    starts: Sequence[int]
    """Ascending."""
    where: Where | None = None
    """The part of the picture; None: all of it."""


def read_windows(
    source: Probe, form: OutputSpec, cuts: Sequence[Cut], length: int, reach: int = 0
) -> Generator[tuple[int, Window]]:
    """Windows of `length` frames, each with the number of the cut it is of, in the order in which they end.

    The file is decoded once for all cuts, ahead of who uses the windows. Their sound begins `reach` frames earlier and
    ends as many later. Beyond the ends of the file the first and last pictures stay and there is silence. Raises
    RejectError.
    """
    due = sorted((cut.first + start, number, start) for number, cut in enumerate(cuts) for start in cut.starts)
    if not due:
        return
    clock, sound = form.clock, _Sound(form.channels)
    pieces, shown = _pieces(cuts, length)
    heard = [due[0][0] - reach, *dict.fromkeys(begin + length + reach for begin, _, _ in due)]
    stretches = [range(low, high) for low, high in pairwise(heard)]
    where = [[cuts[number].where for number in numbers] for numbers in shown]
    kept = [np.empty((0, form.height * 3 // 2, form.width), np.uint8) for _ in cuts]
    waiting, last = deque(due), {number: begin for begin, number, _ in due}
    with (
        closing(ahead(read_views(source, pieces, form, where), AHEAD)) as pictures,
        closing(ahead(read_sound(source, stretches, form), AHEAD)) as sounds,
    ):
        to_hear = zip(stretches, sounds, strict=False)
        for piece, numbers, views in zip(pieces, shown, pictures, strict=True):
            for number, view in zip(numbers, views, strict=True):
                kept[number] = np.concatenate((kept[number], view))[-length:]
            while waiting and waiting[0][0] + length == piece.stop:
                begin, number, start = waiting.popleft()
                position = clock.sample_at(begin - reach)
                samples = clock.sample_at(begin + reach) + clock.sample_at(length) - position
                while sound.stop < position + samples and (more := next(to_hear, None)) is not None:
                    sound.add(clock.sample_at(more[0].start), more[1])
                window = Window(start=start, yuv=kept[number], audio=sound.take(position, samples))
                if begin == last[number]:  # a film has thousands of parts: one that is over holds nothing
                    kept[number] = kept[number][:0].copy()
                yield number, window
                del window


def _pieces(cuts: Sequence[Cut], length: int) -> tuple[list[range], list[list[int]]]:
    """Stretches of frames between which no window begins or ends, and the cuts of whose windows each is part."""
    spans = [(number, cut.first + start) for number, cut in enumerate(cuts) for start in cut.starts]
    edges = sorted({edge for _, begin in spans for edge in (begin, begin + length)})
    inside = {edge: set[int]() for edge in edges}
    for number, begin in spans:
        for edge in edges[bisect_left(edges, begin) : bisect_left(edges, begin + length)]:
            inside[edge].add(number)
    pieces = [(range(low, high), sorted(inside[low])) for low, high in pairwise(edges) if inside[low]]
    return [piece for piece, _ in pieces], [numbers for _, numbers in pieces]


class _Sound:
    """Pieces of sound by position. Where frames are no whole number of samples, pieces may miss each other by one."""

    def __init__(self, channels: int) -> None:
        self._start = 0
        self._samples = np.empty((0, channels), np.int16)

    @property
    def stop(self) -> int:
        """Position behind the last sample."""
        return self._start + len(self._samples)

    def add(self, position: int, piece: NDArray[np.int16]) -> None:
        if not len(self._samples):
            self._start = position
        gap = position - self._start - len(self._samples)
        parts = [self._samples[: len(self._samples) + min(0, gap)], np.repeat(piece[:1], max(0, gap), axis=0), piece]
        self._samples = np.concatenate(parts)

    def take(self, position: int, count: int) -> NDArray[np.int16]:
        """`count` samples from `position` on; what lies before is forgotten."""
        self._samples = self._samples[position - self._start :]
        self._start = position
        missing = max(0, count - len(self._samples))
        return np.pad(self._samples[:count], ((0, missing), (0, 0)), mode="edge")


class ShownAsTrained(Protocol):
    """What a network was trained on: a sync network, or one that sees by it."""

    @property
    def config(self) -> TrainConfig: ...
    @property
    def spec(self) -> InputSpec: ...
    @property
    def dataset(self) -> DatasetInfo: ...


def form_of(network: ShownAsTrained) -> OutputSpec:
    """How clips of the network's dataset were decoded."""
    data = network.dataset
    return OutputSpec(clock=data.clock, width=data.width, height=data.height, channels=data.channels, fit=data.fit)


def view_of(network: ShownAsTrained) -> View:
    """What the network sees of the stored picture: the central crop."""
    return View.build(network.config.view, network.dataset.height, network.dataset.width)


def seen_box(network: ShownAsTrained, width: int, height: int) -> Box:
    """The same as fractions of the video's picture, `width` x `height` in square pixels; bars lie beyond 0 to 1."""
    view = view_of(network)
    top, left = view.centre()
    across, down = _stored_part(network.dataset.fit, width / height, view.width / view.height)
    x0, x1 = (0.5 + (edge / view.width - 0.5) * across for edge in (left, left + view.crop_width))
    y0, y1 = (0.5 + (edge / view.height - 0.5) * down for edge in (top, top + view.crop_height))
    return x0, y0, x1, y1


def _stored_part(fit: Fit, shown: float, stored: float) -> tuple[float, float]:
    """Width and height of the stored picture, in widths and heights of the shown one; both given by their shape."""
    if fit == "squash":
        return 1.0, 1.0
    wider = shown > stored
    if wider == (fit == "crop"):
        return stored / shown, 1.0  # crop cuts the sides of a wide picture, pad puts bars beside a narrow one
    return 1.0, shown / stored


def as_input(
    yuv: NDArray[np.uint8], sounds: NDArray[np.int16], source: Probe, network: ShownAsTrained, device: torch.device
) -> NetworkInput:
    """Pictures (T, R, W) and sounds (K, S, C) of one window through the transforms of training.

    -> frames (1, 3, T, h, w), sounds (1, K, C, S)
    """
    view = view_of(network)
    top, left = view.centre()
    pair = Pair(0, tuple(SoundWindow(0, 0, in_sync=True) for _ in sounds))
    batch = Batch(
        keys=(source.path.name,),
        jsons=(None,),
        draws=(Draw(0, pair, top, left, False),),
        yuv=torch.from_numpy(yuv).unsqueeze(0),
        audio=torch.from_numpy(sounds).unsqueeze(0),
        in_sync=torch.ones(1, len(sounds)),
        matrix=torch.tensor([MATRICES.index(source.matrix)]),
        valid=torch.ones(1, dtype=torch.bool),
    )
    return prepare(batch.to(device), view, network.config.pairs.mute_samples)

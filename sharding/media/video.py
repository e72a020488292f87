"""Source pictures at a constant rate, by time: the picture of slot k is the newest one shown by k's moment.

A source frame at t seconds goes to slot floor(t * fps + 1/2) and stays until the next one's slot; if several share
a slot the last wins. All arithmetic is on integers: an hour drifts by nothing. Only wanted pictures are scaled.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import pairwise
from math import lcm
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sharding.containers.container import decoding
from sharding.format.crop import Size, Taken, Where
from sharding.media.frame_times import (
    TimedFrame,
    at_own_pace,
    by_decode_times,
    decoded_before_shown,
    in_display_order,
    played,
)
from sharding.media.picture import PictureFitter, upright_shape
from sharding.media.probe import Probe
from sharding.media.stream import PacketStats, SourceStream

FILLER = 128
SEEK_MARGIN_S = 3
"""Seek this much before the span: open GOPs and B-frames need what stands before their key frame."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pictures:
    """Consecutive slots, filled."""

    yuv: NDArray[np.uint8]
    """(T, H*3/2, W)"""
    """Filler when `longest_still` is 0: nothing of the source decodes."""
    taken: tuple[Taken, ...]
    """The part of the source's picture that each shows."""
    repeated: int
    dropped: int
    longest_still: int
    """Most slots in a row with one picture; a picture held from before counts from here on."""
    standing: int
    """When no picture appears in these slots: how many there are from the last one before to the next; else 0."""
    packets: PacketStats
    strays: int
    """Pictures whose own time could not be believed; each stands between its neighbours."""


def timed_frames(source: Probe, stream: SourceStream) -> Iterator[TimedFrame]:
    """All pictures from where `stream` stands, in the order they are shown, with ticks that never fall.

    Ticks are `stream.tick`, shifts added, the origin not yet subtracted; what an edit list plays, when it plays it.
    """
    rate = stream.stream.average_rate or stream.stream.guessed_rate or Fraction(25)
    usual = max(1, round(1 / (rate * stream.tick)))
    for edit in stream.passes():
        frames = stream.frames()
        if source.video.decode_order:
            frames = by_decode_times(frames, stream.inside)
            if source.video.depth:
                frames = decoded_before_shown(frames, stream.inside, source.video)
        timed = (in_display_order if source.video.timed_at is None else at_own_pace)(frames, usual)
        if edit is not None and edit.stop is not None:
            timed = played(timed, int(edit.start / stream.tick), int(edit.stop / stream.tick))
        yield from timed


def _pixel_shape(stream: SourceStream) -> Fraction:
    shape = stream.stream.sample_aspect_ratio or Fraction(1)
    return shape if shape > 0 else Fraction(1)


def upright_size(source: Probe) -> Size | None:
    """Width and height of its pictures as they are shown, by the first; None where none decodes."""
    with decoding(), closing(SourceStream(source, source.video)) as stream:
        frame = next(stream.frames(), None)
        return None if frame is None else upright_shape(frame, _pixel_shape(stream))


_Placed = tuple[int, TimedFrame]
"""Slot and picture."""


class VideoTimeline:
    """The pictures of one source; ask for slots in ascending order."""

    def __init__(
        self,
        source: Probe,
        *,
        fps: Fraction,
        width: int,
        height: int,
        fit: Any,
        first_slot: int,
        options: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """options: of the decoder, by FFmpeg's names; none for pictures that are kept."""
        self.width, self.height = width, height
        self._fps, self._source = fps, source
        self._stream = SourceStream(source, source.video, options=options)
        self._pixel_shape = _pixel_shape(self._stream)
        new_fitter = partial(
            PictureFitter,
            width=width,
            height=height,
            fit=fit,
            pixel_shape=self._pixel_shape,
            matrix=source.matrix,
            tagged=source.tagged,
        )
        self._fitter = new_fitter()
        self._fitters = defaultdict[Where | None, PictureFitter](new_fitter)  # each is built for one size of part
        scale, offset = self._stream.tick * fps, Fraction(1, 2) - source.video.origin * fps
        self._whole = lcm(scale.denominator, offset.denominator)
        self._over, self._plus = int(scale * self._whole), int(offset * self._whole)
        self._decoded = self._frames(first_slot)
        self._held: _Placed | None = None  # the newest frame at or before the slot in hand
        self._ahead: _Placed | None = next(self._decoded, None)
        self._dropped = self._strays = 0

    def close(self) -> None:
        self._stream.close()

    def read(self, first: int, count: int, where: Where | None = None) -> Pictures:
        """Slots first ... first + count - 1; with `where`, of each the part that lies there at its moment."""
        out = self._empty(count)
        self._advance(first)
        repeated, still, longest, self._dropped = 0, 0, 0, 0
        taken = list[Taken]()
        for row, slot in enumerate(range(first, first + count)):
            fresh = self._advance(slot)
            if self._held is None:
                out[row:] = FILLER
                break
            if row == 0 or fresh:
                region = None if where is None else where(slot / self._fps)
                taken.append(self._fitter.write(self._held[1].frame, out[row], region))
                still = 1
            else:  # the same part of it, too: what stands still must not seem to move
                out[row] = out[row - 1]
                taken.append(taken[-1])
                repeated, still = repeated + 1, still + 1
            longest = max(longest, still)
        stop = first + count
        strays, self._strays = self._strays, 0  # those since the slots before, too
        return Pictures(
            yuv=out,
            taken=tuple(taken),
            repeated=repeated,
            dropped=self._dropped,
            longest_still=longest,
            standing=self._standing(first, stop) if longest == count else 0,
            packets=self._stream.stats(first / self._fps, stop / self._fps),
            strays=strays,
        )

    def views(self, first: int, count: int, parts: Sequence[Where | None]) -> tuple[NDArray[np.uint8], ...]:
        """The same of several parts of the picture, (T, H*3/2, W) each, decoded once, and nothing else about them."""
        outs = tuple(self._empty(count) for _ in parts)
        for over in self._fitters.keys() - set(parts):  # a film has thousands of parts
            del self._fitters[over]
        self._advance(first)
        for row, slot in enumerate(range(first, first + count)):
            fresh = self._advance(slot)
            for out, where in zip(outs, parts, strict=True):
                if self._held is None:
                    out[row] = FILLER
                elif row == 0 or fresh:
                    region = None if where is None else where(slot / self._fps)
                    self._fitters[where].write(self._held[1].frame, out[row], region)
                else:
                    out[row] = out[row - 1]
        return outs

    def _empty(self, count: int) -> NDArray[np.uint8]:
        return np.empty((count, self.height * 3 // 2, self.width), np.uint8)

    def _standing(self, first: int, stop: int) -> int:
        """Slots from the picture in hand to the next, where the source does not say in between that it stays."""
        if self._held is None:
            return 0
        following = stop if self._ahead is None else self._ahead[0]
        repeats = self._stream.repeats
        slots = [self._held[0], *sorted(self._slot_of(tick) for tick in repeats), following]
        while repeats and self._slot_of(repeats[0]) < first:
            repeats.popleft()
        between = [slot for slot in slots if self._held[0] <= slot <= following]
        return max(after - before for before, after in pairwise(between))

    def _advance(self, slot: int) -> bool:
        """Hold the newest frame whose slot is not after `slot`. True when it is another one than before."""
        moved = 0
        while self._ahead is not None and (self._ahead[0] <= slot or self._held is None):
            self._held = self._ahead
            self._strays += self._held[1].stray
            moved += 1
            self._ahead = next(self._decoded, None)
        self._dropped += max(0, moved - 1)
        return moved > 0

    def _frames(self, first_slot: int) -> Iterator[_Placed]:
        """(slot, frame) in the order they are shown, from at or before `first_slot`."""
        start = Fraction(first_slot) / self._fps
        return self._stream.placed_from(start, SEEK_MARGIN_S, first_slot, self._placed)

    def _placed(self) -> Iterator[_Placed]:
        for timed in timed_frames(self._source, self._stream):
            yield self._slot_of(timed.tick), timed

    def _slot_of(self, tick: int) -> int:
        """floor((ticks * tick - origin) * fps + 1/2), on integers."""
        return (tick * self._over + self._plus) // self._whole

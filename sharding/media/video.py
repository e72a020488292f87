"""Source pictures at a constant rate, by time: the picture of slot k is the newest one shown by k's moment.

A source frame at t seconds goes to slot floor(t * fps + 1/2) and stays until the next one's slot; if several share
a slot the last wins. All arithmetic is on integers: an hour drifts by nothing. Only wanted pictures are scaled.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from sharding.media.picture import PictureFitter
from sharding.media.probe import Probe
from sharding.media.stream import PacketStats, SourceStream, without_strays

FORGIVEN = 50
STRAY_S = 1
"""A single picture so far ahead of those around it has a wrong timestamp."""
FILLER = 128
SEEK_MARGIN_S = 3
"""Seek this much before the span: open GOPs and B-frames need what stands before their key frame."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pictures:
    """Consecutive slots, filled."""

    yuv: NDArray[np.uint8]
    """(T, H*3/2, W)"""
    """Filler when `longest_still` is 0: nothing of the source decodes."""
    repeated: int
    dropped: int
    longest_still: int
    """Most slots in a row with one picture; a picture held from before counts from here on."""
    standing: int
    """When no picture appears in these slots: how many there are from the last one before to the next; else 0."""
    packets: PacketStats


class FrameClock:
    """A time for every decoded frame, in ticks, though timestamps may be missing, repeated or backward.

    Like FFmpeg's own guess: presentation timestamps, unless decode timestamps have been the better ordered so far
    (packed B-frames in AVI); one fault in FORGIVEN frames is no reason to leave them. What has neither follows its
    predecessor at the usual distance.
    """

    def __init__(self, usual: int) -> None:
        self.usual = max(1, usual)
        self.last: int | None = None
        self._last_pts = self._last_dts = -(2**62)
        self._faulty_pts = self._faulty_dts = self._frames = 0

    def tick_of(self, frame: Any) -> int:
        pts, dts = frame.pts, frame.dts
        self._frames += 1
        if dts is not None:
            self._faulty_dts += dts <= self._last_dts
            self._last_dts = dts
        if pts is not None:
            self._faulty_pts += pts <= self._last_pts
            self._last_pts = pts
        if pts is not None and (dts is None or self._faulty_pts <= self._faulty_dts + self._frames // FORGIVEN):
            tick = pts
        elif dts is not None:
            tick = dts
        else:
            tick = 0 if self.last is None else self.last + self.usual
        self.last = tick
        return tick


class VideoTimeline:
    """The pictures of one source; ask for slots in ascending order."""

    def __init__(self, source: Probe, *, fps: Fraction, width: int, height: int, fit: Any, first_slot: int) -> None:
        self.width, self.height = width, height
        self._fps, self._source = fps, source
        self._stream = SourceStream(source, source.video)
        shape = self._stream.stream.sample_aspect_ratio or Fraction(1)
        self._fitter = PictureFitter(
            width=width,
            height=height,
            fit=fit,
            pixel_shape=shape if shape > 0 else Fraction(1),
            matrix=source.matrix,
            tagged=source.tagged,
        )
        self._decoded = self._frames(first_slot)
        self._held: tuple[int, av.VideoFrame] | None = None  # the newest frame at or before the slot in hand
        self._ahead: tuple[int, av.VideoFrame] | None = next(self._decoded, None)
        self._dropped = 0

    def close(self) -> None:
        self._stream.close()

    def read(self, first: int, count: int) -> Pictures:
        """Slots first ... first + count - 1."""
        out = np.empty((count, self.height * 3 // 2, self.width), np.uint8)
        self._advance(first)
        repeated, still, longest, self._dropped = 0, 0, 0, 0
        for row, slot in enumerate(range(first, first + count)):
            fresh = self._advance(slot)
            if self._held is None:
                out[row:] = FILLER
                break
            if row == 0 or fresh:
                self._fitter.write(self._held[1], out[row])
                still = 1
            else:
                out[row] = out[row - 1]
                repeated, still = repeated + 1, still + 1
            longest = max(longest, still)
        stop = first + count
        following = stop if self._ahead is None else self._ahead[0]
        return Pictures(
            yuv=out,
            repeated=repeated,
            dropped=self._dropped,
            longest_still=longest,
            standing=following - self._held[0] if self._held is not None and longest == count else 0,
            packets=self._stream.stats(first / self._fps, stop / self._fps),
        )

    def _advance(self, slot: int) -> bool:
        """Hold the newest frame whose slot is not after `slot`. True when it is another one than before."""
        moved = 0
        while self._ahead is not None and (self._ahead[0] <= slot or self._held is None):
            if self._held is not None and self._ahead[0] < self._held[0]:
                self._dropped += 1  # backward in time
            else:
                self._held = self._ahead
                moved += 1
            self._ahead = next(self._decoded, None)
        self._dropped += max(0, moved - 1)
        return moved > 0

    def _frames(self, first_slot: int) -> Iterator[tuple[int, av.VideoFrame]]:
        """(slot, frame) in decoder order, from at or before `first_slot`."""
        start = Fraction(first_slot) / self._fps
        return self._stream.placed_from(start, SEEK_MARGIN_S, first_slot, self._timed)

    def _timed(self) -> Iterator[tuple[int, av.VideoFrame]]:
        stream = self._stream.stream
        tick, origin, fps = stream.time_base, self._source.video.origin, self._fps
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        clock = FrameClock(usual=round(1 / (rate * tick)))
        # floor((ticks * tick - origin) * fps + 1/2), on integers
        scale, offset = tick * fps, Fraction(1, 2) - origin * fps
        whole = lcm(scale.denominator, offset.denominator)
        over, plus = int(scale * whole), int(offset * whole)
        slots = (((clock.tick_of(frame) * over + plus) // whole, frame) for frame in self._stream.frames())
        return without_strays(slots, far=round(STRAY_S * fps), most=1)

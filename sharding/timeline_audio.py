"""Source sound on the source's timeline: sample k of the output is heard at k / sample_rate, whatever is missing.

Inside a segment positions run by count, so rounded or jittering timestamps cut nothing. A jump of the timestamps, or
a deviation that lasts, starts a new segment. Between segments there is silence; what overlaps is dropped.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from sharding.probe import Probe
from sharding.stream import SourceStream

JUMP_S = Fraction(3, 100)
"""Timestamps this far from the count are a gap at once. Remuxed web video jitters by up to 21 ms and comes back."""
DRIFT_S = Fraction(1, 100)
SETTLE_S = 1
"""A smaller deviation above DRIFT_S is believed when it has lasted this long."""
SEEK_MARGIN_S = 2
"""Seek this much before the span: decoders need some packets to settle (Opus 80 ms, MP3 bit reservoir)."""

Block = tuple[int, NDArray[np.int16]]
"""Position of the first sample on the timeline, and samples (S, C)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sound:
    """A stretch of the timeline, complete."""

    audio: NDArray[np.int16]
    """(S, C)"""
    silence_samples: int
    """How many of them the source does not have."""


class AudioLane:
    """The sound of one source; ask for stretches in ascending order."""

    def __init__(self, source: Probe, *, sample_rate: int, channels: int, first_sample: int) -> None:
        self.sample_rate, self.channels = sample_rate, channels
        self._source = source
        self._stream = SourceStream(source, source.audio.index)
        self.tally = self._stream.tally
        self._blocks = self._ordered(self._placed(first_sample))
        self._rest: Block | None = None

    def close(self) -> None:
        self._stream.close()

    def read(self, first: int, count: int) -> Sound:
        """Samples first ... first + count - 1."""
        out = np.zeros((count, self.channels), np.int16)
        filled, stop = 0, first + count
        while True:
            block = self._rest or next(self._blocks, None)
            self._rest = block
            if block is None or block[0] >= stop:
                break
            position, samples = block
            low, high = max(first, position), min(stop, position + len(samples))
            if low < high:
                out[low - first : high - first] = samples[low - position : high - position]
                filled += high - low
            if position + len(samples) > stop:
                break
            self._rest = None
        return Sound(audio=out, silence_samples=count - filled)

    @staticmethod
    def _ordered(blocks: Iterator[Block]) -> Iterator[Block]:
        """Without what overlaps earlier samples."""
        end = -(2**62)
        for position, samples in blocks:
            late = max(0, end - position)
            if late < len(samples):
                yield position + late, samples[late:]
                end = position + len(samples)

    def _placed(self, first_sample: int) -> Iterator[Block]:
        """Resampled blocks from at or before `first_sample`, with their positions."""
        start = Fraction(first_sample, self.sample_rate)
        return self._stream.placed_from(start, SEEK_MARGIN_S, first_sample, self._segments)

    def _segments(self) -> Iterator[Block]:
        """Decoded frames joined by count, cut where the timestamps jump."""
        tick, origin = self._stream.stream.time_base, self._source.origin
        segment: _Segment | None = None
        for frame in self._stream.frames():
            when = None if frame.pts is None else frame.pts * tick - origin
            if segment is not None and segment.continues(frame, when):
                yield from segment.add(frame)
                continue
            if segment is not None:
                yield from segment.flush()
                when = segment.end if when is None else when
            segment = _Segment(
                start=self._source.audio.start if when is None else when,
                rate=frame.sample_rate,
                layout=frame.layout.name,
                format=frame.format.name,
                out_rate=self.sample_rate,
                channels=self.channels,
            )
            yield from segment.add(frame)
        if segment is not None:
            yield from segment.flush()


class _Segment:
    """Frames of one kind that follow each other without a jump, through one resampler."""

    def __init__(self, *, start: Fraction, rate: int, layout: str, format: str, out_rate: int, channels: int) -> None:
        self.start, self.rate, self.layout, self.format = start, rate, layout, format
        self.taken = 0  # source samples
        self.position = round(start * out_rate)  # of the next output sample
        self._agreed = start  # when timestamps and count last agreed
        self.channels = channels
        self._resampler = av.AudioResampler("s16", "mono" if channels == 1 else "stereo", out_rate)

    @property
    def end(self) -> Fraction:
        """When the next source sample is heard."""
        return self.start + Fraction(self.taken, self.rate)

    def continues(self, frame: av.AudioFrame, when: Fraction | None) -> bool:
        """`frame` belongs to this segment: same kind, and its time is where the count says."""
        if (frame.sample_rate, frame.layout.name, frame.format.name) != (self.rate, self.layout, self.format):
            return False
        if when is None:
            return True
        off = abs(when - self.end)
        if off <= DRIFT_S:
            self._agreed = self.end
        return off <= JUMP_S and self.end - self._agreed <= SETTLE_S

    def add(self, frame: av.AudioFrame) -> Iterator[Block]:
        self.taken += frame.samples
        frame.pts = None  # the resampler counts; positions are ours
        yield from self._blocks(self._resampler.resample(frame))

    def flush(self) -> Iterator[Block]:
        if self.taken:
            yield from self._blocks(self._resampler.resample(None))

    def _blocks(self, frames: list[av.AudioFrame]) -> Iterator[Block]:
        for frame in frames:
            samples = frame.to_ndarray().reshape(-1, self.channels)
            yield self.position, samples.astype(np.int16, copy=False)
            self.position += len(samples)

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
from sharding.stream import Fare, SourceStream, without_strays

JUMP_S = Fraction(3, 100)
"""Timestamps this far from the count are a gap at once. Remuxed web video jitters by up to 21 ms and comes back."""
DRIFT_S = Fraction(1, 100)
SETTLE_S = 1
"""A smaller deviation above DRIFT_S is believed when it has lasted this long."""
STRAY_S = 1
MOST_STRAYS = 16
"""So few frames that stand so far ahead of those around them have a wrong timestamp: a transport stream writes one
for several."""
SEEK_MARGIN_S = 2
"""Seek this much before the span: decoders need some packets to settle (Opus 80 ms, MP3 bit reservoir)."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Block:
    """Samples that follow each other."""

    samples: NDArray[np.int16]
    """(S, C)"""
    broken: bool = False
    """The timestamps jumped before it."""
    dropped: int = 0
    """Samples left out before it: the timeline already had some there."""


Placed = tuple[int, Block]
"""Position of the first sample on the timeline, and samples."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sound:
    """A stretch of the timeline, complete."""

    audio: NDArray[np.int16]
    """(S, C)"""
    silence_samples: int
    """How many of them the source does not have."""
    samples_dropped: int
    """How many more the source has for the same time."""
    breaks: int
    """How often its timestamps jumped."""
    fare: Fare


class AudioLane:
    """The sound of one source; ask for stretches in ascending order."""

    def __init__(self, source: Probe, *, sample_rate: int, channels: int, first_sample: int) -> None:
        self.sample_rate, self.channels = sample_rate, channels
        self._source = source
        self._stream = SourceStream(source, source.audio)
        self._blocks = self._ordered(self._placed(first_sample))
        self._rest: Placed | None = None

    def close(self) -> None:
        self._stream.close()

    def read(self, first: int, count: int) -> Sound:
        """Samples first ... first + count - 1."""
        out = np.zeros((count, self.channels), np.int16)
        filled, dropped, breaks, stop = 0, 0, 0, first + count
        while True:
            self._rest = self._rest or next(self._blocks, None)
            if self._rest is None or self._rest[0] >= stop:
                break
            position, block = self._rest
            if position >= first:
                dropped, breaks = dropped + block.dropped, breaks + block.broken
            samples = block.samples
            low, high = max(first, position), min(stop, position + len(samples))
            if low < high:
                out[low - first : high - first] = samples[low - position : high - position]
                filled += high - low
            if position + len(samples) > stop:
                break
            self._rest = None
        fare = self._stream.fare(Fraction(first, self.sample_rate), Fraction(stop, self.sample_rate))
        return Sound(audio=out, silence_samples=count - filled, samples_dropped=dropped, breaks=breaks, fare=fare)

    @staticmethod
    def _ordered(blocks: Iterator[Placed]) -> Iterator[Placed]:
        """Without what overlaps earlier samples."""
        end, dropped, broken = -(2**62), 0, False
        for position, block in blocks:
            late = min(max(0, end - position), len(block.samples))
            dropped, broken = dropped + late, broken or block.broken
            if late < len(block.samples):
                yield position + late, Block(samples=block.samples[late:], dropped=dropped, broken=broken)
                end, dropped, broken = position + len(block.samples), 0, False

    def _placed(self, first_sample: int) -> Iterator[Placed]:
        """Resampled blocks from at or before `first_sample`, with their positions."""
        start = Fraction(first_sample, self.sample_rate)
        return self._stream.placed_from(start, SEEK_MARGIN_S, first_sample, self._segments)

    def _segments(self) -> Iterator[Placed]:
        """Decoded frames joined by count, cut where the timestamps jump."""
        tick, origin = self._stream.stream.time_base, self._source.audio.origin
        segment: _Segment | None = None
        broken = False
        far = round(STRAY_S / tick)
        for _, frame in without_strays(self._stamped(), far=far, most=MOST_STRAYS):
            when = None if frame.pts is None else frame.pts * tick - origin
            if segment is not None and segment.continues(frame, when):
                yield from segment.add(frame)
                continue
            if segment is not None:
                yield from segment.flush()
                broken = when is not None and not segment.agrees(when)
                when = segment.end if when is None else when
            segment = _Segment(
                broken=broken,
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

    def _stamped(self) -> Iterator[tuple[int, av.AudioFrame]]:
        """Decoded frames with their ticks, those that have none with the last one's."""
        tick = 0
        for frame in self._stream.frames():
            tick = tick if frame.pts is None else frame.pts
            yield tick, frame


class _Segment:
    """Frames of one kind that follow each other without a jump, through one resampler."""

    def __init__(
        self, *, start: Fraction, broken: bool, rate: int, layout: str, format: str, out_rate: int, channels: int
    ) -> None:
        self._broken = broken  # the timestamps jumped to its start
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
        return when is None or self.agrees(when)

    def agrees(self, when: Fraction) -> bool:
        """`when` is not too far from what the count says, for not too long."""
        off = abs(when - self.end)
        if off <= DRIFT_S:
            self._agreed = self.end
        return off <= JUMP_S and self.end - self._agreed <= SETTLE_S

    def add(self, frame: av.AudioFrame) -> Iterator[Placed]:
        self.taken += frame.samples
        frame.pts = None  # the resampler counts; positions are ours
        yield from self._blocks(self._resampler.resample(frame))

    def flush(self) -> Iterator[Placed]:
        if self.taken:
            yield from self._blocks(self._resampler.resample(None))

    def _blocks(self, frames: list[av.AudioFrame]) -> Iterator[Placed]:
        for frame in frames:
            samples = frame.to_ndarray().reshape(-1, self.channels)
            yield self.position, Block(samples=samples.astype(np.int16, copy=False), broken=self._broken)
            self._broken = False
            self.position += len(samples)

"""Source sound on the source's timeline: sample k of the output is heard at k / sample_rate, whatever is missing.

Each run of frames that follow each other (sharding/media/sound_times.py) goes through one resampler and becomes a
segment. Between segments there is silence; what overlaps is dropped. All of it on integers.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from math import gcd

import av
import numpy as np
from numpy.typing import NDArray

from sharding.containers.choice import SILENCE_POWER
from sharding.containers.edits import NEVER
from sharding.media.probe import Probe
from sharding.media.sound_times import Heard, heard, kind_of
from sharding.media.stream import PacketStats, SourceStream

CANCELLED = 1 / 100
"""Where mixing channels to one leaves less than this of their power, one of them is taken as it is."""
LISTEN_EVERY = 4
"""Frames; what cancels does so for long."""
SEEK_MARGIN_S = 2
"""Seek this much before the span: decoders need some packets to settle (Opus 80 ms, MP3 bit reservoir)."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Block:
    """Samples that follow each other."""

    samples: NDArray[np.int16]
    """(S, C)"""
    jumped: bool = False
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
    changes: int
    """How often their rate or layout changes."""
    strays: int
    """Frames whose own timestamp could not be believed."""
    cancels: bool
    """Its channels are loud, and their mix is not."""
    packets: PacketStats


class AudioTimeline:
    """The sound of one source; ask for stretches in ascending order."""

    def __init__(self, source: Probe, *, sample_rate: int, channels: int, first_sample: int) -> None:
        self.sample_rate, self.channels = sample_rate, channels
        self._source = source
        self._stream = SourceStream(source, source.audio)
        self._blocks = self._ordered(self._placed(first_sample))
        self._rest: Placed | None = None
        self._notes = deque[_Note]()
        self._frames = 0
        self._kind: tuple[int, str, str] | None = None

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
                dropped, breaks = dropped + block.dropped, breaks + block.jumped
            samples = block.samples
            low, high = max(first, position), min(stop, position + len(samples))
            if low < high:
                out[low - first : high - first] = samples[low - position : high - position]
                filled += high - low
            if position + len(samples) > stop:
                break
            self._rest = None
        packets = self._stream.stats(Fraction(first, self.sample_rate), Fraction(stop, self.sample_rate))
        changes, strays, loud, mixed = self._noted(first, stop)
        return Sound(
            audio=out,
            silence_samples=count - filled,
            samples_dropped=dropped,
            breaks=breaks,
            changes=changes,
            strays=strays,
            cancels=loud > SILENCE_POWER and mixed < CANCELLED * loud,
            packets=packets,
        )

    def _noted(self, first: int, stop: int) -> tuple[int, int, float, float]:
        """Changes of kind and strays since the stretch before; and in this one, power of channels and of their mix."""
        here = [self._notes.popleft() for _ in range(sum(one.position < stop for one in self._notes))]
        powers = [one.powers for one in here if one.powers is not None and one.position >= first]
        loud, mixed = np.mean(powers, axis=0) if powers else (0.0, 0.0)
        return sum(one.changed for one in here), sum(one.stray for one in here), float(loud), float(mixed)

    @staticmethod
    def _ordered(blocks: Iterator[Placed]) -> Iterator[Placed]:
        """Without what overlaps earlier samples."""
        end, dropped, jumped = -(2**62), 0, False
        for position, block in blocks:
            late = min(max(0, end - position), len(block.samples))
            dropped, jumped = dropped + late, jumped or block.jumped
            if late < len(block.samples):
                yield position + late, Block(samples=block.samples[late:], dropped=dropped, jumped=jumped)
                end, dropped, jumped = position + len(block.samples), 0, False

    def _placed(self, first_sample: int) -> Iterator[Placed]:
        """Resampled blocks from at or before `first_sample`, with their positions."""
        start = Fraction(first_sample, self.sample_rate)
        return self._stream.placed_from(start, SEEK_MARGIN_S, first_sample, self._segments)

    def _segments(self) -> Iterator[Placed]:
        """What is played, pass by pass; edits are cut at samples."""
        for edit in self._stream.passes():
            if edit is None:
                yield from self._joined(Fraction(0), -NEVER, NEVER)
                continue
            first, stop = edit.samples(self.sample_rate)
            later = edit.later(self._stream.stream.codec_context.sample_rate)
            for position, block in self._joined(later, first, stop):
                if position >= stop:
                    break
                samples = block.samples[max(0, first - position) : stop - position]
                if len(samples):
                    yield max(first, position), replace(block, samples=samples)

    def _joined(self, later: Fraction, first: int, stop: int) -> Iterator[Placed]:
        """Decoded frames joined by count, cut where the timestamps jump; all of them `later` than stored.

        From position `first` to `stop` they are played.
        """
        source, segment = self._source.audio, None
        for one in heard(self._stream.frames(), self._stream.stream.time_base):
            if segment is None or one.start is not None:
                if segment is not None:
                    yield from segment.flush()
                start = (one.start or Fraction(0)) - source.origin + later
                segment = _Segment(
                    one.frame, start=start, jumped=one.jumped, out_rate=self.sample_rate, channels=self.channels
                )
            if first <= segment.position < stop:
                self._note(segment.position, one)
            yield from segment.add(one.frame)
        if segment is not None:
            yield from segment.flush()

    def _note(self, position: int, one: Heard) -> None:
        self._frames += 1
        listens = self.channels == 1 and one.frame.layout.nb_channels > 1 and self._frames % LISTEN_EVERY == 1
        kind = kind_of(one.frame)
        changed, self._kind = self._kind not in (None, kind), kind
        if one.stray or listens or changed:
            powers = _powers(one.frame) if listens else None
            self._notes.append(_Note(position=position, changed=changed, stray=one.stray, powers=powers))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Note:
    """About a frame that begins near `position`."""

    position: int
    changed: bool
    """Its rate or layout is another one than that of the frame before."""
    stray: bool
    powers: tuple[float, float] | None
    """Of its channels, and of their mix; full scale is 1."""


def _powers(frame: av.AudioFrame) -> tuple[float, float]:
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    scale = 1 if samples.dtype.kind == "f" else 2.0 ** (8 * samples.itemsize - 1)
    wave = samples.astype(np.float64) / scale - (samples.dtype == np.uint8)
    return float(np.square(wave).mean()), float(np.square(wave.mean(axis=0)).mean())


class _Segment:
    """Frames of one kind that follow each other without a jump, through one resampler.

    However the stream was entered, the resampler stands in the same phase: so its output is the same.
    """

    def __init__(self, frame: av.AudioFrame, *, start: Fraction, jumped: bool, out_rate: int, channels: int) -> None:
        self._jumped = jumped  # the timestamps did, before it
        self._first = self.position = round(start * out_rate)  # of the first and of the next output sample
        self.channels = channels
        self._resampler = av.AudioResampler("s16", "mono" if channels == 1 else "stereo", out_rate)
        period = frame.sample_rate // gcd(frame.sample_rate, out_rate)
        before = start * frame.sample_rate % period  # source samples since input and output samples last coincided
        if before and before.denominator == 1:
            self.position = int((start - Fraction(before, frame.sample_rate)) * out_rate)
            self.position += sum(out.samples for out in self._resampler.resample(_silence(frame, int(before))))

    def add(self, frame: av.AudioFrame) -> Iterator[Placed]:
        frame.pts = None  # the resampler counts; positions are ours
        yield from self._blocks(self._resampler.resample(frame))

    def flush(self) -> Iterator[Placed]:
        yield from self._blocks(self._resampler.resample(None))

    def _blocks(self, frames: list[av.AudioFrame]) -> Iterator[Placed]:
        for frame in frames:
            samples = frame.to_ndarray().reshape(-1, self.channels).astype(np.int16, copy=False)
            early = max(0, self._first - self.position)
            if early < len(samples):
                yield self.position + early, Block(samples=samples[early:], jumped=self._jumped)
                self._jumped = False
            self.position += len(samples)


def _silence(frame: av.AudioFrame, samples: int) -> av.AudioFrame:
    """As many samples of nothing, of the kind of `frame`: made packed, for PyAV's planes end at the eighth channel."""
    silence = av.AudioFrame("s16", frame.layout.name, samples)
    silence.sample_rate = frame.sample_rate
    silence.planes[0].update(bytes(silence.planes[0].buffer_size))
    return av.AudioResampler(frame.format.name, frame.layout.name, frame.sample_rate).resample(silence)[0]

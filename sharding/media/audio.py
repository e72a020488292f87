"""Source sound on the source's timeline: sample k of the output is heard at k / sample_rate, whatever is missing.

Timestamps are rounded, jitter, jump or run at another pace. Inside a run sound is continuous and the count of samples
gives the time, up to an offset, the median of what the timestamps say within SETTLE_S on either side. So single strays
move nothing, a gap is found where it is, and a sound clock that runs fast or slow is followed. A jump begins a new run,
and with it a new segment of the timeline. Between segments there is silence; what overlaps is dropped. All of it on
integers.
"""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import gcd, lcm
from statistics import median_low

import av
import numpy as np
from numpy.typing import NDArray

from sharding.media.edits import NEVER
from sharding.media.probe import Probe
from sharding.media.stream import PacketStats, SourceStream

JUMP_S = Fraction(3, 100)
"""From one frame to the next; more is a gap or an overlap. Remuxed web video jitters by up to 21 ms and comes back."""
SETTLE_S = 1
MOST_FRAMES = 200
"""On either side; some codecs have frames of a millisecond."""
DRIFT_S = Fraction(1, 1000)
"""The offset is followed in steps of more than this: timestamps in whole milliseconds wander by less."""
WITNESSES = 2
UNTIMED_S = 33  # at most, before the first time: Matroska, as FFmpeg reads it, has none below 0
MOST_STRAYS = 16
"""So few frames, behind which timestamps go on as before, have a wrong one: transport streams write one for several."""
AUDIBLE = 10 ** (-60 / 10)
"""Mean power of full scale 1; below is silence, as in packing."""
CANCELLED = 1 / 100
"""Where mixing channels to one leaves less than this of their power, one of them is taken as it is."""
LISTEN_EVERY = 4
"""Frames; what cancels does so for long."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """A frame of sound and its time."""

    frame: av.AudioFrame
    start: Fraction | None
    """Seconds; None when it follows the frame before without a break."""
    jumped: bool
    """The timestamps say that it does not follow what came before."""
    stray: bool
    """Its own timestamp could not be believed."""


def heard(frames: Iterator[av.AudioFrame], tick: Fraction, first: Fraction) -> Iterator[Heard]:
    """Times on the stored timeline of `tick` seconds; `first` is when a frame without a timestamp begins."""
    run: _Run | None = None
    suspects = list[av.AudioFrame]()  # whose timestamps say that there is a jump before them
    frames = _first_mended(frames, tick, first)
    for frame in frames:
        if run is None:
            run = _Run(frame, tick, first, jumped=False)
        if run.takes(frame, suspects):
            for stray in suspects:
                yield from run.add(stray, stray=stray.pts is not None)
            suspects.clear()
            yield from run.add(frame)
            continue
        suspects.append(frame)
        if len(suspects) > MOST_STRAYS or not run.has_kind(frame):
            run = yield from _runs(run, suspects, tick)
            suspects.clear()
    if run is not None:
        run = yield from _runs(run, suspects, tick)
        yield from run.finish()


def _first_mended(frames: Iterator[av.AudioFrame], tick: Fraction, first: Fraction) -> Iterator[av.AudioFrame]:
    """The same; a first timestamp that alone disagrees with the next, or is missing and not `first`, is theirs."""
    head, bases, count = list[av.AudioFrame](), list[Fraction](), Fraction(0)
    for frame in frames:
        head.append(frame)
        if frame.pts is not None:
            bases.append(frame.pts * tick - count)  # when the first frame begins, by each timestamp
        count += Fraction(frame.samples, frame.sample_rate)
        if len(head) >= MOST_STRAYS and (bases or count > UNTIMED_S):
            break
    if bases and head[0].pts is None and abs(median_low(bases) - first) > JUMP_S:
        head[0].pts = round(median_low(bases) / tick)
    elif len(bases) > WITNESSES and head[0].pts is not None:
        others = median_low(bases[1:])
        if abs(bases[0] - others) > JUMP_S and all(abs(base - others) <= JUMP_S for base in bases[1:]):
            head[0].pts = round(others / tick)
    yield from head
    yield from frames


def _runs(run: "_Run", frames: list[av.AudioFrame], tick: Fraction) -> Generator[Heard, None, "_Run"]:
    """Add frames to their run, and to new ones where they jump; the last run."""
    for frame in frames:
        if not run.takes(frame):
            yield from run.finish()
            run = _Run(frame, tick, run.end, jumped=True)
        yield from run.add(frame)
    return run


class _Run:
    """Frames of one kind whose timestamps do not jump. Holds back SETTLE_S of them."""

    def __init__(self, frame: av.AudioFrame, tick: Fraction, otherwise: Fraction, *, jumped: bool) -> None:
        self._kind = _kind_of(frame)
        self._whole = lcm(tick.denominator, otherwise.denominator, frame.sample_rate)  # units a second
        self._per_tick = int(tick * self._whole)
        self._per_sample = self._whole // frame.sample_rate
        self._settle = SETTLE_S * self._whole
        self._jump, self._drift = int(JUMP_S * self._whole), int(DRIFT_S * self._whole)
        begin = int(otherwise * self._whole) if frame.pts is None else frame.pts * self._per_tick
        self._count = begin  # when the next frame begins, by counting samples
        self._off = 0  # of the timestamps from the count, last seen
        self._offset: int | None = None  # in use
        self._jumped = jumped and frame.pts is not None and abs(begin - otherwise * self._whole) > self._drift
        self._past = deque[tuple[int, int]](maxlen=MOST_FRAMES)  # (count, off)
        self._waiting = deque[tuple[int, int, av.AudioFrame, bool]]()

    @property
    def end(self) -> Fraction:
        """When the next frame would be heard, by the last timestamp."""
        return Fraction(self._count + self._off, self._whole)

    def has_kind(self, frame: av.AudioFrame) -> bool:
        """`frame` is of the same kind."""
        return _kind_of(frame) == self._kind

    def takes(self, frame: av.AudioFrame, between: Sequence[av.AudioFrame] = ()) -> bool:
        """`frame` is of the same kind, and there is no jump before it, if `between` follow what is here."""
        if not self.has_kind(frame) or (frame.pts is None and between):
            return False
        count = self._count + sum(one.samples for one in between) * self._per_sample
        return frame.pts is None or abs(frame.pts * self._per_tick - count - self._off) <= self._jump

    def add(self, frame: av.AudioFrame, *, stray: bool = False) -> Iterator[Heard]:
        """The next frame; the timestamp of a `stray` is not believed."""
        if frame.pts is not None and not stray:
            self._off = frame.pts * self._per_tick - self._count
        self._waiting.append((self._count, self._off, frame, stray))
        self._count += frame.samples * self._per_sample
        while self._waiting[-1][0] - self._waiting[0][0] >= self._settle or len(self._waiting) > MOST_FRAMES:
            yield self._next()

    def finish(self) -> Iterator[Heard]:
        """What was held back."""
        while self._waiting:
            yield self._next()

    def _next(self) -> Heard:
        count, off, frame, stray = self._waiting[0]
        while self._past and count - self._past[0][0] > self._settle:
            self._past.popleft()
        self._past.append((count, off))
        self._waiting.popleft()
        if self._agrees(off):
            return Heard(frame=frame, start=None, jumped=False, stray=stray)
        offset = median_low(one[1] for one in (*self._past, *self._waiting))
        if self._agrees(offset):
            return Heard(frame=frame, start=None, jumped=False, stray=stray)
        jumped = self._jumped if self._offset is None else True
        self._offset = offset
        return Heard(frame=frame, start=Fraction(count + offset, self._whole), jumped=jumped, stray=stray)

    def _agrees(self, off: int) -> bool:
        return self._offset is not None and abs(off - self._offset) <= self._drift


def _kind_of(frame: av.AudioFrame) -> tuple[int, str, str]:
    return frame.sample_rate, frame.layout.name, frame.format.name


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
            cancels=loud > AUDIBLE and mixed < CANCELLED * loud,
            packets=packets,
        )

    def _noted(self, first: int, stop: int) -> tuple[int, int, float, float]:
        """Changes of kind, strays, and power of channels and of their mix; what comes before `first` is forgotten."""
        while self._notes and self._notes[0].position < first:
            self._notes.popleft()
        here = [one for one in self._notes if one.position < stop]
        powers = [one.powers for one in here if one.powers is not None]
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
        for one in heard(self._stream.frames(), self._stream.stream.time_base, source.start + source.origin):
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
        kind = _kind_of(one.frame)
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

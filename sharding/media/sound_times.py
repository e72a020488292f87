"""When each frame of sound is heard: by the count of samples, under timestamps that jitter, stray, jump or drift.

Timestamps are rounded, jitter, jump or run at another pace. Inside a run sound is continuous and the count of samples
gives the time, up to an offset, the median of what the timestamps say within SETTLE_S on either side. So single strays
move nothing, a gap is found where it is, and a sound clock that runs fast or slow is followed. A jump begins a new run.
All of it on integers.
"""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise
from math import lcm
from statistics import median_low
from typing import NamedTuple

import av

JUMP_S = Fraction(3, 100)
"""From one frame to the next; more is a gap or an overlap. Remuxed web video jitters by up to 21 ms and comes back."""
SETTLE_S = 1
MOST_FRAMES = 200
"""On either side; some codecs have frames of a millisecond."""
DRIFT_S = Fraction(1, 1000)
"""The offset is followed in steps of more than this: timestamps in whole milliseconds wander by less."""
LEAST_STEP_S = Fraction(1, 100)
"""By which a lost or doubled frame moves what follows."""
WITNESSES, WITNESSES_OF_STEP = 2, 8
MOST_STRAYS = 16
"""So few frames, behind which the timestamps go on as before, have a wrong one: a transport stream writes one for
several."""


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


def heard(frames: Iterator[av.AudioFrame], tick: Fraction) -> Iterator[Heard]:
    """Times on the stored timeline of `tick` seconds; what comes long before the first timestamp is left out."""
    run: _Run | None = None
    suspects = list[av.AudioFrame]()  # whose timestamps say that there is a jump before them
    frames = _first_mended(frames, tick)
    for frame in frames:
        if run is None:
            run = _Run(frame, tick, Fraction(0), jumped=False)
        if run.takes(frame, suspects):
            for stray, following in pairwise((*suspects, frame)):  # a head across two packets gets the next one's time
                yield from run.add(stray, stray=stray.pts not in (None, following.pts))
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


def _first_mended(frames: Iterator[av.AudioFrame], tick: Fraction) -> Iterator[av.AudioFrame]:
    """The same frames; where the first one has no timestamp, or one that no other agrees with, it gets theirs."""
    head = list(islice(frames, MOST_STRAYS))
    while head and all(frame.pts is None for frame in head):  # when they are heard, nobody knows
        head = list(islice(frames, MOST_STRAYS))
    bases, count = list[Fraction](), Fraction(0)  # when the first frame begins, by each timestamp
    for frame in head:
        if frame.pts is not None:
            bases.append(frame.pts * tick - count)
        count += Fraction(frame.samples, frame.sample_rate)
    if bases and head[0].pts is None:
        head[0].pts = round(median_low(bases) / tick)
    elif len(bases) > WITNESSES:
        others = median_low(bases[1:])
        if abs(bases[0] - others) > JUMP_S and all(abs(base - others) <= JUMP_S for base in bases[1:]):
            head[0].pts = round(others / tick)
    yield from head
    yield from frames


def _runs(run: "_Run", frames: list[av.AudioFrame], tick: Fraction) -> Generator[Heard, None, "_Run"]:
    """Add frames to their run, and to new ones where they jump; the last run."""
    for frame in frames:
        if not run.takes(frame):
            if run.jumps_to(frame):
                run.forget_untimed()
            yield from run.finish()
            run = _Run(frame, tick, run.end, jumped=True)
        yield from run.add(frame)
    return run


class _Waiting(NamedTuple):
    """A frame whose time is not settled yet."""

    begin: int
    """When it begins, by counting samples."""
    off: int
    """Of the timestamps from that."""
    frame: av.AudioFrame
    stray: bool


class _Run:
    """Frames of one kind whose timestamps do not jump. Holds back SETTLE_S of them."""

    def __init__(self, frame: av.AudioFrame, tick: Fraction, otherwise: Fraction, *, jumped: bool) -> None:
        self._kind = kind_of(frame)
        self._whole = lcm(tick.denominator, otherwise.denominator, frame.sample_rate)  # units a second
        self._per_tick = int(tick * self._whole)
        self._per_sample = self._whole // frame.sample_rate
        self._settle = SETTLE_S * self._whole
        self._least_step = int(LEAST_STEP_S * self._whole)
        self._jump, self._drift = int(JUMP_S * self._whole), int(DRIFT_S * self._whole)
        begin = int(otherwise * self._whole) if frame.pts is None else frame.pts * self._per_tick
        self._count = begin  # when the next frame begins, by counting samples
        self._off = 0  # of the timestamps from the count, last seen
        self._offset: int | None = None  # in use
        self._jumped = jumped and frame.pts is not None and abs(begin - otherwise * self._whole) > self._drift
        self._past = deque[tuple[int, int]](maxlen=MOST_FRAMES)  # (count, off)
        self._waiting = deque[_Waiting]()

    @property
    def end(self) -> Fraction:
        """When the next frame would be heard, by the last timestamp."""
        return Fraction(self._count + self._off, self._whole)

    def has_kind(self, frame: av.AudioFrame) -> bool:
        """`frame` is of the same kind."""
        return kind_of(frame) == self._kind

    def takes(self, frame: av.AudioFrame, between: Sequence[av.AudioFrame] = ()) -> bool:
        """`frame` is of the same kind, and there is no jump before it, if `between` follow what is here."""
        if not self.has_kind(frame) or (frame.pts is None and between):
            return False
        count = self._count + sum(one.samples for one in between) * self._per_sample
        return frame.pts is None or abs(frame.pts * self._per_tick - count - self._off) <= self._jump

    def jumps_to(self, frame: av.AudioFrame) -> bool:
        """The timestamp of `frame` says that it does not follow what is here."""
        return frame.pts is not None and abs(frame.pts * self._per_tick - self._count - self._off) > self._jump

    def forget_untimed(self) -> None:
        """Leave out what came behind the last frame with a timestamp: on which side of a jump it is, nobody knows."""
        while self._waiting and self._waiting[-1].frame.pts is None:
            self._waiting.pop()

    def add(self, frame: av.AudioFrame, *, stray: bool = False) -> Iterator[Heard]:
        """The next frame; the timestamp of a `stray` is not believed."""
        if frame.pts is not None and not stray:
            self._off = frame.pts * self._per_tick - self._count
        self._waiting.append(_Waiting(self._count, self._off, frame, stray))
        self._count += frame.samples * self._per_sample
        while self._waiting[-1].begin - self._waiting[0].begin >= self._settle or len(self._waiting) > MOST_FRAMES:
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
        offset = self._usual()
        if abs(offset - off) > self._least_step and self._steps(off):
            offset = off
        if self._agrees(offset):
            return Heard(frame=frame, start=None, jumped=False, stray=stray)
        jumped = self._jumped if self._offset is None else True
        self._offset = offset
        return Heard(frame=frame, start=Fraction(count + offset, self._whole), jumped=jumped, stray=stray)

    def _usual(self) -> int:
        """The median of what the timestamps say around here."""
        return median_low([off for _, off in self._past] + [one.off for one in self._waiting])

    def _steps(self, off: int) -> bool:
        """All timestamps before agree with the offset in use, and all behind with `off`: no jitter, a lost frame."""
        behind = [one.off for one in islice(self._waiting, WITNESSES_OF_STEP)]
        before = [one[1] for one in list(self._past)[-1 - WITNESSES_OF_STEP : -1]]
        most = WITNESSES_OF_STEP if self._offset is None else 2
        return (
            len(behind) >= most
            and len(before) == (0 if self._offset is None else WITNESSES_OF_STEP)
            and all(map(self._agrees, before))
            and all(abs(one - off) <= self._drift for one in behind)
        )

    def _agrees(self, off: int) -> bool:
        return self._offset is not None and abs(off - self._offset) <= self._drift


def kind_of(frame: av.AudioFrame) -> tuple[int, str, str]:
    """What must not change inside a run: rate, layout and format."""
    return frame.sample_rate, frame.layout.name, frame.format.name

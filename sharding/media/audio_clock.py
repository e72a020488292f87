"""When each decoded piece of sound is heard, though its timestamps are rounded, jitter, jump or run at another pace.

Inside a run sound is continuous and the count of samples tells the time, up to an offset: the median of what the
timestamps say within SETTLE_S on either side. So single strays move nothing, a gap is found where it is, and a sound
clock that runs fast or slow is followed. A jump begins a new run. All arithmetic is on integers.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from statistics import median_low
from typing import Any

import av

from sharding.media.stream import without_strays

JUMP_S = Fraction(3, 100)
"""From one frame to the next; more is a gap or an overlap. Remuxed web video jitters by up to 21 ms and comes back."""
SETTLE_S = 1
MOST_FRAMES = 200
"""On either side; some codecs have frames of a millisecond."""
DRIFT_S = Fraction(1, 1000)
"""The offset is followed in steps of more than this: timestamps in whole milliseconds wander by less."""
STRAY_S = 1
MOST_STRAYS = 16
"""So few frames that stand so far ahead of those around them have a wrong timestamp: a transport stream writes one for
several."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """A frame of sound and its time."""

    frame: av.AudioFrame
    start: Fraction | None
    """Seconds; None when it follows the frame before without a break."""
    jumped: bool
    """The timestamps say that it does not follow what came before."""


def heard(frames: Iterator[av.AudioFrame], tick: Fraction, first: Fraction) -> Iterator[Heard]:
    """Times on the stored timeline of `tick` seconds; `first` is when a frame without a timestamp begins."""
    run: _Run | None = None
    for _, frame in without_strays(_stamped(frames), far=round(STRAY_S / tick), most=MOST_STRAYS):
        if run is not None and run.takes(frame):
            yield from run.add(frame)
            continue
        after = None
        if run is not None:
            yield from run.finish()
            after = run.end
        run = _Run(frame, tick, first if after is None else after, jumped=after is not None)
        yield from run.add(frame)
    if run is not None:
        yield from run.finish()


def _stamped(frames: Iterator[av.AudioFrame]) -> Iterator[tuple[int, av.AudioFrame]]:
    """Frames with their ticks; one that has none stands where the last one does."""
    tick = 0
    for frame in frames:
        tick = tick if frame.pts is None else frame.pts
        yield tick, frame


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
        self._waiting = deque[tuple[int, int, av.AudioFrame]]()

    @property
    def end(self) -> Fraction:
        """When the next frame would be heard."""
        return Fraction(self._count + (self._offset or 0), self._whole)

    def takes(self, frame: av.AudioFrame) -> bool:
        """`frame` is of the same kind, and there is no jump before it."""
        if _kind_of(frame) != self._kind:
            return False
        return frame.pts is None or abs(self._off_of(frame) - self._off) <= self._jump

    def add(self, frame: av.AudioFrame) -> Iterator[Heard]:
        if frame.pts is not None:
            self._off = self._off_of(frame)
        self._waiting.append((self._count, self._off, frame))
        self._count += frame.samples * self._per_sample
        while self._waiting[-1][0] - self._waiting[0][0] >= self._settle or len(self._waiting) > MOST_FRAMES:
            yield self._next()

    def finish(self) -> Iterator[Heard]:
        """What was held back."""
        while self._waiting:
            yield self._next()

    def _off_of(self, frame: Any) -> int:
        return frame.pts * self._per_tick - self._count

    def _next(self) -> Heard:
        count, off, frame = self._waiting[0]
        while self._past and count - self._past[0][0] > self._settle:
            self._past.popleft()
        self._past.append((count, off))
        self._waiting.popleft()
        if self._agrees(off):
            return Heard(frame=frame, start=None, jumped=False)
        offset = median_low(one[1] for one in (*self._past, *self._waiting))
        if self._agrees(offset):
            return Heard(frame=frame, start=None, jumped=False)
        jumped = self._jumped if self._offset is None else True
        self._offset = offset
        return Heard(frame=frame, start=Fraction(count + offset, self._whole), jumped=jumped)

    def _agrees(self, off: int) -> bool:
        return self._offset is not None and abs(off - self._offset) <= self._drift


def _kind_of(frame: av.AudioFrame) -> tuple[int, str, str]:
    return frame.sample_rate, frame.layout.name, frame.format.name

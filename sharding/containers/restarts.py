"""Where the clock of a file starts again, and one timeline of all its stretches.

Joined recordings, cells of a DVD, a wrap of 33 bits (ISO/IEC 13818-1, 2.4.3.7): from some packet on the times of
picture and sound begin anew. What lies between two restarts is a stretch with a clock of its own. Stretches are laid
one after the other, further apart than any clip may reach, so that nothing is ever placed across a restart.

A restart is believed when the packets after it go on from there; a single wrong time is none. Both streams must have
it: where only one of them starts again, nobody knows how picture and sound belong together.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, lcm

import numpy as np

from sharding.containers.packet_times import PacketTimes, Shift, StretchTimes, Ticks
from sharding.containers.stretches import HOLE_S
from sharding.errors import RejectError, RejectReason

BACK_S = Fraction(1, 10)
"""A clock that goes back by more than this, and stays, has started again. Less is an overlap, which costs itself."""
REORDER_S = 1
"""The same where nothing but times of presentation is known: those of B-frames go back, too."""
ALONE_S = 1
"""A stream that goes back by less than this without the other overlaps itself."""
AHEAD_S = 3600
"""A clock that leaps ahead by more than this has been set anew; a shorter leap is a hole."""
WITNESSES, WITNESS_S = 8, 1
"""So many packets behind a restart, and those of so long, must agree that the clock is another one: a transport stream
has one time for many frames of sound."""
FEWEST_BEFORE = 3
"""Packets; fewer at the head of a file have wrong times, and no clock of their own."""
APART_S = 10
"""Picture and sound of one moment stand no further apart in a file."""
GAP_S = 2 * HOLE_S
"""Between two stretches on the timeline."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Restart:
    """Where one stream's clock starts again."""

    packet: int
    """The stream's first packet behind it."""
    number: int
    """Of that packet among those of all streams."""
    back: Fraction
    """By how many seconds the clock went back; below 0 when it leapt ahead."""


def restarts(times: PacketTimes) -> list[Restart]:
    """Of one stream, in order."""
    packets, clock = times.clock()
    tick, found, since = times.tick, list[Restart](), 0
    if len(clock) < 2:
        return []
    steps = np.diff(clock)
    usual = times.pace
    back = max(int((REORDER_S if _reordered(times) else BACK_S) / tick), 2 * usual)
    ahead = int(AHEAD_S / tick)
    most = max(WITNESSES, int(WITNESS_S / tick) // usual)
    for suspect in (np.flatnonzero((steps < -back) | (steps > ahead)) + 1).tolist():
        low, high = max(since, suspect - most), min(len(clock), suspect + most)
        if packets[high - 1] - packets[suspect] < WITNESSES - 1 or suspect - low < FEWEST_BEFORE:
            continue
        leap = _leap(clock[low:suspect], clock[suspect:high], usual)
        if leap < -back or leap > ahead:
            packet = int(packets[suspect])
            found.append(Restart(packet=packet, number=int(times.numbers[packet]), back=-leap * tick))
            since = suspect
    return found


def _reordered(times: PacketTimes) -> bool:
    """Its clock cannot tell a restart from the order of B-frames."""
    return times.kind == "video" and not times.has_decode_times


def _leap(before: Ticks, after: Ticks, usual: int) -> int:
    """By how much the clock `after` is ahead of the one `before`; single strays on either side do not matter."""
    expected = np.median(before - usual * np.arange(-len(before), 0))
    return int(np.median(after - usual * np.arange(len(after))) - expected)


def lay_out(video: PacketTimes, audio: PacketTimes) -> int:
    """Give both streams their shifts, so that each stretch follows the one before; how many restarts there are.

    Raises RejectError, corrupt, when only one of them starts again.
    """
    pairs = _paired(video, audio)
    if not pairs:
        return 0
    video.shifts = tuple(Shift(packet=one.packet, ticks=0) for one, _ in pairs)
    audio.shifts = tuple(Shift(packet=one.packet, ticks=0) for _, one in pairs)
    step = lcm(video.tick.numerator, audio.tick.numerator)  # seconds that are whole ticks of both
    shifts: list[int] = []
    parts = [one.parts() for one in (video, audio)]
    end = max(_end(one, part[0]) for one, part in zip((video, audio), parts, strict=True))
    for number in range(1, len(pairs) + 1):
        there = [(one, part[number]) for one, part in zip((video, audio), parts, strict=True)]
        start = min((part.first * one.tick for one, part in there if part), default=end)
        shifts.append(ceil((end + GAP_S - start) / step) * step)
        end = max([end, *(_end(one, part) + shifts[-1] for one, part in there if part)])
    for times in (video, audio):
        times.shifts = tuple(
            Shift(packet=shift.packet, ticks=int(seconds / times.tick))
            for shift, seconds in zip(times.shifts, shifts, strict=True)
        )
    return len(pairs)


def _end(times: PacketTimes, part: StretchTimes | None) -> Fraction:
    return Fraction(0) if part is None else part.end(times.kind, times.tick)


def _paired(video: PacketTimes, audio: PacketTimes) -> list[tuple[Restart, Restart]]:
    """Restarts of both, side by side; of one alone only where the other has nothing more to say."""
    pictures, sounds = restarts(video), restarts(audio)
    pairs = list[tuple[Restart, Restart]]()
    while pictures or sounds:
        if pictures and sounds and _belong(pictures, sounds) and _beside(pictures[0], sounds[0], video, audio):
            pairs.append((pictures.pop(0), sounds.pop(0)))
            continue
        alone = min(pictures[:1] + sounds[:1], key=lambda one: one.number)
        mine, other = (pictures, audio) if alone in pictures else (sounds, video)
        mine.pop(0)
        first = int(np.searchsorted(other.numbers, alone.number))
        stop = int(np.searchsorted(other.numbers, mine[0].number)) if mine else other.packets
        if alone.back < ALONE_S:
            continue
        if stop - first < WITNESSES:  # what there is of the other one still belongs to the stretch before
            silent = Restart(packet=stop, number=alone.number, back=alone.back)
            pairs.append((alone, silent) if other is audio else (silent, alone))
        else:
            raise _contradiction("sound" if other is video else "picture", alone)
    return pairs


def _belong(pictures: list[Restart], sounds: list[Restart]) -> bool:
    """Neither of the first two stands nearer to the other stream's second one."""
    apart = abs(pictures[0].number - sounds[0].number)
    others = [abs(one.number - sounds[0].number) for one in pictures[1:2]]
    others += [abs(one.number - pictures[0].number) for one in sounds[1:2]]
    return apart <= min(others, default=apart)


def _beside(one: Restart, other: Restart, video: PacketTimes, audio: PacketTimes) -> bool:
    """Between the two there is no more than interleaving takes."""
    low, high = sorted((one.number, other.number))
    lengths = []
    for times in (video, audio):
        first, stop = np.searchsorted(times.numbers, (low, high))
        lengths.append(_content(times, int(first), int(stop)))
    return max(lengths) <= APART_S


def _content(times: PacketTimes, first: int, stop: int) -> Fraction:
    """Seconds that these packets last, whatever their clock says."""
    packets, _ = times.clock()
    return max(0, stop - first) * times.pace * times.tick * Fraction(len(packets), times.packets)


def _contradiction(name: str, alone: Restart) -> RejectError:
    other = {"picture": "sound", "sound": "picture"}[name]
    return RejectError(
        RejectReason.CORRUPT,
        f"the clock of its {name} goes back by {float(alone.back):.1f} s and that of its {other} does not: "
        "nobody knows which belong together; make the file anew from its recordings",
    )

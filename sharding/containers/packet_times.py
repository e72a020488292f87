"""When the packets of one stream are: its first and last moment, where it has holes, and where its clock starts again.

Nothing is decoded. All times are ticks of the stream's time base, as stored, until `restarts.py` has laid the stretches
of a clock that starts again one after the other.
"""

from array import array
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from sharding.containers.edits import Edit
from sharding.containers.stretches import HOLE_S, Stretch, joined
from sharding.errors import RejectError, RejectReason

MAX_TAIL_S = {"video": Fraction(1), "audio": Fraction(1, 4)}
"""Longest believed duration of a stream's last packet: containers are known to write nonsense there."""
FARTHEST = 2**55
"""Ticks; no clock counts so far, and sums of what is nearer stay whole numbers of 64 bits."""
NO_TIME = -(2**62)
MOSTLY = 0.9
KEY, DISCARD = 1, 2
FAR_S, FEW = 3600, 8
"""So few packets that are so far from all others have wrong times."""
ONE_FRAME = frozenset(("aac", "mp3", "mp2", "ac3"))
"""Codecs whose packets hold one frame, and frames are as long as each other."""
MOST_APART = 4
"""What most packets of sound last, at most, from one to the next: high-efficiency AAC counts half of its samples."""
MOST_LEADING = 32
"""Pictures that are shown before a key frame and decoded after it; no codec has more."""
COLUMNS = 7
"""Number in the file, pts, dts, duration, first byte, size, flags."""

Ticks = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Shift:
    """From some packet on, a stream's stored times are moved: its clock had started again."""

    packet: int
    """Number of the first packet of the stream that this holds for."""
    ticks: int
    """To add to what is stored."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamFacts:
    """One stream of a source."""

    index: int
    start: Fraction
    """First presentation time that is shown or heard, seconds."""
    end: Fraction
    """When its last packet is over, seconds."""
    packets: int
    timed: bool
    """Every packet has a presentation timestamp."""
    origin: Fraction = Fraction(0)
    """Subtract this from its stored timestamps, after its shifts."""
    shifts: tuple[Shift, ...] = ()
    by_decode_times: bool = False
    """Nothing else is stored (AVI)."""
    edits: tuple[Edit, ...] = ()
    """What of its media is played when; then its stored times are those of the media. Empty: all is, as it is."""
    decode_order: bool = False
    """Its times never go back from packet to packet: the n-th picture shown appears at the n-th of them."""
    depth: int = 0
    """So many pictures are decoded before one is shown; told where times of decoding are stored, and pictures held."""
    pace: int = 0
    """Ticks from one packet to the next; told with `depth`."""
    timed_at: frozenset[int] | None = None
    """First bytes of the packets that have a time of their own; FFmpeg has filled in the others. None: all may have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StretchTimes:
    """First and last moment of a stream between two restarts of its clock; ticks, moved by its shift."""

    first: int
    last: int
    first_key: int | None
    usual: int
    """From one packet to the next, last seen."""
    last_duration: int

    def start(self, kind: str) -> int:
        """Of what is shown: pictures before the first key frame do not decode."""
        return max(self.first, self.first_key) if kind == "video" and self.first_key is not None else self.first

    def tail(self, kind: str, tick: Fraction) -> Fraction:
        """How long the last packet lasts, seconds."""
        return min((self.last_duration or self.usual) * tick, MAX_TAIL_S[kind])

    def end(self, kind: str, tick: Fraction) -> Fraction:
        """When its last packet is over, seconds."""
        return self.last * tick + self.tail(kind, tick)


@dataclass(kw_only=True, slots=True)
class PacketTimes:
    """The packets of one stream, gathered one by one."""

    kind: str
    tick: Fraction
    by_decode_times: bool = False
    """See StreamFacts."""
    skipped: int = 0
    """Samples of the first packet that are not heard: an encoder's priming."""
    shifts: tuple[Shift, ...] = ()
    """As restarts.py has found them."""
    pictures: int = 0
    """Packets that are more than a repeat of the one before."""
    _rows: "array[int]" = field(default_factory=lambda: array("q"))
    _heard: bool = False

    def add(self, number: int, packet: "av.Packet[Any]") -> None:
        """The next packet; `number` counts those of all streams."""
        flags = (packet.is_keyframe and KEY) + (packet.is_discard and DISCARD)
        pts, dts = (NO_TIME if one is None or abs(one) > FARTHEST else one for one in (packet.pts, packet.dts))
        duration = min(packet.duration or 0, FARTHEST)
        self._rows.extend((number, pts, dts, duration, packet.pos or 0, packet.size, flags))
        self.pictures += packet.size > 0
        if not self._heard and self.kind == "audio" and not packet.is_discard:
            self._heard, self.skipped = True, _priming(packet)

    @property
    def packets(self) -> int:
        return len(self._rows) // COLUMNS

    @property
    def numbers(self) -> Ticks:
        """Of its packets, among those of all streams."""
        return self._columns()[:, 0]

    @property
    def reach(self) -> int:
        """Bytes of the file up to where a packet has ended."""
        table = self._columns()
        return int((table[:, 4] + table[:, 5]).max(initial=0))

    def places(self) -> list[tuple[int, int, int]]:
        """Of each packet that has a time: its first byte, its time as stored, its duration."""
        table = self._columns()
        return [tuple(row) for row in table[table[:, 2] != NO_TIME][:, (4, 2, 3)].tolist()]

    @property
    def discarded(self) -> int:
        return int(((self._columns()[:, 6] & DISCARD) != 0).sum())

    @property
    def head(self) -> tuple[int | None, int | None]:
        """Byte and time of the very first packet, discarded or not."""
        if not self.packets:
            return None, None
        pts, byte = int(self._rows[1]), int(self._rows[4])
        return byte, None if pts == NO_TIME else pts

    def clock(self) -> tuple[Ticks, Ticks]:
        """Numbers of the packets that have a time, among the stream's, and what rises from one to the next.

        That is their decode times where they have them, else presentation times, as stored.
        """
        table = self._columns()
        when = np.where(table[:, 2] == NO_TIME, table[:, 1], table[:, 2])
        known = np.flatnonzero(when != NO_TIME)
        return known, when[known]

    @property
    def has_decode_times(self) -> bool:
        table = self._columns()
        return bool((table[:, 2] != NO_TIME).mean() > MOSTLY) if len(table) else False

    def parts(self) -> list[StretchTimes | None]:
        """One, and one more for each shift; None where no packet has a time."""
        table, when = self._columns(), self._shown()
        edges = [0, *(shift.packet for shift in self.shifts), len(when)]
        far = int(FAR_S / self.tick)
        return [_stretch(table[start:stop], when[start:stop], far) for start, stop in pairwise(edges)]

    @property
    def pace(self) -> int:
        """Ticks from one packet that has a time to the next, mostly."""
        steps = np.diff(self.clock()[1])
        return max(1, int(np.median(steps[steps > 0]))) if (steps > 0).any() else 1

    def keeps_pace_of(self, filled: "PacketTimes") -> bool:
        """From one of its times to the next it is mostly as long as the packets last that FFmpeg has `filled` in."""
        known, when = self.clock()
        lasts = np.cumsum(np.r_[0, filled._columns()[:, 3]])
        if not len(known) or known[-1] >= len(lasts):
            return False
        off = np.abs(np.diff(when) - np.diff(lasts[known]))
        return bool((off < filled.pace).mean() > 0.5) if len(off) else True

    @property
    def is_even(self) -> bool:
        """None is held for twice as long as most."""
        return bool((np.diff(self.clock()[1]) < 2 * self.pace).all())

    def check_pace(self, stream: Any) -> None:
        """Raises RejectError, corrupt, when most packets of sound stand far apart: then their clock is wrong.

        Sound with silence left out has packets that follow each other, and gaps.
        """
        packets, clock = self.clock()
        context = stream.codec_context
        if context.codec.canonical_name not in ONE_FRAME or len(clock) < 2 or not context.frame_size:
            return
        lasts = Fraction(context.frame_size, context.sample_rate)
        step = float(np.median(np.diff(clock) / np.diff(packets))) * float(self.tick)
        if step > MOST_APART * lasts:
            raise RejectError(
                RejectReason.CORRUPT,
                f"its packets of sound stand {step:.3f} s apart and last {float(lasts):.3f} s each: the clock of its"
                " sound is damaged; copy it again from where it came from, or leave it out",
            )

    def facts(self, stream: Any) -> StreamFacts:
        """Raises RejectError when no packet has a time at all."""
        there = [part for part in self.parts() if part is not None]
        if not there:
            reason = RejectReason.NO_VIDEO if self.kind == "video" else RejectReason.NO_AUDIO
            if self.packets:
                reason = RejectReason.CORRUPT
            raise RejectError(reason, f"its {self.kind} stream has {self.packets} packets, none with a usable time")
        first, last = there[0], there[-1]
        return StreamFacts(
            index=stream.index,
            start=first.start(self.kind) * self.tick + self.priming(stream),
            end=last.end(self.kind, self.tick),
            packets=self.packets,
            timed=not bool((self._columns()[:, 1] == NO_TIME).any()),
            shifts=self.shifts,
            by_decode_times=self.by_decode_times,
            decode_order=self._rises(),
        )

    def priming(self, stream: Any) -> Fraction:
        """Seconds of the first packet that are not heard."""
        return Fraction(self.skipped, stream.codec_context.sample_rate or 1) if self.skipped else Fraction(0)

    def runs_until(self, end: Fraction, origin: Fraction) -> tuple[Stretch, ...]:
        """Times of packets that stand together, see Probe.runs. The last picture stays until `end`, others as usual."""
        shown = self._shown()
        shown = np.sort(shown[(shown != NO_TIME) & ((self._columns()[:, 6] & DISCARD) == 0)])
        if not len(shown):
            return ()
        usual = next(part.usual for part in reversed(self.parts()) if part is not None) * self.tick
        last = int(shown[-1])
        holes = np.flatnonzero(np.diff(shown) > int(HOLE_S / self.tick))
        starts, stops = shown[np.r_[0, holes + 1]], shown[np.r_[holes, len(shown) - 1]]
        tail = min(usual, MAX_TAIL_S[self.kind])
        runs = [
            (first * self.tick, end if stop == last else stop * self.tick + tail)
            for first, stop in zip(starts.tolist(), stops.tolist(), strict=True)
        ]
        return tuple((start - origin, stop - origin) for start, stop in joined(runs))

    def _rises(self) -> bool:
        shown = self._shown()
        return bool((np.diff(shown[shown != NO_TIME]) >= 0).all())

    def _columns(self) -> Ticks:
        return np.frombuffer(self._rows, np.int64).reshape(-1, COLUMNS) if self._rows else np.zeros((0, 7), np.int64)

    def _shown(self) -> Ticks:
        """(P,) when each packet is shown or heard, moved by its shift; NO_TIME where nobody knows, or it never is."""
        table = self._columns()
        order = (2, 1) if self.by_decode_times else (1, 2)
        when = np.where(table[:, order[0]] == NO_TIME, table[:, order[1]], table[:, order[0]])
        stops = [*(one.packet for one in self.shifts[1:]), len(when)]
        for shift, stop in zip(self.shifts, stops, strict=False):
            part = when[shift.packet : stop]
            part[part != NO_TIME] += shift.ticks
        return when


def _stretch(table: Ticks, when: Ticks, far: int) -> StretchTimes | None:
    known = when != NO_TIME
    keys = np.flatnonzero(known & ((table[:, 6] & KEY) != 0))
    shown = known & ((table[:, 6] & DISCARD) == 0)
    if not shown.any():
        return None
    first_key = int(when[keys[0]]) if len(keys) else None  # a discarded key frame still starts the decoder
    if first_key is not None and (when[keys[0] :][known[keys[0] :]] < first_key).sum() > MOST_LEADING:
        first_key = None  # its time is wrong
    shown = _near(when, shown, far)
    times, durations = when[shown], table[shown, 3]
    highest = np.maximum.accumulate(times)
    rises = np.flatnonzero(times[1:] > highest[:-1]) + 1
    last = len(times) - 1 - int(np.argmax(times[::-1]))
    return StretchTimes(
        first=int(times.min()),
        last=int(times[last]),
        first_key=first_key,
        usual=int(times[rises[-1]] - highest[rises[-1] - 1]) if len(rises) else 0,
        last_duration=int(durations[last]),
    )


def _near(when: Ticks, shown: NDArray[np.bool_], far: int) -> NDArray[np.bool_]:
    """Without a few packets whose times are far from those of all others."""
    order = np.flatnonzero(shown)[np.argsort(when[shown], kind="stable")]
    groups = np.split(order, np.flatnonzero(np.diff(when[order]) > far) + 1)
    if len(groups) == 1:
        return shown
    most = max(map(len, groups))
    near = np.zeros_like(shown)
    near[np.concatenate([one for one in groups if len(one) > FEW or len(one) == most])] = True
    return near


def _priming(packet: "av.Packet[Any]") -> int:
    """Samples that the container says to leave out at the start of a packet."""
    if not packet.has_sidedata("skip_samples"):
        return 0
    return int.from_bytes(bytes(packet.get_sidedata("skip_samples"))[:4], "little")

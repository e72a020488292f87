"""When the packets of one stream are: its first and last moment, and where it has holes. Nothing is decoded."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av

from sharding.errors import RejectError, RejectReason

MAX_TAIL_S = {"video": Fraction(1), "audio": Fraction(1, 4)}
"""Longest believed duration of a stream's last packet: containers are known to write nonsense there."""
HOLE_S = 10
"""Where no picture appears for longer than this, nothing is shown."""
MAX_HOLES = 100

Stretch = tuple[Fraction, Fraction]
"""Start and end, seconds on a source's timeline."""


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
    """Subtract this from its stored timestamps."""


@dataclass(kw_only=True, slots=True)
class PacketTimes:
    """First and last time of one stream, gathered packet by packet, in ticks of its time base."""

    kind: str
    tick: Fraction | None
    packets: int = 0
    untimed: int = 0
    head: tuple[int | None, int | None] = None, None
    """Byte and time of the very first, discarded or not."""
    reach: int = 0
    """Bytes of the file up to where a packet has ended."""
    discarded: int = 0
    first: int | None = None
    skipped: int = 0
    """Samples of the first packet that are not heard: an encoder's priming."""
    last: int | None = None
    last_duration: int = 0
    first_key: int | None = None
    usual_duration: int = 0
    runs: list[list[int]] = field(default_factory=list)
    """First and last time of packets that stand together, see Probe.runs."""
    hole: int = 0
    """HOLE_S in ticks."""

    def __post_init__(self) -> None:
        self.hole = int(HOLE_S / (self.tick or 1))

    def add(self, packet: "av.Packet[Any]") -> None:
        if not self.packets:
            self.head = packet.pos, packet.pts
        self.packets += 1
        self.reach = max(self.reach, (packet.pos or 0) + packet.size)
        self.discarded += packet.is_discard
        when = packet.pts if packet.pts is not None else packet.dts
        self.untimed += packet.pts is None
        if when is None:
            return
        if self.first_key is None and packet.is_keyframe:
            self.first_key = when  # a discarded key frame still starts the decoder
        if packet.is_discard:
            return
        if self.first is None and self.kind == "audio":
            self.skipped = _priming(packet)
        self.first = when if self.first is None else min(self.first, when)
        self._join(when)
        if self.last is not None and when > self.last:
            self.usual_duration = when - self.last
        if self.last is None or when >= self.last:
            self.last, self.last_duration = when, packet.duration or 0

    def facts(self, stream: Any) -> StreamFacts:
        """Raises RejectError when no packet has a time at all."""
        if self.first is None or self.last is None or self.tick is None:
            reason = RejectReason.NO_VIDEO if self.kind == "video" else RejectReason.NO_AUDIO
            if self.packets:
                reason = RejectReason.CORRUPT
            raise RejectError(reason, f"its {self.kind} stream has {self.packets} packets, none with a usable time")
        start = self.first
        if self.kind == "video" and self.first_key is not None:
            start = max(start, self.first_key)  # pictures before the first key frame do not decode
        skipped = Fraction(self.skipped, stream.codec_context.sample_rate or 1) if self.skipped else 0
        tail = Fraction(self.last_duration or self.usual_duration) * self.tick
        return StreamFacts(
            index=stream.index,
            start=start * self.tick + skipped,
            end=self.last * self.tick + min(tail, MAX_TAIL_S[self.kind]),
            packets=self.packets,
            timed=self.untimed == 0,
        )

    def _join(self, when: int) -> None:
        for run in reversed(self.runs):
            if run[0] - self.hole <= when <= run[1] + self.hole:
                run[0], run[1] = min(run[0], when), max(run[1], when)
                return
        if len(self.runs) < MAX_HOLES:
            self.runs.append([when, when])

    def runs_until(self, end: Fraction, origin: Fraction) -> tuple[tuple[Fraction, Fraction], ...]:
        """See Probe.runs. The last picture stays until `end`, the others as long as usual."""
        tick, tail = self.tick or Fraction(1), MAX_TAIL_S[self.kind]
        joined = list[tuple[Fraction, Fraction]]()
        for first, last in sorted(self.runs):
            start, stop = first * tick, last * tick + min(self.usual_duration * tick, tail)
            if joined and start - joined[-1][1] <= HOLE_S:
                before = joined.pop()
                start, stop = before[0], max(stop, before[1])
            joined.append((start, end if last == self.last else stop))
        return tuple((start - origin, stop - origin) for start, stop in joined)


def _priming(packet: "av.Packet[Any]") -> int:
    """Samples that the container says to leave out at the start of a packet."""
    if not packet.has_sidedata("skip_samples"):
        return 0
    return int.from_bytes(bytes(packet.get_sidedata("skip_samples"))[:4], "little")

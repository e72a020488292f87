"""One stream of one source, decoded in order, from any moment on. Damaged packets are counted, not fatal.

Where an edit list says what is played when, each edit is a pass of its own, from a key frame before it to its end.
"""

from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from heapq import heappop, heappush
from math import ceil, lcm
from types import MappingProxyType
from typing import Any, TypeVar

from av.codec.context import Flags
from av.error import FFmpegError

from sharding.containers.container import STORED_TIMES, BrokenFile, check_memory, demuxed, open_media
from sharding.containers.edits import IGNORED, UNSKIPPED, Edit
from sharding.containers.packet_times import FARTHEST, StreamFacts
from sharding.media.probe import MAX_PIXELS, Probe

SEEK_FROM_S = 30
"""What begins later than this is reached by seeking."""

MARGIN_S = 3
"""Before an edit, where nobody asks for another one."""
PIXEL_BYTES = 8
"""At most, of a decoder: four channels of 16 bits."""
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class PacketStats:
    """How many packets one stretch of a stream has."""

    packets: int
    refused: int
    """By the decoder."""


class PacketLog:
    """When a stream's packets were, in ticks, and which of them the decoder refused."""

    def __init__(self) -> None:
        self._taken, self._refused = array("q"), array("q")
        self._last, self._counts = 0, True

    def note(self, when: int | None, *, counts: bool = True) -> None:
        """Another packet, of this time, goes to the decoder; it does not count when only others need it."""
        self._last, self._counts = self._last if when is None else when, counts
        if counts:
            self._taken.append(self._last)

    def note_refusal(self) -> None:
        """The packet noted last was refused."""
        if self._counts:
            self._refused.append(self._last)

    def between(self, start: int, stop: int) -> PacketStats:
        """Of the packets noted so far. What comes before `stop` is forgotten: ask in ascending order."""
        packets, self._taken = _counted(self._taken, start, stop)
        refused, self._refused = _counted(self._refused, start, stop)
        return PacketStats(packets=packets, refused=refused)


def _counted(times: "array[int]", start: int, stop: int) -> "tuple[int, array[int]]":
    """How many times lie in start ... stop, and those that come later."""
    return sum(start <= time < stop for time in times), array("q", (time for time in times if time >= stop))


class Stamp(int):
    """A time on a packet or a frame, always an object of its own.

    PyAV keeps what is `opaque` by its identity, and drops it with the first packet or frame that goes. Equal small
    numbers are one object, and so is a number that is handed on.
    """


MOST_GIVEN = 256
"""Packets: more than decoders, and who waits for their frames, have at once."""


class PacketsInside:
    """Times of packets that a decoder was given, and whose frames have not come out yet."""

    def __init__(self) -> None:
        self._times, self._gone = list[int](), Counter[int]()
        self._given = deque[int](maxlen=MOST_GIVEN)

    def add(self, when: int | None) -> None:
        """A packet goes in."""
        if when is not None:
            heappush(self._times, when)
            self._given.append(when)

    def later(self, when: int, packets: int) -> int | None:
        """Time of the packet that was given so many after the one of `when`; None: not yet. Ask in ascending order."""
        while self._given and self._given[0] < when:
            self._given.popleft()
        return self._given[packets] if len(self._given) > packets else None

    def remove(self, when: int | None) -> None:
        """A packet's frame came out, or never will."""
        if when is not None:
            self._gone[when] += 1

    def forget_before(self, when: int) -> None:
        """What is earlier has no frame."""
        while self._times and self._times[0] < when:
            self._pop()

    def earliest(self) -> int | None:
        """Of those that may still come out."""
        while self._times and self._gone[self._times[0]]:
            self._pop()
        return self._times[0] if self._times else None

    def _pop(self) -> None:
        when = heappop(self._times)
        self._gone[when] -= 1
        if self._gone[when] <= 0:
            del self._gone[when]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Ticks:
    """An edit in ticks of the movie."""

    first: int
    stop: int
    per_stored: int
    """Of them in a tick of the media."""
    later: int

    @classmethod
    def of(cls, edit: Edit, tick: Fraction, stored: Fraction) -> "_Ticks":
        assert edit.media is not None and edit.stop is not None  # noqa: PT018
        return cls(
            first=int(edit.start / tick),
            stop=int(edit.stop / tick),
            per_stored=int(stored / tick),
            later=int((edit.start - edit.media) / tick),
        )

    def moved(self, stored: int) -> int:
        """When that moment of the media is played."""
        return stored * self.per_stored + self.later


def tick_of(edits: Sequence[Edit], stored: Fraction) -> Fraction:
    """Seconds; so that all times of the media, and all edits, are whole ticks in the movie."""
    moments = (one for edit in edits for one in (edit.start, edit.stop or 0, edit.start - (edit.media or 0)))
    return Fraction(1, lcm(*(moment.denominator for moment in moments), stored.denominator)) if edits else stored


class SourceStream:
    """An open file and the one stream of it that a timeline decodes.

    A packet is stamped before it goes to the decoder with its time as packing sees it, and the decoder hands that on
    with the frame (AV_CODEC_FLAG_COPY_OPAQUE): so a frame has the time of its packet, however frames are reordered.
    """

    def __init__(
        self, source: Probe, facts: StreamFacts, *, threads: int = 1, options: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self._source, self._facts, self._threads, self._options = source, facts, threads, options
        self._sounds = facts is source.audio
        self._start, self._margin_s = Fraction(0), MARGIN_S
        self._edit: _Ticks | None = None
        self._open()

    def _open(self) -> None:
        self._log = PacketLog()
        self.inside = PacketsInside()
        self.repeats = deque[int]()
        """When packets came that only say: the same picture again. Ticks, ascending as they come."""
        options = (STORED_TIMES if self._sounds else {}) | (IGNORED if self._facts.edits else {})
        self._container = open_media(self._source.path, **options)
        self.stream: Any = self._container.streams[self._facts.index]
        context = self.stream.codec_context
        context.options = {
            "max_pixels": str(2 * MAX_PIXELS),
            **self._options,
        }  # damage may claim any size; FFmpeg adds margins
        if self._facts.edits:
            context.options |= UNSKIPPED
        context.thread_count = self._threads  # files run in parallel; threads inside one decoder waste CPU
        context.flags |= Flags.copy_opaque
        self.tick = tick_of(self._facts.edits, self.stream.time_base)
        self._per_stored = int(self.stream.time_base / self.tick)

    def close(self) -> None:
        self._container.close()

    def passes(self) -> Iterator[Edit | None]:
        """Each edit to be played, in order, the file standing where its decoding begins; None: all, as it stands."""
        if not self._facts.edits:
            yield None
        for edit in self._facts.edits:
            if edit.media is not None and edit.stop is not None and edit.stop > self._start:
                self._enter(edit.media + max(Fraction(0), self._start - edit.start))
                self._edit = _Ticks.of(edit, self.tick, self.stream.time_base)
                yield edit

    def _enter(self, media: Fraction) -> None:
        """Stand at a key frame so early that decoders have settled at a moment of the media, or at the beginning."""
        self.inside = PacketsInside()
        when = media - self._margin_s
        if self._source.seekable and when > 0 and self._seek(when):
            try:
                head = next(demuxed(self._container, self.stream), None)
            except BrokenFile:
                head = None
            time = None if head is None else self._time_of(head)
            if time is not None and time * self.stream.time_base <= media and self._seek(when):
                return
        log, repeats = self._log, self.repeats
        self.close()
        self._open()
        self._log, self.repeats = log, repeats

    def frames(self) -> Iterator[Any]:
        """Frames in decoder order, from where the file stands; a picture's `opaque` is the time of its packet in ticks.

        Damaged packets are counted. Raises RejectError, unreadable, when the disk fails, and MemoryError.
        """
        packets, number = demuxed(self._container, self.stream), 0
        shifts = deque(self._facts.shifts)
        shift = 0
        while True:
            try:
                packet = next(packets, None)
            except BrokenFile:  # a damaged tail; the probe stopped at the same place
                self._log.note(None)
                self._log.note_refusal()
                packet = None
            if packet is None:
                yield from self._decode(None)
                return
            while shifts and number >= shifts[0].packet:
                shift = shifts.popleft().ticks
            number += packet.size > 0 or packet.pts is not None or packet.dts is not None
            yield from self._frames_of(packet, shift)

    def _frames_of(self, packet: Any, shift: int) -> Iterator[Any]:
        when = self._time_of(packet)
        when = None if when is None else when + shift
        stored, counts = when, True
        if self._edit is not None and when is not None:
            when = self._edit.moved(when)
            counts = self._edit.first <= when < self._edit.stop
        if not packet.size:  # FFmpeg's own last one has no time; an empty one that has repeats what was shown
            if when is not None and counts:
                self.repeats.append(when)
            return
        packet.opaque = None if when is None else Stamp(when)
        if self._sounds:  # decoders move this one by the samples that they leave out
            packet.pts = stored
        self._log.note(None if when is None else when // self._per_stored, counts=counts)
        if self._facts.decode_order and not self._sounds and not packet.is_discard:  # nobody asks otherwise
            self.inside.add(when)
        yield from self._decode(packet)

    def _decode(self, packet: Any) -> Iterator[Any]:
        context = self.stream.codec_context
        try:
            for frame in context.decode(packet):
                if self._sounds:  # MPEG audio's decoder names the rate of the frame before
                    frame.sample_rate = context.sample_rate
                yield frame
        except MemoryError:  # FFmpeg's own is an FFmpegError, too
            raise
        except FFmpegError as error:
            check_memory(error, getattr(self.stream, "width", 0) * getattr(self.stream, "height", 0) * PIXEL_BYTES)
            if packet is not None:
                self._log.note_refusal()
                self.inside.remove(packet.opaque)

    def _time_of(self, packet: Any) -> int | None:
        """Ticks as stored, by the column that the probe found to be right."""
        if self._facts.timed_at is not None and packet.pos not in self._facts.timed_at:
            return None
        first, second = (packet.dts, packet.pts) if self._facts.by_decode_times else (packet.pts, packet.dts)
        if first is None and self._sounds:
            first = second  # sound is heard in the order it is decoded in
        return None if first is None or abs(first) > FARTHEST else first

    def stats(self, start: Fraction, stop: Fraction) -> PacketStats:
        """Of the packets of this stretch, seconds; ask in ascending order, when it has been decoded."""
        first, end = (ceil((edge + self._facts.origin) / self.stream.time_base) for edge in (start, stop))
        return self._log.between(first, end)

    def placed_from(
        self, start: Fraction, margin_s: int, first: int, located: Callable[[], Iterator[tuple[int, T]]]
    ) -> Iterator[tuple[int, T]]:
        """What `located` makes of the frames, (position, thing), from at or before position `first` at `start` seconds.

        A late start is sought, `margin_s` before it: decoders need some packets to settle.
        """
        self._start, self._margin_s = start, margin_s
        if self._facts.edits:  # each pass is sought on its own
            yield from located()
            return
        if self._source.seekable and start > SEEK_FROM_S:
            things = located() if self._seek(start - margin_s) else iter(())
            head = next(things, None)
            if head is not None and head[0] <= first:
                yield head
                yield from things
                return
            self.close()  # there is no index, or it lied: read from the beginning
            self._open()
        yield from located()

    def _seek(self, when: Fraction) -> bool:
        """Go to the key frame at or before `when`; False when the file cannot."""
        try:
            self._container.seek(
                int((when + self._facts.origin) / self.stream.time_base), stream=self.stream, backward=True
            )
        except MemoryError:
            raise
        except FFmpegError:  # if it is the disk, reading from the beginning tells
            return False
        return True

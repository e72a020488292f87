"""One stream of one source, decoded in order, from any moment on. Damaged packets are counted, not fatal."""

from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from heapq import heappop, heappush
from math import ceil
from typing import Any, TypeVar

from av.codec.context import Flags
from av.error import FFmpegError

from sharding.media.container import STORED_TIMES, BrokenFile, check_memory, demuxed, open_media
from sharding.media.packet_times import FARTHEST, StreamFacts
from sharding.media.probe import MAX_PIXELS, Probe

SEEK_FROM_S = 30
"""What begins later than this is reached by seeking."""

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
        self._last = 0

    def note(self, when: int | None) -> None:
        """Another packet, of this time, goes to the decoder."""
        self._last = self._last if when is None else when
        self._taken.append(self._last)

    def note_refusal(self) -> None:
        """The packet noted last was refused."""
        self._refused.append(self._last)

    def between(self, start: int, stop: int) -> PacketStats:
        """Of the packets noted so far. What comes before `stop` is forgotten: ask in ascending order."""
        packets, self._taken = _counted(self._taken, start, stop)
        refused, self._refused = _counted(self._refused, start, stop)
        return PacketStats(packets=packets, refused=refused)


def _counted(times: "array[int]", start: int, stop: int) -> "tuple[int, array[int]]":
    """How many times lie in start ... stop, and those that come later."""
    return sum(start <= time < stop for time in times), array("q", (time for time in times if time >= stop))


class PacketsInside:
    """Times of packets that a decoder was given, and whose frames have not come out yet."""

    def __init__(self) -> None:
        self._times, self._gone = list[int](), Counter[int]()

    def add(self, when: int | None) -> None:
        """A packet goes in."""
        if when is not None:
            heappush(self._times, when)

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


class SourceStream:
    """An open file and the one stream of it that a timeline decodes.

    A packet is stamped before it goes to the decoder with its time as packing sees it, and the decoder hands that on
    with the frame (AV_CODEC_FLAG_COPY_OPAQUE): so a frame has the time of its packet, however frames are reordered.
    """

    def __init__(self, source: Probe, facts: StreamFacts, *, threads: int = 1) -> None:
        self._source, self._facts, self._threads = source, facts, threads
        self._sounds = facts is source.audio
        self._open()

    def _open(self) -> None:
        self._log = PacketLog()
        self.inside = PacketsInside()
        self.repeats = deque[int]()
        """When packets came that only say: the same picture again. Ticks, ascending as they come."""
        options = STORED_TIMES if self._sounds else {}
        self._container = open_media(self._source.path, **options)
        self.stream: Any = self._container.streams[self._facts.index]
        context = self.stream.codec_context
        context.options = {"max_pixels": str(2 * MAX_PIXELS)}  # damage may claim any size; FFmpeg adds margins
        context.thread_count = self._threads  # files run in parallel; threads inside one decoder waste CPU
        context.flags |= Flags.copy_opaque

    def close(self) -> None:
        self._container.close()

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
        if not packet.size:  # FFmpeg's own last one has no time; an empty one that has repeats what was shown
            if when is not None:
                self.repeats.append(when)
            return
        packet.opaque = when
        if self._sounds:  # decoders move this one by the samples that they leave out
            packet.pts = when
        self._log.note(when)
        if not packet.is_discard:
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

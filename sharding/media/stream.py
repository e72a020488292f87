"""One stream of one source, decoded in order, from any moment on. Damaged packets are counted, not fatal."""

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any, TypeVar

from av.error import FFmpegError

from sharding.media.container import BrokenFile, check_memory, demuxed, open_media
from sharding.media.packet_times import StreamFacts
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

    def note(self, packet: Any) -> None:
        """Another packet goes to the decoder; None stands for what cannot even be read."""
        when = None if packet is None else packet.pts if packet.pts is not None else packet.dts
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


def decoded(container: Any, stream: Any, log: PacketLog) -> Iterator[Any]:
    """A stream's frames in decoder order. Raises RejectError, unreadable, when the disk fails, and MemoryError."""
    packets = demuxed(container, stream)
    while True:
        try:
            packet = next(packets, None)
        except BrokenFile:  # a damaged tail; the probe stopped at the same place
            log.note(None)
            log.note_refusal()
            return
        if packet is None:
            return
        if packet.size:  # the last one is empty: it asks for what the decoder still holds
            log.note(packet)
        try:
            yield from packet.decode()
        except MemoryError:  # FFmpeg's own is an FFmpegError, too
            raise
        except FFmpegError as error:
            check_memory(error, getattr(stream, "width", 0) * getattr(stream, "height", 0) * PIXEL_BYTES)
            log.note_refusal()


def without_strays(things: Iterator[tuple[int, T]], far: int, most: int) -> Iterator[tuple[int, T]]:
    """Leave out up to `most` things in a row that stand `far` ahead of those before and after them.

    One wrong timestamp would else hide all that follows until its moment.
    """
    waiting = list[tuple[int, T]]()
    last: int | None = None
    for position, thing in things:
        if waiting and position < waiting[0][0]:
            waiting.clear()
        if waiting or (last is not None and position - last > far):
            waiting.append((position, thing))
            if len(waiting) <= most:
                continue
            yield from waiting
            waiting.clear()
        else:
            yield position, thing
        last = position
    yield from waiting


class SourceStream:
    """An open file and the one stream of it that a timeline decodes."""

    def __init__(self, source: Probe, facts: StreamFacts) -> None:
        self._source, self._facts = source, facts
        self._open()

    def _open(self) -> None:
        self._log = PacketLog()
        self._container = open_media(self._source.path)
        self.stream: Any = self._container.streams[self._facts.index]
        # damage may claim any size; FFmpeg adds margins
        self.stream.codec_context.options = {"max_pixels": str(2 * MAX_PIXELS)}
        self.stream.codec_context.thread_count = 1  # files run in parallel; threads inside one decoder waste CPU

    def close(self) -> None:
        self._container.close()

    def frames(self) -> Iterator[Any]:
        """Frames in decoder order, from where the file stands."""
        return decoded(self._container, self.stream, self._log)

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

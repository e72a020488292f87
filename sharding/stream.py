"""One stream of one source, decoded in order, from any moment on. Damaged packets are counted, not fatal."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeVar

from av.error import FFmpegError

from sharding.probe import Probe, open_media

SEEK_FROM_S = 30
"""What begins later than this is reached by seeking."""

T = TypeVar("T")


@dataclass(slots=True)
class Tally:
    """How a stream's packets fared."""

    packets: int = 0
    errors: int = 0
    """Packets that the decoder refused."""


def decoded(container: Any, stream: Any, tally: Tally) -> Iterator[Any]:
    """A stream's frames in decoder order."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except FFmpegError:
            packet = None  # a damaged tail; the probe stopped at the same place
            tally.errors += 1
        if packet is None:
            return
        tally.packets += 1
        try:
            yield from packet.decode()
        except FFmpegError:
            tally.errors += 1


class SourceStream:
    """An open file and the one stream of it that a lane decodes."""

    def __init__(self, source: Probe, index: int) -> None:
        self.tally = Tally()
        self._source, self._index = source, index
        self._open()

    def _open(self) -> None:
        self._container = open_media(self._source.path)
        self.stream: Any = self._container.streams[self._index]
        self.stream.codec_context.thread_count = 1  # files run in parallel; threads inside one decoder waste CPU

    def close(self) -> None:
        self._container.close()

    def frames(self) -> Iterator[Any]:
        """Frames in decoder order, from where the file stands."""
        return decoded(self._container, self.stream, self.tally)

    def placed_from(
        self, start: Fraction, margin_s: int, first: int, place: Callable[[], Iterator[tuple[int, T]]]
    ) -> Iterator[tuple[int, T]]:
        """What `place` makes of the frames, (position, thing), from at or before position `first` at `start` seconds.

        A late start is sought, `margin_s` before it: decoders need some packets to settle.
        """
        if self._source.seekable and start > SEEK_FROM_S:
            things = place() if self._seek(start - margin_s) else iter(())
            head = next(things, None)
            if head is not None and head[0] <= first:
                yield head
                yield from things
                return
            self.close()  # there is no index, or it lied: read from the beginning
            self._open()
        yield from place()

    def _seek(self, when: Fraction) -> bool:
        """Go to the key frame at or before `when`; False when the file cannot."""
        try:
            self._container.seek(int(when / self.stream.time_base), stream=self.stream, backward=True)
        except FFmpegError:
            return False
        return True

"""The boxes of MP4 and MOV, walked within bounds: a size, four letters, and a payload (ISO/IEC 14496-12, 4.2).

FFmpeg tells little of what they say. Hostile files lie about sizes, numbers and depths: nothing here recurses, reads a
payload that was not asked for, or reaches beyond the box around it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sharding.errors import RejectError, RejectReason

MOST_BOXES = 200_000
"""Looked at in one header: what has more, lies."""
MOST_FRAGMENT_BOXES = 5_000_000
"""Looked at in a whole file; those of a day in fragments of one picture."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MovieBox:
    """Four letters, and where its payload is."""

    kind: bytes
    start: int
    stop: int


class MovieBoxes:
    """The boxes of a file, level by level; payloads are skipped, and each look counts against `most`."""

    def __init__(self, file: BinaryIO, most: int = MOST_BOXES) -> None:
        self._file, self._most, self._looks = file, most, 0
        self.all = MovieBox(kind=b"", start=0, stop=file.seek(0, 2))

    def inside(self, parent: MovieBox) -> Iterator[MovieBox]:
        """MovieBoxes in `parent`, in order, up to the first that cannot be one; none reaches beyond it."""
        offset = parent.start
        while len(head := self._at(offset, min(16, parent.stop - offset))) >= 8:
            self._looks += 1
            if self._looks > self._most:
                raise RejectError(RejectReason.CORRUPT, f"it has more than {self._most} boxes")
            size, width = int.from_bytes(head[:4]), 8
            if size == 1:
                size, width = int.from_bytes(head[8:]), 16
            elif size == 0:  # to the end
                size = parent.stop - offset
            if size < width:
                return
            yield MovieBox(kind=head[4:8], start=offset + width, stop=min(offset + size, parent.stop))
            offset += size

    def named(self, kind: bytes, parent: MovieBox) -> Iterator[MovieBox]:
        return (box for box in self.inside(parent) if box.kind == kind)

    def body(self, box: MovieBox, most: int) -> bytes:
        """The payload, or the first `most` bytes of it."""
        return self._at(box.start, min(most, box.stop - box.start))

    def _at(self, offset: int, size: int) -> bytes:
        if size <= 0:
            return b""
        self._file.seek(offset)
        return self._file.read(size)


@contextmanager
def movie_boxes(path: Path, most: int = MOST_BOXES) -> Iterator[MovieBoxes]:
    """Those of a file. Inside, what the disk refuses becomes RejectError: unreadable."""
    try:
        with path.open("rb") as file:
            yield MovieBoxes(file, most)
    except OSError as error:
        raise RejectError(RejectReason.UNREADABLE, f"cannot be read: {error.strerror}") from error


def after_dates(body: bytes) -> int:
    """Of mvhd and mdhd the ticks a second, of tkhd the track's number; 0 where it is missing."""
    place = 20 if body[:1] == b"\1" else 12
    return int.from_bytes(body[place : place + 4])

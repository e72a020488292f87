"""Whether all chunks of an AVI are there: AVI has no times, FFmpeg counts pictures and sound.

So a chunk that is lost, repeated or renamed moves all that follows, and nothing looks or sounds wrong. But three
accounts say how much there should be: the index at the end of a file (idx1), the one of long files (OpenDML: indx and
ix##), and the length in a stream's header. One that agrees with what FFmpeg delivers is enough: an index may be damaged
itself, lengths may be rough, and captures that were stopped have neither.

Sources: Microsoft, AVI RIFF File Reference; OpenDML AVI File Format Extensions 1.02, section 3.
"""

import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from sharding.containers.container import ENDS, BrokenFile, demuxed, open_media
from sharding.containers.packet_times import PacketTimes
from sharding.containers.truncation import is_short
from sharding.errors import RejectError, RejectReason

AS_STORED = {"fflags": "noparse+nofillin"}
"""One packet for each chunk."""
LARGEST_HEAD = 2**20
"""Bytes before the first chunk."""
LARGEST_INDEX = 64 * 2**20
"""Bytes; a chunk takes 16, and a film of ten hours has two million."""
MOST_PARTS = 4096
"""Of an OpenDML index; each belongs to up to a gigabyte."""
MOST_CHUNKS = 5_000_000
"""Looked at in one file."""
LEAST_S = Fraction(1, 100)
"""Nobody hears less: a damaged size of PCM costs a few samples."""
MOST_TIMES = 4
"""A length that is wrong by such a factor is none."""
NO_MEDIA = frozenset((b"pc", b"ix"))
"""Chunks of a stream that are no part of it: changes of its palette, indexes."""
MEDIA = frozenset((b"dc", b"db", b"wb"))
"""What most chunks of picture and sound are called, after the number of their stream."""
REMEDY = "copy it again from where it came from, or leave it out"

_HEADER = re.compile(rb"strh....(?:vids|auds|mids|txts|iavs)", re.DOTALL)
_MOVI = re.compile(rb"LIST....movi", re.DOTALL)
_NAME = re.compile(rb"[ -~]{4}")
KINDS = {b"vids": "video", b"auds": "audio"}
NAMES = {"video": "pictures", "audio": "blocks of sound"}
Sizes = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Header:
    """What an AVI says of one stream."""

    kind: str
    length: int
    """Pictures; of sound chunks, blocks or samples, whatever its clock counts."""
    sample_bytes: int
    """Its clock counts these; 0: chunks, or blocks."""
    block_bytes: int
    parts: tuple[int, ...]
    """Byte at which each part of its OpenDML index begins."""


@dataclass(kw_only=True, slots=True)
class _Delivered:
    """The chunks of one stream that FFmpeg finds; of empty ones it tells nothing, but counts them."""

    chunks: "array[int]" = field(default_factory=lambda: array("q"))
    """Bytes of each; FFmpeg cuts long ones where time counts samples."""
    start: int = 0
    """Of the last one, by FFmpeg's clock."""
    byte: int = 0
    """Where the last one begins."""

    @property
    def sizes(self) -> Sizes:
        return np.array(self.chunks, np.int64)


def check_chunks(path: Path, streams: Sequence[Any], times: Sequence[PacketTimes]) -> None:
    """Raises RejectError, corrupt, when chunks of `streams` are missing, too many or moved, and nobody knows where."""
    delivered = _delivered(path, [stream.index for stream in streams])
    with path.open("rb") as file:
        headers, listed = _headers(file), _listed(file)
        for stream in streams:
            header = headers[stream.index] if stream.index < len(headers) else None
            if header is None or header.kind != stream.type:  # FFmpeg has read what we cannot (DV)
                continue
            there = delivered[stream.index]
            indexes = [one for one in (_long_index(file, header), listed.get(stream.index)) if one is not None]
            if any(_is_another_order(there.sizes, index) for index in indexes):
                fact = f"its {NAMES[header.kind]} stand in another order than its index lists"
                raise RejectError(RejectReason.CORRUPT, f"{fact}: one of the two is damaged; {REMEDY}")
            if _has_length(header, there) or any(_agrees(header, stream.time_base, there, one) for one in indexes):
                continue
            _judge(path, header, there, indexes)
            broken = _break(file)
            if broken < there.byte:
                fact = f"the chunk at or before byte {broken} is damaged, and no index says what is missing there"
                raise RejectError(RejectReason.CORRUPT, f"{fact}: its sound may be out of step behind it; {REMEDY}")


def _is_another_order(sizes: Sizes, index: Sizes) -> bool:
    listed = index[index > 0]
    same = len(listed) == len(sizes) and np.array_equal(np.sort(listed), np.sort(sizes))
    return same and not np.array_equal(listed, sizes)


def _has_length(header: _Header, there: _Delivered) -> bool:
    """What is there ends when the header says; FFmpeg's clock of sound is one of three."""
    last = {1}
    if header.kind == "audio" and there.chunks:
        last |= {-(-there.chunks[-1] // header.block_bytes)} if header.block_bytes else set()
        last |= {there.chunks[-1] // header.sample_bytes} if header.sample_bytes else set()
    return header.length - there.start in last


def _agrees(header: _Header, unit: Fraction, there: _Delivered, index: Sizes) -> bool:
    """An index lists what is there; `unit`: seconds of FFmpeg's clock."""
    shown = np.flatnonzero(index)
    if header.kind == "audio":
        slack = int(LEAST_S / unit) * header.sample_bytes
        chunks = len(shown) if header.sample_bytes else len(there.chunks)
        return len(shown) == chunks and abs(int(index.sum() - there.sizes.sum())) <= slack
    if len(shown) == len(index) == len(there.chunks):  # some writers list no empty chunks
        return True
    return len(shown) > 0 and int(shown[-1]) == there.start


def _judge(path: Path, header: _Header, there: _Delivered, indexes: Sequence[Sizes]) -> None:
    """No account agrees with what is there; an index is believed, a length when it is plausible."""
    count = there.start + 1 if header.kind == "video" else len(there.chunks)
    if indexes:
        fact = f"its index lists {len(indexes[0])} {NAMES[header.kind]} of {int(indexes[0].sum())} bytes"
    elif header.kind == "video" and header.length <= count * MOST_TIMES and count <= header.length * MOST_TIMES:
        if header.length > count and is_short(path, "avi"):  # it was cut off: what is there is whole
            return
        fact = f"its header counts {header.length} pictures"
    else:
        return
    raise RejectError(
        RejectReason.CORRUPT,
        f"{fact}, and {count} of {there.sizes.sum()} bytes are there: AVI has no times, so nobody knows where one is"
        f" missing or too many, and all behind it is out of step; {REMEDY}",
    )


def _delivered(path: Path, indexes: Sequence[int]) -> dict[int, _Delivered]:
    found = {index: _Delivered() for index in indexes}
    with open_media(path, **AS_STORED) as container:
        try:
            for packet in demuxed(container, *(container.streams[index] for index in indexes)):
                if packet.size and packet.dts is not None:
                    mine = found[packet.stream.index]
                    mine.chunks.append(packet.size)
                    mine.start, mine.byte = packet.dts, packet.pos or 0
        except BrokenFile:
            pass  # the probe stopped at the same place
    return found


def _headers(file: BinaryIO) -> list[_Header]:
    """Of all streams, in order; found by their names, for a damaged size must not hide them."""
    head = _MOVI.split(_at(file, 0, LARGEST_HEAD), 1)[0]
    starts = [match.start() for match in _HEADER.finditer(head)]
    return [_header(head[start:stop]) for start, stop in zip(starts, [*starts[1:], len(head)], strict=True)]


def _header(head: bytes) -> _Header:
    """`head`: from strh to where the next stream's begins."""
    form, place = head.find(b"strf"), head.find(b"indx")
    kind = KINDS.get(head[8:12], "")
    block_bytes = _number(head, form + 20, 2) if kind == "audio" and form >= 0 else 0
    sample_bytes = _number(head, 52)
    parts = range(0)
    if place >= 0 and head[place + 11 : place + 12] == b"\0":  # an index of indexes
        count = min(_number(head, place + 12), MOST_PARTS)
        parts = range(place + 32, place + 32 + 16 * count, 16)
    return _Header(
        kind=kind,
        length=_number(head, 40),
        sample_bytes=block_bytes or sample_bytes if sample_bytes else 0,  # as FFmpeg has it
        block_bytes=block_bytes,
        parts=tuple(_number(head, at, 8) for at in parts),
    )


def _long_index(file: BinaryIO, header: _Header) -> Sizes | None:
    """Sizes of a stream's chunks by its OpenDML index; None unless all of it is there."""
    sizes, room = list[Sizes](), LARGEST_INDEX
    for start in header.parts:
        head = _at(file, start, 32)
        if len(head) < 32 or head[:2] != b"ix" or head[11] != 1:
            return None
        row = 4 * _number(head, 8, 2)
        size = row * _number(head, 12)
        room -= size
        if row < 8 or room < 0:
            return None
        body = _at(file, start + 32, size)
        if len(body) < size:
            return None
        numbers = np.frombuffer(body, "<u4").reshape(-1, row // 4)[:, 1]
        sizes.append((numbers & 0x7FFFFFFF).astype(np.int64))  # the highest bit is set where no key picture is
    return np.concatenate(sizes) if sizes else None


def _listed(file: BinaryIO) -> dict[int, Sizes]:
    """Stream -> sizes of its chunks by idx1; empty when that is gone, or breaks off."""
    start, size = _place_of_idx1(file)
    if not 16 <= size <= LARGEST_INDEX:
        return {}
    body = _at(file, start, size // 16 * 16)
    if len(body) < size // 16 * 16:
        return {}
    rows = np.frombuffer(body, np.uint8).reshape(-1, 16)
    sizes = np.ascontiguousarray(rows[:, 12:]).view("<u4")[:, 0].astype(np.int64)
    digits = rows[:, :2].astype(np.int64) - ord("0")
    media = ((digits >= 0) & (digits <= 9)).all(axis=1)
    for name in NO_MEDIA:
        media &= (rows[:, 2:4] != np.frombuffer(name, np.uint8)).any(axis=1)
    numbers = digits @ (10, 1)
    return {int(one): sizes[media & (numbers == one)] for one in np.unique(numbers[media])}


def _place_of_idx1(file: BinaryIO) -> tuple[int, int]:
    """Where its entries begin, and their bytes; (0, 0) when there is none."""
    for name, start, size in _chunks(file, 12):
        if name == b"idx1":
            return start, size
    end = file.seek(0, 2)
    first = max(0, end - ENDS)
    tail = _at(file, first, ENDS)
    place = tail.rfind(b"idx1")  # a damaged size led elsewhere
    return (first + place + 8, _number(tail, place + 4)) if place >= 0 else (0, 0)


def _break(file: BinaryIO) -> int:
    """Up to which byte the chunks of a file follow each other, from the first one on, none of them misnamed."""
    movi = _MOVI.search(_at(file, 0, LARGEST_HEAD))
    reached, end = movi.end() if movi else 0, file.seek(0, 2)
    for name, start, size in _chunks(file, reached, inside=True) if movi else ():
        if _is_misspelt(name):
            break
        reached = start + size if start + size <= end else start  # the last chunk of a file that was cut off
    return reached


def _is_misspelt(name: bytes) -> bool:
    """The number of its stream is none, or one of the two letters behind it is not what picture and sound have."""
    letters = min(sum(one != other for one, other in zip(name[2:], kind, strict=True)) for kind in MEDIA)
    return letters == 0 if not name[:2].isdigit() else letters == 1 and name[2:] not in NO_MEDIA


def _chunks(file: BinaryIO, offset: int, *, inside: bool = False) -> Iterator[tuple[bytes, int, int]]:
    """Name, first byte and size of the chunks from `offset` on, up to the first that cannot be one.

    Lists are one chunk, or what is `inside` them follows, on one level: nothing here recurses.
    """
    for _ in range(MOST_CHUNKS):
        head = _at(file, offset, 8)
        if len(head) < 8 or not _NAME.match(head):
            return
        if inside and head[:4] in (b"RIFF", b"LIST"):
            offset += 12
            continue
        size = _number(head, 4)
        yield head[:4], offset + 8, size
        offset += 8 + size + size % 2


def _number(data: bytes, at: int, width: int = 4) -> int:
    return int.from_bytes(data[at : at + width], "little")


def _at(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)

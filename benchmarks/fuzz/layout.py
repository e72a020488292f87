"""Where the parts of a container lie, as FFmpeg has written it: boxes, elements, chunks, packets, pages, tags.

Only for whole files. ISO/IEC 14496-12, 13818-1 and 11172-1; RFC 8794, 9559 and 3533; Adobe's FLV 10.1.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

MP4_PARENTS = frozenset("moov trak mdia minf stbl edts moof traf mvex udta dinf".split())
EBML_PARENTS = frozenset(
    bytes.fromhex(name) for name in "18538067 1654ae6b ae e0 e1 1f43b675 a0 1c53bb6b bb b7".split()
)
TS_BYTES = 188
FLV_HEAD, FLV_TAG = 13, 11
GUID = 16
ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")


class Piece(NamedTuple):
    """Bytes start ... end; what the head at `start` tells of begins at `body`."""

    name: str
    start: int
    body: int
    end: int


def mp4(data: bytes) -> Iterator[Piece]:
    """Boxes, each before those inside it."""
    yield from _boxes(data, 0, len(data))


def _boxes(data: bytes, at: int, end: int) -> Iterator[Piece]:
    while at + 8 <= end:
        size, body = int.from_bytes(data[at : at + 4]), at + 8
        if size == 1:
            size, body = int.from_bytes(data[at + 8 : at + 16]), at + 16
        stop = at + size if size else end
        name = data[at + 4 : at + 8].decode("latin-1")
        yield Piece(name, at, body, stop)
        if name in MP4_PARENTS:
            yield from _boxes(data, body, stop)
        at = max(stop, at + 8)


def ebml(data: bytes) -> Iterator[Piece]:
    """Elements of Matroska, named by their ids in hexadecimal, each before those inside it."""
    yield from _elements(data, 0, len(data))


def _elements(data: bytes, at: int, end: int) -> Iterator[Piece]:
    while at + 2 <= end:
        long = 9 - data[at].bit_length()
        name, where = data[at : at + long], at + long
        wide = 9 - data[where].bit_length()
        size = int.from_bytes(data[where : where + wide]) & ((1 << 7 * wide) - 1)
        body = where + wide
        stop = end if size == (1 << 7 * wide) - 1 else min(end, body + size)
        yield Piece(name.hex(), at, body, stop)
        if name in EBML_PARENTS:
            yield from _elements(data, body, stop)
        at = stop


def riff(data: bytes) -> Iterator[Piece]:
    """Chunks of AVI, each before those inside it."""
    yield from _chunks(data, 0, len(data))


def _chunks(data: bytes, at: int, end: int) -> Iterator[Piece]:
    while at + 8 <= end:
        name = data[at : at + 4]
        stop = min(end, at + 8 + int.from_bytes(data[at + 4 : at + 8], "little"))
        yield Piece(name.decode("latin-1"), at, at + 8, stop)
        if name in (b"RIFF", b"LIST"):
            yield from _chunks(data, at + 12, stop)
        at = stop + stop % 2


def transport(data: bytes) -> Iterator[Piece]:
    """Packets of MPEG-TS, named by their PID; the body comes after the adaptation field."""
    for at in range(0, len(data) - TS_BYTES + 1, TS_BYTES):
        pid = int.from_bytes(data[at + 1 : at + 3]) & 0x1FFF
        body = at + 4 + (data[at + 4] + 1 if data[at + 3] & 0x20 else 0)
        yield Piece(str(pid), at, body, at + TS_BYTES)


def program(data: bytes) -> Iterator[Piece]:
    """Packs, headers and packets of MPEG-PS, named by their start code's last byte in hexadecimal."""
    at = data.find(b"\0\0\1")
    while 0 <= at <= len(data) - 6:
        code = data[at + 3]
        mpeg2 = data[at + 4] >> 6 == 1
        size = (
            4 if code == 0xB9 else (14 if mpeg2 else 12) if code == 0xBA else 6 + int.from_bytes(data[at + 4 : at + 6])
        )
        yield Piece(f"{code:02x}", at, at + 4 if code == 0xBA else at + 6, min(len(data), at + size))
        at = data.find(b"\0\0\1", at + size)


def flv(data: bytes) -> Iterator[Piece]:
    """Tags of FLV with the size that follows each, named by their type."""
    at = FLV_HEAD
    while at + FLV_TAG <= len(data):
        stop = at + FLV_TAG + int.from_bytes(data[at + 1 : at + 4]) + 4
        yield Piece(str(data[at] & 0x1F), at, at + FLV_TAG, min(len(data), stop))
        at = stop


def ogg(data: bytes) -> Iterator[Piece]:
    """Pages, named by their serial number."""
    at = 0
    while at + 27 <= len(data):
        body = at + 27 + data[at + 26]
        stop = body + sum(data[at + 27 : body])
        yield Piece(data[at + 14 : at + 18].hex(), at, body, stop)
        at = stop


def asf(data: bytes) -> Iterator[Piece]:
    """Objects, named by the head of their GUID; then the packets, named packet."""
    at, size = 0, 0
    while at + 24 <= len(data):
        guid, stop = data[at : at + GUID], at + int.from_bytes(data[at + 16 : at + 24], "little")
        head = 50 if guid == ASF_DATA else 24
        if guid == ASF_FILE:
            size = int.from_bytes(data[at + 92 : at + 96], "little")
        yield Piece(guid[:4].hex(), at, at + head, stop)
        if guid == ASF_DATA and size:
            for packet in range(at + head, stop - size + 1, size):
                yield Piece("packet", packet, packet, packet + size)
        at = at + 30 if at == 0 else max(stop, at + 24)  # the header object holds others


LAYOUTS: dict[str, Callable[[bytes], Iterator[Piece]]] = {
    "mp4": mp4,
    "mov": mp4,
    "mkv": ebml,
    "webm": ebml,
    "avi": riff,
    "ts": transport,
    "mpg": program,
    "vob": program,
    "flv": flv,
    "ogg": ogg,
    "asf": asf,
}
"""Container -> how it is laid out."""

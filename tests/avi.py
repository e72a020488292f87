"""AVI files taken apart and put together again: chunks lost, repeated or renamed, and indexes of every kind."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

KEY = 0x10
JUNK = b"JUNK" + struct.pack("<I", 4120)
"""FFmpeg keeps room for the index of long files."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chunk:
    """Of picture or sound."""

    name: bytes
    body: bytes

    def stored(self) -> bytes:
        """With its head, and padded to an even size."""
        return self.name + struct.pack("<I", len(self.body)) + self.body + bytes(len(self.body) % 2)


@dataclass(frozen=True, kw_only=True, slots=True)
class Avi:
    """A file of FFmpeg's."""

    head: bytes
    """Up to where the first chunk begins."""
    chunks: tuple[Chunk, ...]

    def places(self, name: bytes) -> list[int]:
        """Of the chunks of one stream."""
        return [place for place, chunk in enumerate(self.chunks) if chunk.name == name]


def read_avi(path: Path) -> Avi:
    """The file's parts, its index left out."""
    data = path.read_bytes()
    at = begin = data.index(b"movi") + 4
    stop = begin - 4 + struct.unpack_from("<I", data, begin - 8)[0]
    chunks = list[Chunk]()
    while at < stop:
        size = struct.unpack_from("<I", data, at + 4)[0]
        chunks.append(Chunk(name=data[at : at + 4], body=data[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    return Avi(head=data[:begin], chunks=tuple(chunks))


def write_avi(target: Path, avi: Avi, listed: Sequence[Chunk] | None) -> Path:
    """`listed`: what its index holds; None: there is no index."""
    movi, index = b"".join(chunk.stored() for chunk in avi.chunks), b""
    if listed is not None:
        index = b"idx1" + struct.pack("<I", 16 * len(listed)) + _entries(listed)
    head = bytearray(avi.head)
    struct.pack_into("<I", head, len(head) - 8, 4 + len(movi))
    struct.pack_into("<I", head, 4, len(head) - 8 + len(movi) + len(index))
    target.write_bytes(bytes(head) + movi + index)
    return target


def write_long_avi(target: Path, avi: Avi, listed: Sequence[Chunk]) -> Path:
    """In two RIFF chunks, as files of more than a gigabyte are; `listed`: what the OpenDML indexes of both hold."""
    half, head = len(listed) // 2, bytearray(avi.head)
    parts = ((avi.chunks[:half], listed[:half]), (avi.chunks[half:], listed[half:]))
    rooms = [place for place in range(len(head)) if head[place : place + 8] == JUNK]
    out, begin = bytearray(), 0
    for number, (chunks, its) in enumerate(parts):
        start = len(head) if not number else begin + 24
        movi = bytearray(b"".join(chunk.stored() for chunk in chunks))
        for stream, room in enumerate(rooms):
            struct.pack_into("<QII", head, room + 32 + 16 * number, start + len(movi), 0, 0)
            movi += _index_of(stream, its, start)
        if number:
            out += b"RIFF" + struct.pack("<I", 16 + len(movi)) + b"AVIX"
            out += b"LIST" + struct.pack("<I", 4 + len(movi)) + b"movi" + movi
        else:
            struct.pack_into("<I", head, len(head) - 8, 4 + len(movi))
            entries = _entries(its)
            out += movi + b"idx1" + struct.pack("<I", len(entries)) + entries
            struct.pack_into("<I", head, 4, len(head) - 8 + len(out))
            begin = len(head) + len(out)
    for room in rooms:
        head[room : room + 4] = b"indx"
        struct.pack_into("<I", head, room + 12, len(parts))
    target.write_bytes(head + out)
    return target


def _entries(listed: Sequence[Chunk]) -> bytes:
    out, at = bytearray(), 4
    for chunk in listed:
        out += chunk.name + struct.pack("<III", KEY, at, len(chunk.body))
        at += len(chunk.stored())
    return bytes(out)


def _index_of(stream: int, listed: Sequence[Chunk], start: int) -> bytes:
    rows, at = list[bytes](), 0
    for chunk in listed:
        if chunk.name[:2] == b"%02d" % stream:
            rows.append(struct.pack("<II", at + 8, len(chunk.body)))
        at += len(chunk.stored())
    name = b"%02ddc" % stream
    head = struct.pack("<HBBI4sQI", 2, 0, 1, len(rows), name, start, 0)
    return b"ix%02d" % stream + struct.pack("<I", 24 + 8 * len(rows)) + head + b"".join(rows)

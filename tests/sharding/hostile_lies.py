"""Lies of MP4, MOV, Matroska and WebM: sizes, rates, times, counts and depths that cannot be, in their own fields.

Each takes a whole file and gives (what is wrong, the file with it); so do those of hostile_streams.py.
"""

import random
import re
import struct
from collections.abc import Iterator

from tests.sharding.hostile_streams import HUGE, Lie, put

DEEP = 5_000


# MP4 and MOV: boxes of a size, four letters, and a payload.
PARENTS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts")
BOX_FIELDS = {  # (box, place in its payload, bytes) -> values
    (b"tkhd", 76, 8): (HUGE << 32 | HUGE, 0),
    (b"mvhd", 12, 4): (0, 1, HUGE),
    (b"mdhd", 12, 4): (0, 1, 2**31 - 1, HUGE),
    (b"mdhd", 16, 4): (HUGE,),
    (b"stsd", 4, 4): (HUGE, 100_000),
    (b"stsd", 8, 4): (HUGE, 0),
    (b"stsd", 32, 2): (65_535, 0),  # channels
    (b"stsd", 40, 4): (HUGE, 0, 1 << 16, 16_000 << 16 | 16_000),  # width and height, or the rate of sound
    (b"stts", 4, 4): (HUGE, 2**24),
    (b"stts", 8, 4): (HUGE, 2**31 - 1),
    (b"stts", 12, 4): (HUGE, 0, 2**30),
    (b"ctts", 12, 4): (2**31, 2**31 - 1),
    (b"stsz", 4, 4): (HUGE, 1),
    (b"stsz", 8, 4): (HUGE, 2**28),
    (b"stsz", 12, 4): (HUGE,),
    (b"stsc", 4, 4): (HUGE,),
    (b"stsc", 8, 8): (HUGE << 32 | HUGE, 1 << 32 | 2**31 - 1),
    (b"stco", 4, 4): (HUGE, 2**28),
    (b"stco", 8, 4): (0, HUGE),
    (b"elst", 8, 8): (HUGE << 32, HUGE << 32 | HUGE, 2**31 - 1),
    (b"elst", 16, 4): (0, HUGE),
}


def boxes(data: bytes, start: int = 0, stop: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """(name, start, stop) of every box, those of PARENTS entered."""
    stop = len(data) if stop is None else stop
    while start + 8 <= stop:
        size, name = int.from_bytes(data[start : start + 4]), data[start + 4 : start + 8]
        yield name, start, start + size
        if name in PARENTS:
            yield from boxes(data, start + 8, start + size)
        start += max(8, size)


def mp4_lies(data: bytes, rng: random.Random) -> Iterator[Lie]:
    for (box, place, width), values in BOX_FIELDS.items():
        starts = [start for name, start, _ in boxes(data) if name == box]
        for value in values if starts else ():
            lying = data
            for start in starts:
                lying = put(lying, start + 8 + place, value.to_bytes(width))
            yield f"{box.decode()} {place} {value:x}", lying
    yield from mp4_shapes(data)


def mp4_shapes(data: bytes) -> Iterator[Lie]:
    (moov,) = [start for name, start, _ in boxes(data) if name == b"moov"]
    (mdat,) = [start for name, start, _ in boxes(data) if name == b"mdat"]
    track = next(data[start:stop] for name, start, stop in boxes(data) if name == b"trak")
    for name, size in (("0", 0), ("7", 7), ("2^31", 2**31), ("largest", HUGE)):
        yield f"moov of size {name}", put(data, moov, size.to_bytes(4))
        yield f"mdat of size {name}", put(data, mdat, size.to_bytes(4))
    yield "2^63", data[:moov] + struct.pack(">I4sQ", 1, b"free", 2**63 - 1) + data[moov:]
    yield "2^64", data[:moov] + struct.pack(">I4sQ", 1, b"uuid", 2**64 - 1) + data[moov:]
    for name in (b"udta", b"moov", b"trak", b"meta"):
        nest = b"".join(struct.pack(">I4s", 8 * (DEEP - level), name) for level in range(DEEP))
        yield f"nested {name.decode()}", grown(data, moov, nest)
    text = struct.pack(">I4sHH", 12 + 65_000, b"\xa9nam", 65_000, 0) + b"x" * 65_000
    yield "long tags", grown(data, moov, struct.pack(">I4s", 8 + 20 * len(text), b"udta") + text * 20)
    tag = struct.pack(">I4sHH1s", 13, b"\xa9cmt", 1, 0, b"x")
    yield "many tags", grown(data, moov, struct.pack(">I4s", 8 + 50_000 * len(tag), b"udta") + tag * 50_000)
    yield "many tracks", grown(data, moov, track * 900)
    if b"avcC" in data:
        for side in (1, 4096, 8192, 16_368):
            yield f"sps of {side}", with_sps(data, moov, side)


def grown(data: bytes, start: int, more: bytes) -> bytes:
    """The last box, at `start`, with more in it."""
    return put(data, start, (len(data) - start + len(more)).to_bytes(4)) + more


def with_sps(data: bytes, moov: int, side: int) -> bytes:
    """The picture size in the codec's own header; that of the same length is replaced, the rest is padded."""
    place = data.index(b"avcC") + 4
    size = int.from_bytes(data[place + 6 : place + 8])
    sps = sequence_of(side)
    assert len(sps) <= size
    return put(data, place + 8, sps + bytes(size - len(sps)))


def sequence_of(side: int) -> bytes:
    """An H.264 sequence parameter set, Baseline, without wrapping."""

    def ue(value: int) -> str:
        bits = f"{value + 1:b}"
        return "0" * (len(bits) - 1) + bits

    blocks = ue(max(1, side // 16) - 1)
    bits = ue(0) + ue(0) + ue(2) + ue(1) + "0" + blocks + blocks + "11000" + "1"
    bits += "0" * (-len(bits) % 8)
    return bytes((0x67, 66, 0, 62)) + int(bits, 2).to_bytes(len(bits) // 8)


# Matroska and WebM: elements of an id, a size and a payload.
MASTERS = ("18538067", "1549a966", "1654ae6b", "ae", "e0", "e1", "1f43b675", "1c53bb6b")
ELEMENT_FIELDS = {  # id: what it is
    "b0": "width",
    "ba": "height",
    "2ad7b1": "timestamp scale",
    "4489": "duration",
    "23e383": "frame duration",
    "b5": "sampling rate",
    "9f": "channels",
    "e7": "cluster time",
    "63a2": "codec data",
    "d7": "track number",
    "56aa": "codec delay",
}
FILLS = {
    "zeros": lambda size: bytes(size),
    "ones": lambda size: b"\xff" * size,
    "large": lambda size: b"\x7f" + b"\xf0" * (size - 1),
}


def elements(data: bytes, start: int = 0, stop: int | None = None) -> Iterator[tuple[str, int, int, int]]:
    """(id, start, start of the payload, stop) of every element, those of MASTERS entered."""
    stop = len(data) if stop is None else stop
    while start < stop:
        width = 9 - data[start].bit_length()
        place = start + width
        length = 9 - data[place].bit_length()
        size = int.from_bytes(data[place : place + length]) & (1 << 7 * length) - 1
        payload, name = place + length, data[start:place].hex()
        yield name, start, payload, payload + size
        if name in MASTERS:
            yield from elements(data, payload, payload + size)
        start = payload + size


def mkv_lies(data: bytes, rng: random.Random) -> Iterator[Lie]:
    found = list(elements(data))
    for id, what in ELEMENT_FIELDS.items():
        places = [(payload, stop) for name, _, payload, stop in found if name == id]
        for fill, content in FILLS.items() if places else ():
            lying = data
            for payload, stop in places:
                lying = put(lying, payload, content(stop - payload))
            yield f"{what} {fill}", lying
    _, start, payload, _ = next(one for one in found if one[0] == "18538067")
    nest, name = b"", bytes.fromhex("67c8")  # tags in tags
    for _ in range(DEEP):
        nest = name + (1 << 28 | len(nest)).to_bytes(4) + nest
    nest = bytes.fromhex("1254c367") + (1 << 28 | len(nest)).to_bytes(4) + nest
    wide = (1 << 56 | len(data) - payload + len(nest)).to_bytes(8)
    yield "nested tags", data[: start + 4] + wide + data[payload:] + nest
    yield "segment of 2^55", data[: start + 4] + (1 << 56 | 2**55).to_bytes(8) + data[payload:]
    clusters = [start + 4 for name, start, _, _ in found if name == "1f43b675"]
    yield "cluster of 2^48", put(data, clusters[0], b"\x01\xff" + bytes(6)) if clusters else data[:500]
    if b"\x9d\x01\x2a" in data:
        yield from vp8_lies(data)


def vp8_lies(data: bytes) -> Iterator[Lie]:
    """Picture sizes in the key frames, which the container knows nothing of."""
    keys = [match.end() for match in re.finditer(b"\x9d\x01\x2a", data)]
    for side in (0, 4096, 16_383):
        lying = data
        for place in keys:
            lying = put(lying, place, struct.pack("<HH", side, side))
        yield f"key frames of {side}", lying

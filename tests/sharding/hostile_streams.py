"""Lies of AVI, MPEG streams, FLV and Ogg in their own fields, and BOMBS: small files of huge pictures or odd sound."""

import io
import random
import re
import struct
import zlib
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np

Lie = tuple[str, bytes]
HUGE = 2**32 - 1


def put(data: bytes, place: int, new: bytes) -> bytes:
    """`data` with something else at one place, as long as before."""
    return data[:place] + new + data[place + len(new) :]


def places(data: bytes, pattern: bytes) -> list[int]:
    """Where a pattern ends."""
    return [match.end() for match in re.finditer(pattern, data, re.DOTALL)]


AVI_FIELDS = {  # (chunk, place in its payload, bytes) -> values
    (b"avih", 0, 4): (0, HUGE),
    (b"avih", 24, 4): (0, 200),
    (b"avih", 32, 8): (HUGE << 32 | HUGE, 0),
    (b"strh", 20, 4): (0, 1, HUGE),  # scale
    (b"strh", 24, 4): (0, 1, HUGE),  # rate
    (b"strh", 28, 4): (HUGE, 2**31 - 1),  # start
    (b"strh", 32, 4): (HUGE, 0),
    (b"strh", 44, 4): (HUGE, 1),  # sample size
    (b"strf", 4, 8): (HUGE << 32 | HUGE, 0, 8192 << 32 | 8192),
    (b"strf", 2, 2): (0, 255, 65_535),  # channels
    (b"idx1", -4, 4): (HUGE, 2**30),
    (b"movi", -8, 4): (HUGE, 0),
}


def avi_lies(data: bytes, rng: random.Random) -> Iterator[Lie]:
    for (chunk, place, width), values in AVI_FIELDS.items():
        for value in values:
            lying = data
            for payload in places(data, chunk + b"...."):
                lying = put(lying, payload + place, value.to_bytes(width, "little"))
            yield f"{chunk.decode()} {place} {value:x}", lying
    nest = b"".join(b"LIST" + struct.pack("<I", 12 * (5_000 - level)) + b"hdrl" for level in range(5_000))
    yield "nested lists", data[:12] + nest + data[12:]
    yield "riffs in a row", data * 3


def ts_lies(data: bytes, rng: random.Random) -> Iterator[Lie]:
    packets = [data[start : start + 188] for start in range(0, len(data), 188)]
    yield "every third packet gone", b"".join(packet for number, packet in enumerate(packets) if number % 3)
    yield "packets shuffled", b"".join(rng.sample(packets, len(packets)))
    yield "packets repeated", b"".join(packet * 3 for packet in packets)
    ids = (put(one, 1, struct.pack(">H", rng.randrange(2**16))) if rng.random() < 0.05 else one for one in packets)
    yield "packets of other streams", b"".join(ids)
    yield "no tables", b"".join(packets[4:])
    yield from time_lies(data, rng)


def time_lies(data: bytes, rng: random.Random) -> Iterator[Lie]:
    """Timestamps of MPEG streams: 33 bits in five bytes."""
    times = places(data, b"\0\0\1[\xc0\xe0].{2,8}?(?=[\x21\x31])")
    for name, draw in TIMES.items():
        lying = data
        for number, place in enumerate(times):
            ticks = draw(number, rng) % 2**33
            coded = (0x21 | ticks >> 29 & 14) << 32 | (ticks >> 15 & 0x7FFF) << 17 | (ticks & 0x7FFF) << 1 | 0x10001
            lying = put(lying, place, coded.to_bytes(5))
        yield f"{name} times", lying


TIMES = {
    "random": lambda number, rng: rng.randrange(2**33),
    "backward": lambda number, rng: 2**32 - 3000 * number,
    "equal": lambda number, rng: 0,
    "sparse": lambda number, rng: 90_000 * 600 * number,
    "wrapping": lambda number, rng: 2**33 - 20_000 + 3000 * number,
}


def mpg_lies(data: bytes, rng: random.Random) -> Iterator[Lie]:
    yield from time_lies(data, rng)
    for name, new in {"4095": b"\xff\xff\xff", "0": b"\0\0\0", "16": b"\x01\x00\x10"}.items():
        lying = data
        for place in places(data, b"\0\0\1\xb3"):
            lying = put(lying, place, new)
        yield f"pictures of {name}", lying
    lying = data
    for place in places(data, b"\0\0\1[\xc0\xe0]"):
        lying = put(lying, place, b"\xff\xff")
    yield "packets of 65535", lying
    yield "system codes only", b"\0\0\1\xba" * 10_000


def flv_lies(data: bytes, rng: random.Random) -> Iterator[Lie]:
    tags, start = list[int](), 13
    while start + 15 < len(data):
        tags.append(start)
        start += 15 + int.from_bytes(data[start + 1 : start + 4])
    for name, draw in FLV_TIMES.items():
        lying = data
        for number, tag in enumerate(tags):
            time = draw(number, rng) % 2**32
            lying = put(lying, tag + 4, (time & 0xFFFFFF).to_bytes(3) + (time >> 24).to_bytes(1))
        yield f"{name} times", lying
    for name, size in (("largest", 2**24 - 1), ("empty", 0)):
        yield f"{name} tag", put(data, tags[len(tags) // 2] + 1, size.to_bytes(3))
    deep = b"\x02\0\x0aonMetaData" + b"\x03\0\1a" * 20_000
    script = b"\x12" + len(deep).to_bytes(3) + bytes(7) + deep + (len(deep) + 11).to_bytes(4)
    yield "nested metadata", data[:13] + script + data[13:]


FLV_TIMES = {
    "random": lambda number, rng: rng.randrange(2**32),
    "sparse": lambda number, rng: 10_000_000 * number,
    "backward": lambda number, rng: 2**31 - 10 * number,
    "equal": lambda number, rng: 7,
}


def ogg_lies(data: bytes, rng: random.Random) -> Iterator[Lie]:
    pages = [match.start() for match in re.finditer(b"OggS\0", data)]
    parts = [data[start:stop] for start, stop in zip(pages, [*pages[1:], len(data)], strict=True)]
    for name, (place, width, draw) in OGG_FIELDS.items():
        lying = (put(one, place, draw(number, rng).to_bytes(width, "little")) for number, one in enumerate(parts))
        yield name, b"".join(map(with_sum, lying))
    yield "pages shuffled", b"".join([*parts[:4], *rng.sample(parts[4:], len(parts) - 4)])
    yield "pages repeated", b"".join(part * 2 for part in parts)


OGG_FIELDS = {
    "largest granules": (6, 8, lambda number, rng: 2**63 - 1),
    "random granules": (6, 8, lambda number, rng: rng.randrange(2**64)),
    "sparse granules": (6, 8, lambda number, rng: 10**9 * number),
    "random streams": (14, 4, lambda number, rng: rng.randrange(2**32)),
    "largest tables": (26, 1, lambda number, rng: 255),
    "all first pages": (5, 1, lambda number, rng: 2),
}


def with_sum(page: bytes) -> bytes:
    """A page with its checksum mended, or it would not be looked at."""
    total = 0
    for byte in put(page, 22, bytes(4)):
        total = (total << 8 & HUGE) ^ _SUMS[total >> 24 ^ byte]
    return put(page, 22, total.to_bytes(4, "little"))


def _sum_of(byte: int) -> int:
    total = byte << 24
    for _ in range(8):
        total = (total << 1 ^ (0x04C11DB7 if total >> 31 else 0)) & HUGE
    return total


_SUMS = [_sum_of(byte) for byte in range(256)]


def png_of(side: int, depth: int) -> bytes:
    """A black RGBA picture."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    packer, row = zlib.compressobj(1), bytes(1 + side * 4 * depth // 8)
    body = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    head = struct.pack(">IIBBBBB", side, side, depth, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def packed(video: str, pictures: list[bytes], rate: int = 16_000, claimed: int = 64) -> bytes:
    """A MOV of ready pictures, one a second, and noise at `rate` samples a second."""
    file = io.BytesIO()
    with av.open(file, "w", format="mov") as container:
        stream: Any = container.add_stream(video, rate=1)
        stream.width = stream.height = claimed
        stream.pix_fmt = "rgba" if video == "png" else "yuvj420p"
        stream.time_base = Fraction(1)
        sound = container.add_stream("pcm_s16le", rate=rate, layout="mono")
        container.start_encoding()
        noise = np.random.default_rng(0).integers(-9000, 9000, (1, max(rate, 1)), np.int16)
        for number, picture in enumerate(pictures):
            packet = av.Packet(picture)
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, number, number, Fraction(1)
            packet.duration, packet.is_keyframe = 1, True
            container.mux(packet)
            frame = av.AudioFrame.from_ndarray(noise, "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, number * rate, Fraction(1, rate)
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    return file.getvalue()


BOMBS = {
    "pictures of 400 MB.mov": lambda: packed("png", [png_of(64, 8)] + [png_of(10_000, 8)] * 5),
    "first picture of 800 MB.mov": lambda: packed("png", [png_of(10_000, 16)] * 6),
    "pictures that grow.mov": lambda: packed("png", [png_of(side, 8) for side in (64, 128, 512, 1024, 4096, 8000)]),
    "sound of 1 Hz.mov": lambda: packed("png", [png_of(64, 8)] * 6, rate=1),
    "sound of 1 MHz.mov": lambda: packed("png", [png_of(64, 8)] * 6, rate=1_000_000),
}

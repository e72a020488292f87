"""Ogg files (RFC 3533) written anew with some packets of a stream made empty, as encoders do that repeat a picture."""

from collections.abc import Callable
from pathlib import Path

from tests.transport import crc_table

HEAD = 27
TABLE = crc_table()


def with_empty_packets(source: Path, target: Path, is_kept: Callable[[int], bool]) -> int:
    """Empty those packets of the first stream that are not kept, counted from 0, headers too; how many are empty."""
    data, out, at, count, emptied = source.read_bytes(), bytearray(), 0, 0, 0
    serial = data[14:18]
    while at < len(data):
        segments = data[at + HEAD : at + HEAD + data[at + 26]]
        body = at + HEAD + len(segments)
        end = body + sum(segments)
        if data[at + 14 : at + 18] != serial:
            out += data[at:end]
            at = end
            continue
        sizes, bodies, begins = bytearray(), bytearray(), not data[at + 5] & 1
        size = 0
        for segment in segments:
            size += segment
            if segment == 255:
                continue
            keep = is_kept(count) or not begins
            emptied += not keep
            sizes += bytes([255] * (size // 255) + [size % 255]) if keep else b"\0"
            bodies += data[body : body + size] if keep else b""
            body, size, begins, count = body + size, 0, True, count + 1
        if size:  # goes on in the next page
            sizes += bytes([255] * (size // 255))
            bodies += data[body : body + size]
        page = bytearray(data[at : at + 26]) + bytes((len(sizes),)) + sizes + bodies
        page[22:26] = bytes(4)
        page[22:26] = _crc(page).to_bytes(4, "little")
        out += page
        at = end
    target.write_bytes(out)
    return emptied


def _crc(page: bytes | bytearray) -> int:
    crc = 0
    for byte in page:
        crc = (crc << 8 & 0xFFFFFFFF) ^ TABLE[crc >> 24 ^ byte]
    return crc

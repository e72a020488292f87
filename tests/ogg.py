"""Ogg files (RFC 3533) written anew: packets made empty, as encoders do that repeat a picture; pages changed."""

from collections.abc import Callable
from pathlib import Path

from tests.transport import crc_table

HEAD = 27
GRANULE, SERIAL, NUMBER, CHECKSUM = slice(6, 14), slice(14, 18), slice(18, 22), slice(22, 26)
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
        out += signed(page)
        at = end
    target.write_bytes(out)
    return emptied


def pages_of(data: bytes) -> list[bytes]:
    """A whole file's pages, in order."""
    found, at = list[bytes](), 0
    while at < len(data):
        body = at + HEAD + data[at + 26]
        end = body + sum(data[at + HEAD : body])
        found.append(data[at:end])
        at = end
    return found


def with_field(page: bytes, field: slice, add: int) -> bytes:
    """A number of a page's head is higher by `add`, and its checksum is right."""
    changed = bytearray(page)
    number = int.from_bytes(changed[field], "little") + add
    changed[field] = number.to_bytes(field.stop - field.start, "little")
    return signed(changed)


def signed(page: bytes | bytearray) -> bytes:
    """With the checksum that it needs."""
    page = bytearray(page)
    page[CHECKSUM] = bytes(4)
    page[CHECKSUM] = _crc(page).to_bytes(4, "little")
    return bytes(page)


def _crc(page: bytes | bytearray) -> int:
    crc = 0
    for byte in page:
        crc = (crc << 8 & 0xFFFFFFFF) ^ TABLE[crc >> 24 ^ byte]
    return crc

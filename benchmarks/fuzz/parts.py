"""Damage to the parts of a container: a field of one changed, or one left out, repeated or in another's place."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from benchmarks.fuzz.layout import FLV_TAG, Piece

Rng = np.random.Generator


class Field(NamedTuple):
    """A number in a file: where it stands, its bytes, and what it is."""

    what: str
    start: int
    width: int
    little: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What became of a file, and where that was."""

    data: bytes
    what: str
    at: int


VERSIONED = frozenset("mvhd tkhd mdhd elst stts ctts stsc stsz stco stss tfhd tfdt trun mfhd trex sidx".split())
COUNTED = {"stts": 4, "ctts": 4, "stsc": 4, "stco": 4, "stss": 4, "elst": 4, "trun": 4, "stsz": 8}
"""Box -> where its number of entries stands in its body."""


def _mp4_fields(_: bytes, box: Piece) -> list[Field]:
    found = [Field("size", box.start, 4), Field("type", box.start + 4, 4)]
    if box.name in VERSIONED:
        found += [Field("version", box.body, 1), Field("flags", box.body + 1, 3)]
    if box.name in COUNTED:
        found.append(Field("count", box.body + COUNTED[box.name], 4))
    return found


def _ebml_fields(data: bytes, element: Piece) -> list[Field]:
    name = len(element.name) // 2
    found = [Field("size", element.start + name, element.body - element.start - name)]
    found.append(Field("id", element.start, name))
    if element.name in ("a3", "a1"):
        found += [Field("track", element.body, 1), Field("flags", element.body + 3, 1)]
    elif element.name == "e7":
        found.append(Field("cluster time", element.body, element.end - element.body))
    return found


def _riff_fields(_: bytes, chunk: Piece) -> list[Field]:
    found = [Field("size", chunk.start + 4, 4, True), Field("id", chunk.start, 4)]
    if chunk.name == "idx1":
        entries = range(chunk.body, chunk.end - 15, 16)
        for what, offset, width in (("id", 0, 4), ("flags", 4, 4), ("offset", 8, 4), ("size", 12, 4)):
            found += [Field(f"index's {what}", entry + offset, width, True) for entry in entries]
    return found


def _transport_fields(data: bytes, packet: Piece) -> list[Field]:
    at = packet.start
    found = [Field("PID", at + 1, 2), Field("continuity", at + 3, 1), Field("sync", at, 1)]
    if data[at + 3] & 0x20:
        found += [Field("adaptation length", at + 4, 1), Field("adaptation flags", at + 5, 1)]
        if data[at + 4] > 6 and data[at + 5] & 0x10:
            found += [Field("PCR", at + 6, 6)] * 3
    return found


def _program_fields(_: bytes, part: Piece) -> list[Field]:
    if part.name == "ba":
        return [Field("SCR", part.start + 4, 5), Field("start code", part.start + 3, 1)]
    head = [Field("header", part.body + at, 1) for at in range(3)] if part.name != "b9" else []
    return [Field("length", part.start + 4, 2), Field("start code", part.start + 3, 1), *head]


def _flv_fields(_: bytes, tag: Piece) -> list[Field]:
    return [
        Field("type", tag.start, 1),
        Field("size", tag.start + 1, 3),
        Field("time", tag.start + 4, 3),
        Field("time's high byte", tag.start + 7, 1),
        Field("stream", tag.start + 8, 3),
        Field("kind of frame", tag.start + FLV_TAG, 1),
        Field("size before", tag.end - 4, 4),
    ]


def _ogg_fields(_: bytes, page: Piece) -> list[Field]:
    return [
        Field("granule position", page.start + 6, 8, True),
        Field("granule position", page.start + 6, 4, True),
        Field("page number", page.start + 18, 4, True),
        Field("flags", page.start + 5, 1),
        Field("serial number", page.start + 14, 4, True),
        Field("segments", page.start + 26, 1),
        Field("segment size", page.start + 27, 1),
    ]


def _asf_fields(_: bytes, part: Piece) -> list[Field]:
    if part.name == "packet":
        return [Field(f"byte {at}", part.start + at, 1) for at in range(30)]
    return [Field("size", part.start + 16, 8, True), Field("GUID", part.start, 4)]


_FIELDS: dict[str, Callable[[bytes, Piece], list[Field]]] = {
    "mp4": _mp4_fields,
    "mov": _mp4_fields,
    "mkv": _ebml_fields,
    "webm": _ebml_fields,
    "avi": _riff_fields,
    "ts": _transport_fields,
    "mpg": _program_fields,
    "vob": _program_fields,
    "flv": _flv_fields,
    "ogg": _ogg_fields,
    "asf": _asf_fields,
}
_UNITS = {
    "mp4": frozenset("moov mdat moof trak".split()),
    "mkv": frozenset(("1f43b675", "a3", "a0")),
    "avi": frozenset(("00dc", "01wb", "idx1")),
    "flv": frozenset(("8", "9")),
    "asf": frozenset(("packet",)),
}
_UNITS |= {"mov": _UNITS["mp4"], "webm": _UNITS["mkv"]}
"""Container -> the parts that may be moved; all of the others. Edit lists stay: what they say, nothing can gainsay."""
_MANY = {"avi": frozenset(("00dc", "01wb")), "mkv": frozenset(("a3",)), "webm": frozenset(("a3",))}
"""Parts of which there are so many that the others would hardly be met."""


def changed_part(container: str, data: bytes, pieces: Sequence[Piece], rng: Rng) -> Change:
    """A field changed, or a part moved. Pages of Ogg get the checksum that they then need."""
    units = [one for one in pieces if container not in _UNITS or one.name in _UNITS[container]]
    moves = len(units) > 1 and not rng.integers(3)
    change = _moved(data, units, rng) if moves else _set(container, data, pieces, rng)
    return _signed(change, pieces) if container == "ogg" and not moves else change


def _moved(data: bytes, units: Sequence[Piece], rng: Rng) -> Change:
    number = int(rng.integers(len(units)))
    one, way = units[number], ("left out", "repeated", "exchanged")[rng.integers(3)]
    middle = data[one.start : one.end]
    if way == "left out":
        middle = b""
    elif way == "repeated":
        middle += middle
    else:
        other = units[min(number + int(rng.integers(1, 4)), len(units) - 1)]
        if one.end <= other.start:
            between = data[one.end : other.start]
            swapped = data[other.start : other.end] + between + middle
            out = data[: one.start] + swapped + data[other.end :]
            return Change(data=out, what=f"{one.name} at {one.start} and {other.start} exchanged", at=one.start)
        middle += middle
    out = data[: one.start] + middle + data[one.end :]
    return Change(data=out, what=f"{one.name} at {one.start} {way}", at=one.start)


def _set(container: str, data: bytes, pieces: Sequence[Piece], rng: Rng) -> Change:
    few = [one for one in pieces if one.name not in _MANY.get(container, ())]
    choice = few if few and len(few) < len(pieces) and rng.integers(2) else pieces
    piece = choice[int(rng.integers(len(choice)))]
    fields = [one for one in _FIELDS[container](data, piece) if one.width and one.start + one.width <= len(data)]
    if container == "avi" and piece.name == "idx1" and rng.integers(4):
        fields = fields[2:] or fields
    field = fields[rng.integers(len(fields))]
    order = "little" if field.little else "big"
    stop = field.start + field.width
    old = int.from_bytes(data[field.start : stop], order)
    new = _value(old, 8 * field.width, rng)
    out = data[: field.start] + new.to_bytes(field.width, order) + data[stop:]
    what = f"{field.what} of {piece.name} at {field.start} from {old} to {new}"
    return Change(data=out, what=what, at=field.start)


def _value(old: int, bits: int, rng: Rng) -> int:
    """What programs and damage write instead."""
    most = (1 << bits) - 1
    values = [
        0,
        1,
        most,
        most >> 1,
        old // 2,
        old - 1,
        old + 1,
        old * 2,
        old + 1000,
        old ^ 1 << int(rng.integers(bits)),
    ]
    values += [int.from_bytes(rng.bytes(bits // 8))]
    return values[rng.integers(len(values))] & most


def _signed(change: Change, pieces: Sequence[Piece]) -> Change:
    page = next(one for one in reversed(pieces) if one.start <= change.at)
    body = bytearray(change.data[page.start : page.end])
    body[22:26] = bytes(4)
    body[22:26] = _ogg_crc(bytes(body)).to_bytes(4, "little")
    out = change.data[: page.start] + bytes(body) + change.data[page.end :]
    return Change(data=out, what=change.what, at=change.at)


def _ogg_table() -> list[int]:
    table = list[int]()
    for byte in range(256):
        crc = byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 * (crc >> 31)) & 0xFFFFFFFF
        table.append(crc)
    return table


_OGG_TABLE = _ogg_table()


def _ogg_crc(page: bytes) -> int:
    """RFC 3533, section 6: the checksum of a page whose own field is zero."""
    crc = 0
    for byte in page:
        crc = (crc << 8 & 0xFFFFFFFF) ^ _OGG_TABLE[crc >> 24 ^ byte]
    return crc

"""Where the frames lie in a FLAC member that pack wrote, found without a media library.

As in packets.py nothing is judged: None where it is not laid out as our packing does it.
"""

from dataclasses import dataclass
from functools import cache
from typing import Self

from sharding.format.claims import ClipShape

Block = tuple[int, int, bytes]
"""First sample, samples, and bytes of a frame."""
_STREAM_INFO = 34
"""Bytes of the first metadata block (RFC 9639, section 8.2)."""
_STEADY = b"\xff\xf8"
"""How a frame begins where all but the last have one length."""


@dataclass(frozen=True, slots=True)
class SoundFrames:
    """The frames of a FLAC member."""

    info: bytes
    """What a decoder has to know of it, and nothing that differs from clip to clip."""
    length: int
    """Samples of each frame but the last."""
    samples: int
    """Of all."""
    start: int
    """First byte of the first frame."""

    @classmethod
    def find(cls, member: bytes, shape: ClipShape) -> Self | None:
        """Those of a FLAC member that holds the sound of such a clip."""
        info = member[8 : 8 + _STREAM_INFO]
        if (
            len(info) < _STREAM_INFO
            or member[:4] != b"fLaC"
            or int.from_bytes(member[4:8]) & 0x7FFFFFFF != _STREAM_INFO
        ):
            return None
        least, most, form = int.from_bytes(info[:2]), int.from_bytes(info[2:4]), int.from_bytes(info[10:18])
        found = (form >> 44, (form >> 41 & 7) + 1, (form >> 36 & 31) + 1, form & (1 << 36) - 1)
        if least != most or not least or found != (shape.clock.sample_rate, shape.channels, 16, shape.samples):
            return None
        place = 4
        while place + 4 <= len(member):
            last, place = member[place] & 0x80, place + 4 + int.from_bytes(member[place + 1 : place + 4])
            if last:
                form = (form >> 36 << 36).to_bytes(8)
                return cls(info[:4] + bytes(6) + form + bytes(16), least, shape.samples, place)
        return None

    def blocks(self, member: bytes, first: int, stop: int) -> list[Block] | None:
        """The frames that hold samples `first` to `stop`.

        Each is looked for by its number; a decoder that checks sums says whether it was one.
        """
        count, low, high = -(-self.samples // self.length), first // self.length, -(-stop // self.length)
        if (
            not 0 <= low < high <= count
            or member[self.start : self.start + 2] != _STEADY
            or self.start + 2 == len(member)
        ):
            return None
        begins, place, form = [self.start], self.start, member[self.start + 2]
        for number in range(1, min(high, count - 1) + 1):
            place = _frame_at(member, place + 2, number, form if number < count - 1 else None)
            if place < 0:
                return None
            begins.append(place)
        begins.append(len(member))
        lengths = [min(self.length, self.samples - number * self.length) for number in range(count)]
        return [
            (number * self.length, lengths[number], member[begins[number] : begins[number + 1]])
            for number in range(low, high)
        ]


def _frame_at(member: bytes, place: int, number: int, form: int | None) -> int:
    """Where the frame of this number begins, from `place` on; below 0: nowhere. form: the byte behind its first two."""
    coded = _as_utf8(number)
    needle = _STEADY if form is None else _STEADY + bytes([form])
    while (place := member.find(needle, place)) >= 0:
        if member[place + 4 : place + 4 + len(coded)] == coded and not member[place + 3] & 1:
            return place
        place += 1
    return -1


@cache
def _as_utf8(number: int) -> bytes:
    """A frame's number as FLAC writes it: as UTF-8 would, and on to 31 bits (RFC 9639, section 9.1.5)."""
    if number < 0x80:
        return bytes([number])
    tail = b""
    while number >= 0x40 >> len(tail):
        tail, number = bytes([0x80 | number & 0x3F]) + tail, number >> 6
    return bytes([0xFF00 >> len(tail) + 1 & 0xFF | number]) + tail

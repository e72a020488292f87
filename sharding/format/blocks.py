"""Checksums by the block: they let a window of a raw clip be read by itself, and all of it that is used be checked.

The clip's json says the CRC-32 of each eighth of a second of its pictures and of its sound. What is read gets its
checksum as it comes; what is not read is taken at the json's word; joined in order they must give the one checksum of
the clip that the index has, which the json itself is under. So no index grows, and a clip whose blocks do not join, or
that has none, is read as a whole: its one checksum decides.

Knows no file and no tar.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby

from isal.isal_zlib import crc32
from msgspec import UNSET, UnsetType

from sharding.base.files import from_json
from sharding.errors import FormatError
from sharding.format.claims import ClipShape
from sharding.format.clip import BlockChecksums

BLOCK_S = Fraction(1, 8)
"""Of pictures or sound. A window of 4 s takes at most 4.25 s then; of blocks of 1 s it would take 5."""
DIGITS = 8
_CHECKSUMS = re.compile(rf"([0-9a-f]{{{DIGITS}}})+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Unread:
    """Bytes that nobody reads, and the checksum that they have by the clip's json."""

    bytes: int
    crc32: int


@dataclass(frozen=True, slots=True)
class BlockTable:
    """The blocks of a clip's pictures, or of its sound, in bytes from the first of them."""

    block: int
    """Bytes of each but the last."""
    size: int
    """Of all together."""
    checksums: str

    def around(self, wanted: Sequence[range]) -> Iterator[range | Unread]:
        """All blocks in order: those in which something is wanted, to be read, and the others."""
        used = set[int]()
        for span in wanted:
            used.update(range(span.start // self.block, -(-span.stop // self.block)))
        for read, run in groupby(range(-(-self.size // self.block)), used.__contains__):
            numbers = list(run)
            if read:
                yield range(numbers[0] * self.block, min((numbers[-1] + 1) * self.block, self.size))
            else:
                yield from map(self._unread, numbers)

    def checksum(self, number: int) -> int:
        """Of a block, as the clip's json says."""
        return int(self.checksums[number * DIGITS :][:DIGITS], 16)

    def _unread(self, number: int) -> Unread:
        return Unread(min(self.block, self.size - number * self.block), self.checksum(number))


class PassingBlocks:
    """Holds the blocks of a member against their checksums while its bytes pass by."""

    def __init__(self, table: BlockTable, head: int) -> None:
        """head: how many bytes of the member come before its first block."""
        self._table, self._head = table, head
        self._position, self._crc = 0, 0
        self.wrong: list[int] = []
        """Numbers of the blocks that have another checksum."""

    def take(self, data: memoryview) -> None:
        """The next bytes."""
        skipped = min(self._head, len(data))
        self._head -= skipped
        data = data[skipped:][: self._table.size - self._position]
        while data:
            number, inside = divmod(self._position, self._table.block)
            part = data[: self._table.block - inside]
            data, self._position, self._crc = data[len(part) :], self._position + len(part), crc32(part, self._crc)
            if self._position in ((number + 1) * self._table.block, self._table.size):
                if self._crc != self._table.checksum(number):
                    self.wrong.append(number)
                self._crc = 0


def block_checksums(shape: ClipShape, pictures: memoryview, sound: memoryview) -> BlockChecksums:
    """Of all that a clip of that shape holds."""
    frames, samples = (max(1, round(rate * BLOCK_S)) for rate in (shape.clock.fps, shape.clock.sample_rate))
    return BlockChecksums(
        frames=frames,
        samples=samples,
        video=checksums_of(pictures, frames * shape.frame_bytes),
        audio=checksums_of(sound, samples * shape.sample_bytes),
    )


def checksums_of(data: memoryview, block: int) -> str:
    """Of each block of so many bytes, in order."""
    return "".join(f"{crc32(data[start : start + block]):0{DIGITS}x}" for start in range(0, len(data), block))


def problem_of_checksums(told: BlockChecksums, shape: ClipShape) -> str:
    """What no clip of that shape has; empty when all can be true."""
    parts = {
        "frames": (told.frames, shape.frames, told.video),
        "samples": (told.samples, shape.samples, told.audio),
    }
    for name, (each, count, checksums) in parts.items():
        if each < 1:
            return f"of blocks of {each} {name}"
        blocks = -(-count // each)
        if len(checksums) != blocks * DIGITS or not _CHECKSUMS.fullmatch(checksums):
            return f"{len(checksums)} digits for {blocks} blocks of {each} {name}"
    return ""


def tables_in(json: bytes | memoryview, shape: ClipShape) -> tuple[BlockTable, BlockTable] | None:
    """Of pictures and of sound, as a clip's json says; None where it says nothing, or nothing that can be true.

    Its bytes need not have been checked: whoever reads by it checks them with all the others.
    """
    try:
        told = from_json(json, _WithChecksums, "its json").checksums
    except FormatError:
        return None
    if not told or problem_of_checksums(told, shape):
        return None
    return (
        BlockTable(told.frames * shape.frame_bytes, shape.picture_bytes, told.video),
        BlockTable(told.samples * shape.sample_bytes, shape.sound_bytes, told.audio),
    )


def whole_tables(shape: ClipShape) -> tuple[BlockTable, BlockTable]:
    """Of a clip that says nothing of blocks: all of it is one."""
    return BlockTable(shape.picture_bytes, shape.picture_bytes, ""), BlockTable(
        shape.sound_bytes, shape.sound_bytes, ""
    )


@dataclass(frozen=True, slots=True)
class _WithChecksums:
    """All of a clip's json that is looked at."""

    checksums: BlockChecksums | UnsetType = UNSET

"""Clips as a plain USTAR tar, and what follows from its layout and nobody stores: headers, where payloads start.

A clip is three members in a row, json first; a member is a header of one block and a payload padded to whole blocks.
No file is opened here.
"""

import tarfile
from dataclasses import dataclass
from typing import BinaryIO, Self

from isal.isal_zlib import crc32

from sharding.format.clip import Clip
from sharding.format.codec import Codec, pieces_of
from sharding.format.records import ClipRecord

BLOCK = tarfile.BLOCKSIZE
END = bytes(2 * BLOCK)
"""A tar ends with two blocks of zeros."""


def padded(size: int) -> int:
    """Bytes a payload of `size` takes in a tar."""
    return -(-size // BLOCK) * BLOCK


def member_header(name: str, size: int) -> bytes:
    """The one block before a payload: no date, no owner. Raises ValueError when `name` or `size` does not fit."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Where the payloads of one clip lie, in bytes from the first of them (the json)."""

    json_bytes: int
    video: tuple[int, int]
    """Start and length."""
    audio: tuple[int, int]

    @property
    def size(self) -> int:
        """One read of so many bytes holds all three payloads, and the headers between."""
        return sum(self.audio)

    @classmethod
    def of(cls, json_bytes: int, video_bytes: int, audio_bytes: int) -> Self:
        """From the lengths alone."""
        video = padded(json_bytes) + BLOCK
        audio = video + padded(video_bytes) + BLOCK
        return cls(json_bytes=json_bytes, video=(video, video_bytes), audio=(audio, audio_bytes))


class ShardWriter:
    """Appends clips to an open, empty file, and notes where they lie; whoever wants a whole tar writes END after them.

    Bytes depend on the clips alone: no dates, no owners.
    """

    def __init__(self, file: BinaryIO, codec: Codec) -> None:
        self._file, self._codec = file, codec
        self.size = 0
        self.clips: list[ClipRecord] = []

    def add(self, clip: Clip) -> None:
        """Encode a clip and append its members."""
        members = pieces_of(clip, self._codec)
        sizes = [sum(map(len, pieces)) for pieces in members.values()]
        layout = Layout.of(*sizes)
        start, crc, padding = self.size + BLOCK, 0, b""
        for number, (size, (suffix, pieces)) in enumerate(zip(sizes, members.items(), strict=True)):
            head = member_header(f"{clip.meta.key}.{suffix}", size)
            between = (padding, head) if number else ()  # what lies between payloads is checked, too
            for block in (*between, *pieces):
                crc = crc32(block, crc)
            padding = bytes(padded(size) - size)
            for block in (head, *pieces, padding):
                self._file.write(block)
            self.size += BLOCK + padded(size)
        self.clips.append(
            ClipRecord(
                key=clip.meta.key,
                action=clip.meta.action,
                group=clip.meta.group,
                frames=clip.meta.frames,
                offset=start,
                size=layout.size,
                crc32=crc,
                video=layout.video,
                audio=layout.audio,
                json_bytes=layout.json_bytes,
            )
        )

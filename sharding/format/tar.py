"""What follows from the layout of our tars, so that nobody has to store it: headers, padding, where payloads start.

A clip is three members in a row, json first; a member is a header of one block and a payload padded to whole blocks.
No file is opened here.
"""

import tarfile
from dataclasses import dataclass
from typing import Self

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

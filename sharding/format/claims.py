"""What a clip must be, by dataset.json and the index; and what becomes of a clip whose own bytes say something else.

Anyone may have written those bytes, and made every checksum right. So a decoder is told what to expect, not asked what
there is, and whatever it makes of them costs that clip alone.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from sharding.errors import SkipClip, WrongClip
from sharding.format.clip import ClipMeta, Clock, ColorMatrix

SPARE = 2**26
"""Bytes that a decoder may take beside the pictures themselves."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipShape:
    """What the pictures and the sound of one clip have to be, from the first to the last."""

    frames: int
    width: int
    height: int
    channels: int
    clock: Clock
    matrix: ColorMatrix | None = None
    """As the clip's json names it; None where nobody has looked."""

    @classmethod
    def of(cls, meta: ClipMeta) -> Self:
        """What a clip says of itself."""
        return cls(
            frames=meta.frames,
            width=meta.width,
            height=meta.height,
            channels=meta.channels,
            clock=meta.clock,
            matrix=meta.matrix,
        )

    @property
    def samples(self) -> int:
        return self.clock.sample_at(self.frames)

    @property
    def pictures(self) -> tuple[int, int, int]:
        """(T, H*3/2, W) uint8"""
        return self.frames, self.height * 3 // 2, self.width

    @property
    def sound(self) -> tuple[int, int]:
        """(S, C) int16"""
        return self.samples, self.channels

    @property
    def frame_bytes(self) -> int:
        """Of one picture, as it is."""
        return (self.height * 3 // 2) * self.width

    @property
    def picture_bytes(self) -> int:
        """Of all pictures."""
        return self.frames * self.frame_bytes

    @property
    def sample_bytes(self) -> int:
        """Of one sample of all channels, as it is."""
        return self.channels * 2

    @property
    def sound_bytes(self) -> int:
        return self.samples * self.sample_bytes


@contextmanager
def decoding(member: str, room: int) -> Iterator[None]:
    """Whatever foreign bytes make a library raise costs the clip that they are of: WrongClip.

    room: bytes that an honest clip takes here. A MemoryError is the machine's, and goes on, when even these cannot be
    had; otherwise it is what the bytes claim to need. Ctrl-C and its like go on in any case.
    """
    try:
        yield
    except SkipClip:
        raise
    except Exception as error:
        if isinstance(error, MemoryError) and not _can_have(room + SPARE):
            raise MemoryError(f"{room + SPARE} bytes to decode a clip") from error
        raise WrongClip(f"its {member} member does not decode: {str(error) or type(error).__name__}") from error


def _can_have(size: int) -> bool:
    try:
        bytearray(size)
    except MemoryError:
        return False
    return True

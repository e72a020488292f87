"""Whether a source has anything to hear and to see: without sound, or with one picture throughout, it teaches nothing.

Both look at the clips of a part, one after the other; a source is judged by all its parts.
"""

import numpy as np
from numpy.typing import NDArray

from sharding.errors import RejectError, RejectReason

SILENCE_DBFS = -60
"""A block of sound is heard when its mean power is above this; quiet recordings lie near -45."""
BLOCK_S = 0.1
AUDIBLE_SHARE = 0.05
"""A source is silent when fewer of its blocks than this are heard: a click or two in half a minute is no sound."""
GRID = 32
"""Cells along the shorter side of a picture."""
CHANGE = 4
"""A cell has changed when its mean luma has by more than this, of 255. A still coded by x264 at crf 35 moves it by 3;
one that was coded worse is taken for a recording, which does less harm than the reverse."""
STRIDE = 5
"""Every so many pictures are looked at."""


def check_loudness(heard: int, blocks: int) -> None:
    """Raises RejectError when a source is silent."""
    if heard < blocks * AUDIBLE_SHARE:
        raise RejectError(
            RejectReason.SILENT, f"only {heard} of {blocks} tenths of a second are louder than {SILENCE_DBFS} dBFS"
        )


def check_motion(moved: bool) -> None:
    """Raises RejectError when a source's picture stood still."""
    if not moved:
        raise RejectError(RejectReason.FROZEN, "its picture never changes: a cover or a title, not a recording")


class Loudness:
    """How much of the clips can be heard at all."""

    def __init__(self, sample_rate: int) -> None:
        self._block = max(1, int(sample_rate * BLOCK_S))
        self.blocks = self.heard = 0

    def hear(self, audio: NDArray[np.int16]) -> None:
        """audio: (S, C)"""
        whole = len(audio) // self._block
        blocks = audio[: whole * self._block].reshape(whole, -1).astype(np.float32) / 32768
        power = np.square(blocks).mean(axis=1)
        self.blocks += whole
        self.heard += int((power > 10 ** (SILENCE_DBFS / 10)).sum())


class Motion:
    """Whether the picture of the clips ever changes."""

    def __init__(self) -> None:
        self._first: NDArray[np.float32] | None = None
        self.moved = False

    def see(self, luma: NDArray[np.uint8]) -> None:
        """luma: (T, H, W)"""
        for picture in luma[::STRIDE]:
            if self.moved:
                return  # nearly always at the second picture
            cells = _cells(picture)
            self._first = cells if self._first is None else self._first
            self.moved = bool(np.abs(cells - self._first).max() > CHANGE)


def _cells(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Means of square cells of (H, W)."""
    side = max(1, min(picture.shape) // GRID)
    height, width = (length // side for length in picture.shape)
    grid = picture[: height * side, : width * side].reshape(height, side, width, side)
    return grid.mean(axis=(1, 3), dtype=np.float32)

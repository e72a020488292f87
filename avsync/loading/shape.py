"""What a batch looks like in memory: where rows lie in the slots that parent and workers share."""

from dataclasses import dataclass
from mmap import mmap

import numpy as np
from numpy.typing import NDArray

PAGE = 4096
BOARD_COLUMNS = 3
"""What each worker tells about itself: number of its request, its stage, since when (ns of the monotonic clock)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SlotLayout:
    """Slots of one size, one after the other, behind a board that workers write their state on."""

    workers: int
    slots: int
    rows: int
    """B, clips a batch."""
    frames: int
    picture: tuple[int, int]
    """(H*3/2, W): I420."""
    sounds: int
    samples: int
    channels: int

    @property
    def yuv_shape(self) -> tuple[int, ...]:
        return (self.rows, self.frames, *self.picture)

    @property
    def audio_shape(self) -> tuple[int, ...]:
        return (self.rows, self.sounds, self.samples, self.channels)

    @property
    def bytes(self) -> int:
        """Of the whole memory."""
        return self._board_bytes + self.slots * self._slot_bytes

    def yuv_at(self, slot: int) -> int:
        """Byte at which a slot's pictures begin; its sound follows them."""
        return self._board_bytes + slot * self._slot_bytes

    def audio_at(self, slot: int) -> int:
        return self.yuv_at(slot) + _pages(_product(self.yuv_shape))

    def board(self, memory: mmap) -> NDArray[np.int64]:
        """(workers, BOARD_COLUMNS)"""
        return np.frombuffer(memory, np.int64, self.workers * BOARD_COLUMNS).reshape(self.workers, BOARD_COLUMNS)

    def row(self, memory: mmap, slot: int, row: int) -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
        """Pictures (T, H*3/2, W) and sounds (K, S, C) of one row."""
        pictures, sounds = self.yuv_shape[1:], self.audio_shape[1:]
        size, length = _product(pictures), _product(sounds)
        yuv = np.frombuffer(memory, np.uint8, size, self.yuv_at(slot) + row * size)
        audio = np.frombuffer(memory, np.int16, length, self.audio_at(slot) + row * length * 2)
        return yuv.reshape(pictures), audio.reshape(sounds)

    @property
    def _board_bytes(self) -> int:
        return _pages(self.workers * BOARD_COLUMNS * 8)

    @property
    def _slot_bytes(self) -> int:
        return _pages(_product(self.yuv_shape)) + _pages(2 * _product(self.audio_shape))


def _product(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64))


def _pages(size: int) -> int:
    """`size` rounded up to whole pages."""
    return -(-size // PAGE) * PAGE

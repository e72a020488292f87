"""A file read once, from its start to its end, in large blocks; whatever passes is hashed."""

import hashlib
from collections.abc import Callable, Iterator
from io import RawIOBase

BLOCK_BYTES = 2 * 2**20
"""Large enough for any disk, small enough to stay in a core's cache between digest and checksum."""


class Tape:
    """Gives the bytes of `file` in order. `passed` hears of each block's length as it is read."""

    def __init__(self, file: RawIOBase, passed: Callable[[int], None]) -> None:
        self._file, self._passed = file, passed
        self._buffer = memoryview(bytearray(BLOCK_BYTES))
        self._waiting = self._buffer[:0]
        self._hash = hashlib.sha256()

    def pieces(self, size: int) -> Iterator[memoryview]:
        """The next `size` bytes, or what is left; a piece is gone when the next one comes. Raises OSError."""
        while size > 0:
            if not self._waiting:
                self._fill()
            if not self._waiting:
                return
            piece, self._waiting = self._waiting[:size], self._waiting[size:]
            size -= len(piece)
            yield piece

    def take(self, size: int) -> bytes:
        """The next `size` bytes, or what is left, to keep."""
        return b"".join(bytes(piece) for piece in self.pieces(size))

    def digest(self) -> str:
        """SHA-256 of what was read: of the whole file, once all of it was taken and nothing follows."""
        return self._hash.hexdigest()

    def _fill(self) -> None:
        count = self._file.readinto(self._buffer) or 0
        self._waiting = self._buffer[:count]
        self._hash.update(self._waiting)
        self._passed(count)

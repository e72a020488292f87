"""A shard as it grows: clips appended to a plain USTAR tar, with their places noted for the index.

Bytes depend on the clips alone: no dates, no owners. A source that turns out bad is taken back as if it had never come.
"""

import hashlib
import tarfile
import zlib
from dataclasses import dataclass
from typing import BinaryIO, Protocol, Self

from sharding.clip import Clip, ClipMeta
from sharding.codec import Codec, members_of
from sharding.index import ClipRecord

BLOCK = tarfile.BLOCKSIZE
END = bytes(2 * BLOCK)
"""A tar ends with two blocks of zeros."""


class Digest(Protocol):
    """What hashlib makes; its own type has no public name."""

    def update(self, data: bytes, /) -> None: ...
    def copy(self) -> Self: ...
    def hexdigest(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Mark:
    """A state of the shard one can return to."""

    size: int
    clips: int
    hash: Digest


class ShardWriter:
    """Appends clips to an open, empty file."""

    def __init__(self, file: BinaryIO, codec: Codec) -> None:
        self._file, self._codec = file, codec
        self._hash: Digest = hashlib.sha256()
        self.size = 0
        self.clips: list[ClipRecord] = []

    def add(self, clip: Clip) -> None:
        """Encode a clip and append its members."""
        blocks: list[bytes] = []
        places: list[tuple[int, int]] = []
        length = 0
        for suffix, payload in members_of(clip, self._codec).items():
            head = _header(f"{clip.meta.key}.{suffix}", len(payload))
            places.append((length + len(head), len(payload)))
            blocks += [head, payload, bytes(-len(payload) % BLOCK)]
            length += len(head) + len(payload) + -len(payload) % BLOCK
        data = b"".join(blocks)
        self.clips.append(_record(clip.meta, self.size, places, data))
        self._write(data)

    def finish(self) -> str:
        """Close the tar; returns its sha256."""
        self._write(END)
        return self._hash.hexdigest()

    def mark(self) -> Mark:
        return Mark(size=self.size, clips=len(self.clips), hash=self._hash.copy())

    def take_back(self, mark: Mark) -> None:
        """Forget all clips added since `mark`."""
        self._file.seek(mark.size)
        self._file.truncate()
        self.size, self._hash = mark.size, mark.hash.copy()
        del self.clips[mark.clips :]

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)
        self.size += len(data)


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")


def _record(meta: ClipMeta, start: int, places: list[tuple[int, int]], data: bytes) -> ClipRecord:
    """Places count from the tar piece's first header; a record counts from its first payload (the json)."""
    base, (last, length) = places[0][0], places[-1]
    payloads = data[base : last + length]
    return ClipRecord(
        key=meta.key,
        action=meta.action,
        group=meta.group,
        frames=meta.frames,
        offset=start + base,
        size=len(payloads),
        crc32=zlib.crc32(payloads),
        video=(places[1][0] - base, places[1][1]),
        audio=(last - base, length),
        json_bytes=places[0][1],
    )

"""Clips as a piece of a plain USTAR tar, with their places noted for the index.

Bytes depend on the clips alone: no dates, no owners.
"""

import tarfile
import zlib
from typing import BinaryIO

from sharding.clip import Clip, ClipMeta
from sharding.codec import Codec, members_of
from sharding.index import ClipRecord

BLOCK = tarfile.BLOCKSIZE
END = bytes(2 * BLOCK)
"""A tar ends with two blocks of zeros."""


class ShardWriter:
    """Appends clips to an open, empty file; whoever wants a whole tar writes END after them."""

    def __init__(self, file: BinaryIO, codec: Codec) -> None:
        self._file, self._codec = file, codec
        self.size = 0
        self.clips: list[ClipRecord] = []

    def add(self, clip: Clip) -> None:
        """Encode a clip and append its members."""
        places: list[tuple[int, int]] = []
        crc, padding = 0, b""
        for suffix, payload in members_of(clip, self._codec).items():
            head = _header(f"{clip.meta.key}.{suffix}", len(payload))
            for block in (padding, head) if places else ():  # what lies between payloads is checked, too
                crc = zlib.crc32(block, crc)
            crc = zlib.crc32(payload, crc)
            places.append((self.size + len(head), len(payload)))
            padding = bytes(-len(payload) % BLOCK)
            for block in (head, payload, padding):
                self._file.write(block)
            self.size += len(head) + len(payload) + len(padding)
        self.clips.append(_record(clip.meta, places, crc))


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")


def _record(meta: ClipMeta, places: list[tuple[int, int]], crc: int) -> ClipRecord:
    """Places of the three payloads in the file; a record counts from the first one (the json)."""
    (base, json_bytes), video, audio = places
    return ClipRecord(
        key=meta.key,
        action=meta.action,
        group=meta.group,
        frames=meta.frames,
        offset=base,
        size=audio[0] + audio[1] - base,
        crc32=crc,
        video=(video[0] - base, video[1]),
        audio=(audio[0] - base, audio[1]),
        json_bytes=json_bytes,
    )

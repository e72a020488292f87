"""Clips as a piece of a plain USTAR tar, with their places noted for the index.

Bytes depend on the clips alone: no dates, no owners.
"""

from typing import BinaryIO

from isal.isal_zlib import crc32

from sharding.format.clip import Clip
from sharding.format.codec import Codec, members_of
from sharding.format.records import ClipRecord
from sharding.format.tar import (
    BLOCK,
    Layout,
    member_header,
    padded,
)


class ShardWriter:
    """Appends clips to an open, empty file; whoever wants a whole tar writes END after them."""

    def __init__(self, file: BinaryIO, codec: Codec) -> None:
        self._file, self._codec = file, codec
        self.size = 0
        self.clips: list[ClipRecord] = []

    def add(self, clip: Clip) -> None:
        """Encode a clip and append its members."""
        members = members_of(clip, self._codec)
        layout = Layout.of(*map(len, members.values()))
        start, crc, padding = self.size + BLOCK, 0, b""
        for number, (suffix, payload) in enumerate(members.items()):
            head = member_header(f"{clip.meta.key}.{suffix}", len(payload))
            for block in (padding, head) if number else ():  # what lies between payloads is checked, too
                crc = crc32(block, crc)
            crc = crc32(payload, crc)
            padding = bytes(padded(len(payload)) - len(payload))
            for block in (head, payload, padding):
                self._file.write(block)
            self.size += BLOCK + padded(len(payload))
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

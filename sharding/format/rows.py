"""The columns of an index as they grow, clip by clip: a few dozen bytes each, however many side files pass by."""

import re
from array import array
from collections.abc import Sequence
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from sharding.errors import FormatError
from sharding.format.columns import CLIPS, Columns, problem_of
from sharding.format.records import ClipRecord
from sharding.format.tar import Layout

GROUP_BYTES = 16
"""Of the digest that stands for a group's name while groups are numbered."""
_KEY = re.compile(r"[A-Za-z0-9_-]{1,80}/\d{8}", re.ASCII)
_NUMBERED = ("source", "group")
"""Columns whose numbers are known when all names are."""


class Rows:
    """Collects the clips of one split in the order of their shards. Sources and groups get their numbers at the end.

    Clips of one source come in a row, so a name is kept once for each such row of clips, not for each clip.
    """

    def __init__(self, actions: Sequence[str]) -> None:
        self._actions = {action: number for number, action in enumerate(actions)}
        self._columns = {name: array(kind.char) for name, kind in CLIPS.items()}
        self._names: list[bytes] = []
        self._groups = bytearray()
        self._last = ("", "")

    def add(self, shard: int, clip: ClipRecord) -> None:
        """Append a clip of the tar numbered `shard`. Raises FormatError when no tar of ours can have it."""
        if problem := problem_of_clip(clip):
            raise FormatError(problem)
        if clip.action not in self._actions:
            raise FormatError(f"clip {clip.key}: action {clip.action!r} is not listed in dataset.json")
        name, _, frame = clip.key.rpartition("/")
        if (name, clip.group) != self._last:
            self._last = (name, clip.group)
            self._names.append(name.encode())
            self._groups += sha256(clip.group.encode()).digest()[:GROUP_BYTES]
        self._append(shard, int(frame), clip)

    def _append(self, shard: int, first_frame: int, clip: ClipRecord) -> None:
        number = len(self._names) - 1
        values = {
            "source": number,
            "first_frame": first_frame,
            "frames": clip.frames,
            "shard": shard,
            "offset": clip.offset,
            "json_bytes": clip.json_bytes,
            "video_bytes": clip.video[1],
            "audio_bytes": clip.audio[1],
            "crc32": clip.crc32,
            "action": self._actions[clip.action],
            "group": number,
        }
        for name, value in values.items():
            self._columns[name].append(value)

    def columns(self) -> Columns:
        """All of an index. Raises FormatError when the clips cannot stand in one."""
        columns: Columns = {name: np.array(column) for name, column in self._columns.items()}
        names, source = np.unique(np.array(self._names, np.bytes_), return_inverse=True)
        groups = np.unique(np.frombuffer(bytes(self._groups), f"S{GROUP_BYTES}"), return_inverse=True)[1]
        for name, numbers in zip(_NUMBERED, (source, groups), strict=True):
            columns[name] = numbers.astype(CLIPS[name])[columns[name]]
        columns["names"], columns["name_end"] = _joined(names)
        if problem := problem_of(columns):
            raise FormatError(f"the side files do not make an index: {problem}")
        return columns


def _joined(names: NDArray[np.bytes_]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Names of fixed width, filled up with zeros: without the zeros, and where each ends."""
    letters = names.view(np.uint8).reshape(len(names), -1) if len(names) else np.zeros((0, 1), np.uint8)
    real = letters != 0
    return letters[real], real.sum(axis=1, dtype=np.int64).cumsum()


def problem_of_clip(clip: ClipRecord) -> str:
    """What no clip of a tar of ours has; empty when it can be one."""
    if _KEY.fullmatch(clip.key) is None:
        return f"{clip.key!r} is no key of a clip"
    numbers = (clip.json_bytes, clip.video[1], clip.audio[1], clip.crc32)
    if not (0 < clip.frames < 2**31 and 0 <= clip.offset < 2**62 and all(0 <= number < 2**32 for number in numbers)):
        return f"clip {clip.key}: a number of it is impossible"
    layout = Layout.of(clip.json_bytes, clip.video[1], clip.audio[1])
    if (clip.video, clip.audio, clip.size) != (layout.video, layout.audio, layout.size):
        return f"clip {clip.key}: its members cannot lie in a tar as it is told"
    return ""

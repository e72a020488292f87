"""A packed split, opened for reading: one contiguous read per clip, its checksum verified.

avsync/ may import it. What lies where is the index's business (sharding/index.py).
"""

import os
import zlib
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path

import numpy as np

from sharding.clip import ClipMeta
from sharding.codec import Codec, codec_named
from sharding.errors import FormatError, InputError, SkipClip
from sharding.files import from_json, open_file
from sharding.index import INDEX, DatasetInfo, Index, read_info


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StoredClip:
    """The bytes of one clip as read from its shard, checksum verified."""

    json: memoryview
    video: memoryview
    audio: memoryview

    def meta(self) -> ClipMeta:
        return from_json(self.json, ClipMeta, "a clip's json")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Dataset:
    """A packed dataset's split, opened for reading."""

    folder: Path
    split: str
    info: DatasetInfo
    index: Index

    @property
    def codec(self) -> Codec:
        return codec_named(self.info.codec)

    def shard_path(self, clip: int) -> Path:
        return self._shard(int(self.index.shard[clip]))

    def shards(self) -> list[Path]:
        """Every tar that holds a clip."""
        return [self._shard(int(number)) for number in np.unique(self.index.shard)]

    def _shard(self, number: int) -> Path:
        return self.folder / self.split / f"{number:06d}.tar"

    def key(self, clip: int) -> str:
        return self.index.key(clip)

    def read(self, clip: int) -> StoredClip:
        """One contiguous read. Raises SkipClip when the shard is missing, short or changed."""
        path, offset, layout = self.shard_path(clip), int(self.index.offset[clip]), self.index.layout(clip)
        try:
            with open_file(path) as shard:
                # no more than there is: memory for what a damaged index claims is never asked for
                size = max(0, min(layout.size, os.fstat(shard.fileno()).st_size - offset))
                shard.seek(offset)
                data = _read(shard, size)
        except OSError as error:
            raise SkipClip(f"clip {self.key(clip)}: cannot read {path}: {error.strerror}") from error
        if len(data) != layout.size or zlib.crc32(data) != self.index.crc32[clip]:
            raise SkipClip(
                f"clip {self.key(clip)}: its bytes in {path} are not those that were packed; "
                f"delete {path} and run the same avsync pack again"
            )
        video, audio = (data[start : start + length] for start, length in (layout.video, layout.audio))
        return StoredClip(json=data[: layout.json_bytes], video=video, audio=audio)


def _read(file: RawIOBase, size: int) -> memoryview:
    """`size` bytes, or what is left: one raw read may give less (2 GiB at most, network file systems far less)."""
    data, filled = memoryview(bytearray(size)), 0
    while filled < size and (got := file.readinto(data[filled:])):
        filled += got
    return data[:filled]


def open_dataset(folder: Path, split: str) -> Dataset:
    """Open one split of a packed dataset. Raises InputError, FormatError."""
    info = read_info(folder)
    if not info.clips.get(split):
        raise InputError(f"{folder} has no clips in split {split!r}; it has {_filled(info, split)}")
    path = folder / split / INDEX
    index = Index.load(path)
    if len(index) != info.clips[split] or index.action.max() >= len(info.actions):
        raise FormatError(
            f"{path} has {len(index)} clips of {index.action.max(initial=-1) + 1} actions, dataset.json says "
            f"{info.clips[split]} of {len(info.actions)}; run the same avsync pack again"
        )
    return Dataset(folder=folder, split=split, info=info, index=index)


def _filled(info: DatasetInfo, missing: str) -> str:
    """The splits that have clips, and how to do with them."""
    filled = {name: count for name, count in info.clips.items() if count}
    have = ", ".join(f"{name} ({count} clips)" for name, count in filled.items()) or "none at all"
    instead = next((f", or evaluate with --split {name}" for name in ("val", "train") if name in filled), "")
    return f"{have}: name the splits in a CSV and pack it{instead if missing != 'train' else ''}"

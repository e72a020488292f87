"""A packed split, opened for reading: where each clip lies, and all of it with its checksum verified.

avsync/ may import it. What lies where is the index's business (sharding/format/index.py).
"""

import os
from dataclasses import dataclass
from pathlib import Path

from sharding.base.files import broken_link
from sharding.base.guarded import claimed_owner
from sharding.base.text import first_few
from sharding.errors import FormatError, InputError, SkipClip, UsageError
from sharding.format.codec import Codec, codec_named
from sharding.format.index import INDEX, DatasetInfo, Index, MappedIndex, open_index, read_info
from sharding.format.reader import ClipLocation, ShardReader, StoredClip


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
        return [self._shard(number) for number in self.index.runs.number.tolist()]

    def missing_shards(self) -> list[Path]:
        """Those of them that are not there. One look into the folder: a look for each takes long on network disks."""
        with os.scandir(self.folder / self.split) as found:
            there = {entry.name for entry in found if entry.is_file()}
        return [self._shard(number) for number in self.index.runs.number.tolist() if _tar(number) not in there]

    def _shard(self, number: int) -> Path:
        return self.folder / self.split / _tar(number)

    def key(self, clip: int) -> str:
        return self.index.key(clip)

    def location(self, clip: int, path: Path | None = None) -> ClipLocation:
        """Where a clip lies; `path`: of a copy of its shard."""
        (index, row), where = self.index.at(clip), str(path or self.shard_path(clip))
        return ClipLocation(
            path=where,
            owner=claimed_owner(where),
            offset=int(index.offset[row]),
            json_bytes=int(index.json_bytes[row]),
            video_bytes=int(index.video_bytes[row]),
            audio_bytes=int(index.audio_bytes[row]),
            crc32=int(index.crc32[row]),
            frames=int(index.frames[row]),
            key=index.key(row),
            action=self.info.actions[index.action[row]],
        )

    def read(self, clip: int) -> StoredClip:
        """One contiguous read. Raises SkipClip when the shard is missing, short or changed."""
        try:
            with ShardReader(self.info.form) as reader:
                return reader.read(self.location(clip))
        except SkipClip as error:
            raise type(error)(f"clip {self.key(clip)}: {error}") from error


def _tar(number: int) -> str:
    return f"{number:06d}.tar"


def open_dataset(folder: Path, split: str) -> Dataset:
    """Open one split of a packed dataset. Raises InputError, FormatError."""
    info = read_info(folder)
    codec_named(info.codec)  # raised here once, not by every worker
    if not info.clips.get(split):
        raise UsageError(f"{folder} has no clips in split {split!r}; it has {_filled(info, split)}")
    if why := broken_link(folder / split):
        raise InputError(f"{why}; mend the link, or name another dataset")
    path = folder / split / INDEX
    index = open_index(path, info.clips[split], len(info.actions))
    actions = len(info.actions) if isinstance(index, MappedIndex) else int(index.action.max(initial=-1)) + 1
    if len(index) != info.clips[split] or actions > len(info.actions):
        raise FormatError(
            f"{path} has {len(index)} clips of {actions} actions, dataset.json says "
            f"{info.clips[split]} of {len(info.actions)}; run the same avsync pack again"
        )
    return Dataset(folder=folder, split=split, info=info, index=index)


def _filled(info: DatasetInfo, missing: str) -> str:
    """The splits that have clips, and how to do with them."""
    filled = {name: count for name, count in info.clips.items() if count}
    have = first_few([f"{name} ({count} clips)" for name, count in filled.items()]) or "none at all"
    instead = next((f", or give --split {name}" for name in ("val", "train") if name in filled), "")
    return f"{have}: name the splits in a CSV and pack it{instead if missing != 'train' else ''}"

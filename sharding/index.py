"""What a dataset folder holds: dataset.json, and the index that says where each clip lies.

avsync/ may import it. sharding/pack.py writes it, sharding/dataset.py reads clips by it. The layout is specified in
docs/data-format.md.

    DATASET/dataset.json                 DatasetInfo; written last: a dataset that has it is whole
    DATASET/<split>/000000.tar           plain WebDataset tar
    DATASET/<split>/000000.json          ShardRecord: what the tar holds (source of the index)
    DATASET/<split>/index.npz            Index: one row per clip, columns as plain arrays
    DATASET/rejects.csv                  path, reason, detail
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from sharding.clip import FORMAT_VERSION, Clock, Fit, Repairs
from sharding.errors import FormatError, InputError
from sharding.files import publish, read_json

SPLITS = ("train", "val", "test")
INFO = "dataset.json"
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetInfo:
    """dataset.json: what all clips of a dataset share."""

    format_version: int
    codec: str
    clock: Clock
    width: int
    height: int
    channels: int
    fit: Fit
    actions: tuple[str, ...]
    clips: dict[str, int]
    """Split -> number of clips."""
    shards: dict[str, int]
    """Split -> number of tars; their numbers may have gaps."""
    sources: int
    """Sources that gave a clip."""
    lost_clips: int
    """Clips that damaged places of sources cost."""
    rejects: int
    settings: dict[str, str | int | None]
    """What `avsync pack` was told and the bytes depend on."""
    written_by: str
    """Software and versions."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipRecord:
    """One clip in its shard. Offsets in bytes from the tar's start; members are the tar's payloads."""

    key: str
    action: str
    group: str
    frames: int
    offset: int
    """First payload byte of the json member; one read of `size` bytes from here holds all three payloads."""
    size: int
    crc32: int
    """Of those `size` bytes, tar headers between the members included."""
    video: tuple[int, int]
    """Payload's start relative to `offset`, and length."""
    audio: tuple[int, int]
    json_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceRecord:
    """How a source fared in one shard: for reports (avsync show), so that nobody must open a tar for them."""

    source: str
    """Path as given, relative to the input folder."""
    action: str
    clips: int
    frames: int
    """In its clips together."""
    lost_clips: int
    """Clips that should be here and are not, because the source is damaged there."""
    damage: str
    """What was found at the first lost clip; empty when none is lost."""
    stream_offset_s: float
    """First audio timestamp minus first video timestamp, seconds."""
    repairs: Repairs
    """Of its clips together; `longest_still` is the longest of any."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardRecord:
    """A shard's side file."""

    format_version: int
    plan: str
    """Digest of everything that decides this shard's bytes; a shard with another plan is packed again."""
    tar_bytes: int
    sha256: str
    clips: tuple[ClipRecord, ...]
    sources: tuple[SourceRecord, ...] = ()
    """Those that gave a clip, in the order of the tar."""
    rejects: tuple[tuple[str, str, str], ...] = ()
    """(source, reason, detail)"""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Index:
    """All clips of one split, as columns. Row number = clip id, the only name of a clip inside the loader."""

    key: NDArray[np.bytes_]
    shard: NDArray[np.int32]
    """Which `<split>/NNNNNN.tar`."""
    offset: NDArray[np.int64]
    size: NDArray[np.int64]
    crc32: NDArray[np.uint32]
    video: NDArray[np.int64]
    """(N, 2): start relative to offset, length."""
    audio: NDArray[np.int64]
    """(N, 2)"""
    json_bytes: NDArray[np.int32]
    frames: NDArray[np.int32]
    action: NDArray[np.int32]
    """Position in DatasetInfo.actions."""
    group: NDArray[np.int32]
    """Sources that belong together share a number; for confidence intervals."""

    def __len__(self) -> int:
        return len(self.key)

    @classmethod
    def build(cls, shards: list[ShardRecord], actions: tuple[str, ...]) -> Self:
        """Join side files, in shard order."""
        rows = [(number, clip) for number, shard in enumerate(shards) for clip in shard.clips]
        clips = [clip for _, clip in rows]
        action_ids = {action: number for number, action in enumerate(actions)}
        groups = {group: number for number, group in enumerate(sorted({clip.group for clip in clips}))}
        return cls(
            key=np.array([clip.key.encode() for clip in clips], dtype=np.bytes_),
            shard=np.array([number for number, _ in rows], np.int32),
            offset=np.array([clip.offset for clip in clips], np.int64),
            size=np.array([clip.size for clip in clips], np.int64),
            crc32=np.array([clip.crc32 for clip in clips], np.uint32),
            video=np.array([clip.video for clip in clips], np.int64).reshape(-1, 2),
            audio=np.array([clip.audio for clip in clips], np.int64).reshape(-1, 2),
            json_bytes=np.array([clip.json_bytes for clip in clips], np.int32),
            frames=np.array([clip.frames for clip in clips], np.int32),
            action=np.array([action_ids[clip.action] for clip in clips], np.int32),
            group=np.array([groups[clip.group] for clip in clips], np.int32),
        )

    def save(self, path: Path) -> None:
        with publish(path) as file:
            np.savez(file, **{name: getattr(self, name) for name in _COLUMNS})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read index.npz. Raises FormatError when it is not one."""
        try:
            with np.load(path, allow_pickle=False) as columns:
                return cls(**{name: columns[name] for name in _COLUMNS})
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}; run the same avsync pack again") from error
        except Exception as error:  # numpy raises ValueError, KeyError, BadZipFile, EOFError for damaged files,
            # and some of their messages advise to load them unsafely: they are not passed on
            raise FormatError(
                f"{path} is damaged: it is no archive of the columns of an index; "
                "run the same avsync pack again to rebuild it"
            ) from error


_COLUMNS = tuple(Index.__dataclass_fields__)


def read_info(folder: Path) -> DatasetInfo:
    """Read dataset.json. Raises InputError when it is no dataset, FormatError for another format version."""
    path = folder / INFO
    if not path.is_file():
        raise InputError(f"{folder} is not a dataset: no dataset.json; make one with avsync pack VIDEOS {folder}")
    version = _read_part(path, _Version).format_version
    if version != FORMAT_VERSION:
        raise FormatError(
            f"{folder} has format version {version}, this avsync reads {FORMAT_VERSION}: "
            "pack the videos again into another folder, or use the avsync that wrote it"
        )
    return _read_part(path, DatasetInfo)


def _read_part(path: Path, kind: type[T]) -> T:
    try:
        return read_json(path, kind)
    except FormatError as error:
        raise FormatError(f"{error}; delete {path} and run the same avsync pack again") from error


@dataclass(frozen=True, slots=True)
class _Version:
    format_version: int

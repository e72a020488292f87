"""Everything `avsync show` shows, read from dataset.json, the indexes, the side files and rejects.csv; no tar."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sharding.base.files import LARGEST_SIDE_FILE, read_file, read_json
from sharding.base.text import counted
from sharding.errors import AvsyncError, FormatError, InputError
from sharding.format.dataset import open_dataset
from sharding.format.index import INFO, PLAN, SPLITS, DatasetInfo, Index, read_info
from sharding.format.records import REJECTS, Reject, SourceRecord, parse_rejects
from sharding.plan.plan import PlanFile
from sharding.show.av_clock import Sources

SIDE_FILES = "[0-9]*.json"
READERS = 16
"""Side files read at once: on a cluster's file system each costs a round trip, and hardly any work."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitFacts:
    """A line of the table of splits."""

    split: str
    sources: int
    clips: int
    seconds: Fraction
    """Of its clips together."""
    actions: int
    groups: int
    shards: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Survey:
    """What is inside a dataset."""

    folder: Path
    info: DatasetInfo
    splits: tuple[SplitFacts, ...]
    frames: NDArray[np.int32]
    """Length of every clip."""
    action_clips: NDArray[np.int64]
    """Clips of each of `info.actions`."""
    bytes: int
    """Of all tars."""
    sources: Sources
    rejects: tuple[Reject, ...]
    notes: tuple[str, ...]
    """What could not be read, and what to do about it."""

    @property
    def clips(self) -> int:
        return len(self.frames)

    @property
    def seconds(self) -> Fraction:
        """Of all clips together."""
        return int(self.frames.sum(dtype=np.int64)) / self.info.clock.fps


@dataclass(frozen=True, kw_only=True, slots=True)
class _SideFile:
    """The part of a ShardRecord about its sources: its clips stand in the index, a thousand times cheaper."""

    LARGEST_FILE: ClassVar[int] = LARGEST_SIDE_FILE

    tar_bytes: int
    sources: tuple[SourceRecord, ...] = ()


class _Shard(NamedTuple):
    """The same as columns, in a third of the memory."""

    tar_bytes: int
    sources: Sources


def read_survey(folder: Path) -> Survey:
    """Read what is inside `folder`. Raises InputError when it is no dataset (yet), FormatError for another version."""
    _check_whole(folder)
    info = read_info(folder)
    indexes = {split: open_dataset(folder, split).index for split in SPLITS if info.clips.get(split)}
    sides, notes = _read_sides(folder, info)
    sources = Sources.join([side.sources for side in sides])
    actions = [np.bincount(index.action, minlength=len(info.actions)) for index in indexes.values()]
    return Survey(
        folder=folder,
        info=info,
        splits=tuple(_facts(split, indexes.get(split), sources, info) for split in SPLITS),
        frames=np.concatenate([np.empty(0, np.int32), *(index.frames for index in indexes.values())]),
        action_clips=np.sum(actions, axis=0) if actions else np.zeros(len(info.actions), np.int64),
        bytes=sum(side.tar_bytes for side in sides),
        sources=sources,
        rejects=(rejects := _read_rejects(folder)),
        notes=(*notes, *_differences(info, len(sources), len(rejects))),
    )


def _check_whole(folder: Path) -> None:
    """A folder that is being packed says how far it is, rather than that it is none."""
    if (folder / INFO).is_file() or not (folder / PLAN).is_file():
        return
    shards = len(read_json(folder / PLAN, PlanFile).shards)
    done = sum(1 for split in SPLITS for _ in (folder / split).glob(SIDE_FILES))
    raise InputError(
        f"{folder} is not a whole dataset yet: {done:,} of {counted(shards, 'shard')} done, no {INFO}; wait for the "
        "avsync pack that writes it, or run the same avsync pack again"
    )


def _facts(split: str, index: Index | None, sources: Sources, info: DatasetInfo) -> SplitFacts:
    return SplitFacts(
        split=split,
        sources=int(np.count_nonzero(sources.split == SPLITS.index(split))),
        clips=0 if index is None else len(index),
        seconds=Fraction(0) if index is None else int(index.frames.sum(dtype=np.int64)) / info.clock.fps,
        actions=0 if index is None else len(np.unique(index.action)),
        groups=0 if index is None else len(np.unique(index.group)),
        shards=info.shards.get(split, 0),
    )


def _read_sides(folder: Path, info: DatasetInfo) -> tuple[list[_Shard], list[str]]:
    """What the side files say, in the order of the shards, and a note on each that cannot be read."""
    paths = [(split, path) for split in SPLITS for path in sorted((folder / split).glob(SIDE_FILES))]
    with ThreadPoolExecutor(READERS) as pool:
        read = list(pool.map(_read_side, *zip(*paths, strict=True))) if paths else []
    damaged = _few(note for note in read if isinstance(note, str))
    notes = [f"{note}; avsync verify {folder} tells what is lost" for note in damaged]
    missing = sum(info.shards.values()) - len(paths)
    if missing > 0:
        notes.append(f"side files missing: {missing}; run the same avsync pack again to make them")
    return [side for side in read if isinstance(side, _Shard)], notes


def _read_side(split: str, path: Path) -> _Shard | str:
    try:
        side = read_json(path, _SideFile)
        return _Shard(side.tar_bytes, Sources.gather(side.sources, SPLITS.index(split)))
    except AvsyncError as error:
        return str(error)
    except OverflowError:  # a number that no column can hold
        return f"{path} is damaged: a number in it is impossible"


def _few(notes: Iterable[str], most: int = 3) -> list[str]:
    """The first notes, and how many more."""
    everything = list(notes)
    more = len(everything) - most
    return everything[:most] + ([f"and {more} side files more cannot be read"] if more > 0 else [])


def _read_rejects(folder: Path) -> tuple[Reject, ...]:
    """rejects.csv; of a missing or foreign one nothing, which the counts then show."""
    try:
        return parse_rejects(read_file(folder / REJECTS, LARGEST_SIDE_FILE))
    except (OSError, FormatError):
        return ()


def _differences(info: DatasetInfo, sources: int, rejects: int) -> list[str]:
    """What dataset.json counts and was not found."""
    counts = ((sources, info.sources, "source", "side files"), (rejects, info.rejects, "reject", REJECTS))
    return [
        f"{INFO} counts {counted(wanted, noun)}, found in {where}: {found:,}; run the same avsync pack again to mend it"
        for found, wanted, noun, where in counts
        if found < wanted
    ]

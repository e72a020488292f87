"""What a dataset folder holds: dataset.json, and the index that says where each clip lies.

pack/finish.py writes it, format/dataset.py reads clips by it. The layout is specified in docs/data-format.md.

    DATASET/dataset.json                 DatasetInfo; written last: a dataset that has it is whole
    DATASET/<split>/000000.tar           plain WebDataset tar
    DATASET/<split>/000000.json          ShardRecord (records.py): what the tar holds; source of the index
    DATASET/<split>/index.npz            Index: one row per clip, columns as plain arrays
    DATASET/plan.json                    PlanFile (plan/plan.py): which sources stand in which shard
    DATASET/rejects.csv                  path, reason, detail
    DATASET/boxes.csv                    the boxes that clips were cut by, where there are any (sources/crops.py)
    DATASET/README.md                    a dataset card, where one was asked for (pack/card.py)
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from operator import ge
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from sharding.base.files import broken_link, read_json
from sharding.base.text import counted
from sharding.errors import FormatError, InputError
from sharding.format.clip import FORMAT_VERSION, MAX_FPS, MAX_SIDE, SAMPLE_RATES, Clock, Fit
from sharding.format.columns import COLUMNS, LAST_SHARD, WHOLE, Rows, load_columns, prints_of, save_columns
from sharding.format.form import ClipForm, short_text
from sharding.format.mapped import KEPT_PAGES, PAGE, check_order, map_columns, read_page
from sharding.format.records import ShardRecord
from sharding.format.tar import Layout
from sharding.format.walk import ShardRuns, shard_runs, span

SPLITS = ("train", "val", "test")
INFO = "dataset.json"
PLAN = "plan.json"
INDEX = "index.npz"
BOXES = "boxes.csv"
CARD = "README.md"
RUN = "run.json"
"""What a training run is known by."""
PARTS = ".parts"
"""Folder of what is being packed: parts of shards, and the shares of machines."""
MOST_CLIPS, LARGEST_INFO = 2**40, 2**28
"""Clips of a dataset, and bytes of dataset.json: actions are many where every source has its own."""
Settings = dict[str, str | int | bool | None]
"""Of `avsync pack`, as far as clips and splits depend on them."""
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
    settings: Settings
    written_by: str
    """Software and versions."""

    @property
    def form(self) -> ClipForm:
        """What each clip has to keep to."""
        return ClipForm(
            codec=self.codec, clock=self.clock, width=self.width, height=self.height, channels=self.channels
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Index:
    """All clips of one split, as columns. Row number = clip id, the only name of a clip inside the loader.

    What follows from a tar's layout is not stored: see `layout`. About 48 bytes a clip, and 8 with its name a source.

    A large one is a MappedIndex.
    """

    names: NDArray[np.uint8]
    """Ids of the sources, sorted, one after the other, as ASCII."""
    name_end: NDArray[np.int64]
    """Where each of them ends in `names`."""
    source: NDArray[np.int32]
    """Which of the sources this clip is of."""
    first_frame: NDArray[np.int32]
    """Position on its source's timeline."""
    frames: NDArray[np.int32]
    shard: NDArray[np.int32]
    """Which `<split>/NNNNNN.tar`."""
    offset: NDArray[np.int64]
    """First payload byte of the json member in it."""
    json_bytes: NDArray[np.uint32]
    video_bytes: NDArray[np.uint32]
    audio_bytes: NDArray[np.uint32]
    crc32: NDArray[np.uint32]
    action: NDArray[np.int32]
    """Position in DatasetInfo.actions."""
    group: NDArray[np.int32]
    """Sources that belong together share a number; for confidence intervals."""

    def __len__(self) -> int:
        return len(self.source)

    @classmethod
    def build(cls, shards: Iterable[tuple[int, ShardRecord]], actions: Sequence[str]) -> Self:
        """Join side files, each with the number of its tar, ascending; one at a time is held.

        Raises FormatError for one that no tar of ours can have.
        """
        rows = Rows(actions)
        for number, shard in shards:
            for clip in shard.clips:
                rows.add(number, clip)
        return cls(**rows.columns())

    @cached_property
    def runs(self) -> ShardRuns:
        """Which clips each shard has."""
        return shard_runs(self.shard, LAST_SHARD + 1)

    @cached_property
    def lengths(self) -> tuple[int, int]:
        """Frames of the shortest clip, and of the longest."""
        return span(self.frames)

    def prints(self) -> dict[str, str]:
        """What tells these clips from others: digests by name, of some columns each (columns.PRINTED)."""
        return prints_of({name: getattr(self, name) for name in COLUMNS})

    def at(self, clip: int) -> "tuple[Index, int]":
        """An index in memory, checked, and the row of `clip` in it. Raises FormatError when that row cannot be true."""
        return self, clip

    def clips_of(self, shard: int) -> range:
        """The clips of a tar."""
        return range(*(bisect_left(self.shard, number) for number in (shard, shard + 1)))

    def key(self, clip: int) -> str:
        index, row = self.at(clip)
        return f"{index._name(index.source[row]).decode()}/{index.first_frame[row]:08d}"

    def find(self, key: str) -> int | None:
        """The clip called `key`; None when it is not here. Costs a millisecond in a million clips."""
        name = key.rpartition("/")[0].encode()
        source = bisect_left(range(len(self.name_end)), name, key=self._name)
        clips = np.flatnonzero(self.source == source).tolist()
        return next((clip for clip in clips if self.key(clip) == key), None)

    def layout(self, clip: int) -> Layout:
        """Where its payloads lie, from `offset` on."""
        index, row = self.at(clip)
        return Layout.of(int(index.json_bytes[row]), int(index.video_bytes[row]), int(index.audio_bytes[row]))

    def save(self, path: Path) -> None:
        save_columns(path, {name: getattr(self, name) for name in COLUMNS})

    @classmethod
    def load(cls, path: Path, clips: int | None = None) -> Self:
        """Read and check the whole of index.npz, of `clips` clips by dataset.json.

        Raises InputError when it cannot be read, FormatError when it is not one, or damaged.
        """
        return cls(**load_columns(path, clips))

    def _name(self, source: int) -> bytes:
        return self.names[self.name_end[source - 1] if source else 0 : self.name_end[source]].tobytes()


class MappedIndex(Index):
    """A large one, whose columns stay in the file: of a clip's row, only what `at` gives was checked.

    All rows of `shard` and `frames` were, for the order of clips follows from them.
    """

    _page: Callable[[int], Index]
    """The index of that many PAGE rows on."""
    _prints: dict[str, str] | None
    """As the file says them."""

    @classmethod
    def open(cls, path: Path, clips: int, actions: int) -> Self:
        """index.npz, of so many clips and actions by dataset.json. Raises InputError, FormatError, as Index.load."""
        columns, prints = map_columns(path, clips)
        index = cls(**columns)
        check_order(path, index.runs, index.lengths)
        index._prints = prints
        index._page = lru_cache(KEPT_PAGES)(lambda number: Index(**read_page(path, columns, number, actions)))
        return index

    def prints(self) -> dict[str, str]:
        return self._prints or super().prints()

    def at(self, clip: int) -> tuple[Index, int]:
        number, row = divmod(clip, PAGE)
        return self._page(number), row


def open_index(path: Path, clips: int, actions: int) -> Index:
    """index.npz, of so many clips and actions by dataset.json: a large one is mapped. Raises as Index.load does."""
    return Index.load(path, clips) if clips <= WHOLE else MappedIndex.open(path, clips, actions)


def read_info(folder: Path) -> DatasetInfo:
    """Read dataset.json. Raises InputError when it is no dataset, FormatError for another format version."""
    path = folder / INFO
    if not path.is_file() and (folder / PLAN).is_file():
        raise InputError(
            f"{folder} is not a whole dataset yet: no dataset.json; wait for the avsync pack that writes it, "
            "or run it again"
        )
    if not path.is_file():
        raise InputError(_no_dataset(folder))
    version = _read_part(path, _Version).format_version
    if version != FORMAT_VERSION:
        raise FormatError(
            f"{folder} has format version {version}, this avsync reads {FORMAT_VERSION}: "
            "pack the videos again into another folder, or use the avsync that wrote it"
        )
    info = _read_part(path, DatasetInfo)
    if problem := problem_of_info(info):
        raise FormatError(f"{path} is damaged: {problem}; delete it and run the same avsync pack again")
    return info


def problem_of_info(info: DatasetInfo) -> str:
    """What no dataset of ours has, so that nobody takes memory or time for it; empty when all can be true."""
    sides, rate = (info.width, info.height), info.clock.sample_rate
    if not all(0 < side <= MAX_SIDE and side % 2 == 0 for side in sides) or info.channels not in (1, 2):
        return f"pictures of {info.width}x{info.height} with {info.channels} channels of sound are not packed"
    if not (1 <= info.clock.fps <= MAX_FPS and SAMPLE_RATES[0] <= rate <= SAMPLE_RATES[1]):
        return f"{short_text(str(info.clock.fps))} pictures and {rate} samples a second are not packed"
    for name, counts, most in (("clips", info.clips, MOST_CLIPS), ("shards", info.shards, LAST_SHARD + 1)):
        for split, count in counts.items():
            if split not in SPLITS or not 0 <= count <= most:
                return f"{count} {name} in split {short_text(split)!r} are not packed"
    if not all(0 <= count <= MOST_CLIPS for count in (info.sources, info.lost_clips, info.rejects)):
        return f"{info.sources} sources, {info.lost_clips} lost clips and {info.rejects} rejects are not counted"
    clips = sum(info.clips.values())
    if len(info.actions) > clips or any(map(ge, info.actions, info.actions[1:])):
        return f"{len(info.actions)} actions of {clips} clips, or not sorted"
    return ""


def _no_dataset(folder: Path) -> str:
    """What lies there instead, and what to do: old files are purged from many a disk, one by one."""
    if why := broken_link(folder):
        return f"{folder} is not a dataset: {why}; mend the link, or name another folder"
    try:
        shards = sum(1 for split in SPLITS for _ in (folder / split).glob("[0-9]*.tar"))
        names = None if not folder.is_dir() else {path.name for path in folder.iterdir()}
    except OSError:  # not ours to read
        shards, names = 0, {""}
    if shards:
        return (
            f"{folder} has lost {INFO} and {PLAN}, which say what it is; there is {counted(shards, 'shard')}: put both "
            "back from a copy, or pack the videos again into another folder"
        )
    if names and RUN in names:
        return f"{folder} is not a dataset: no {INFO}: it is a training run; name the dataset that it was trained on"
    what = {None: ": there is no such folder", frozenset(): ": it is empty"}
    fact = ": it is a file" if folder.is_file() else what.get(None if names is None else frozenset(names), "")
    return f"{folder} is not a dataset: no {INFO}{fact}; make one with avsync pack VIDEOS DATASET"


def _read_part(path: Path, kind: type[T]) -> T:
    try:
        return read_json(path, kind, most=LARGEST_INFO)
    except FormatError as error:
        raise FormatError(f"{error}; delete {path} and run the same avsync pack again") from error


@dataclass(frozen=True, slots=True)
class _Version:
    format_version: int

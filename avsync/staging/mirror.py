"""A dataset as it was typed, made ready for reading: its metadata in a folder, shelves for its shards.

A dataset behind a URL is opened through its mirror, SCRATCH/avsync-<uid>/<fingerprint>: dataset.json and the indexes
of all splits, fetched at each start. The fingerprint is that of these files: they hold a checksum of every clip, so a
dataset that has changed has another mirror, and the same dataset at two addresses has one.
"""

import hashlib
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Self

from avsync.config import RuntimeConfig
from avsync.staging.fetch import Fetch, Retries, TooLong
from avsync.staging.location import Location
from avsync.staging.own_folder import PRIVATE
from avsync.staging.part_file import MODE
from avsync.staging.room import Room
from avsync.staging.scratch import Scratch
from avsync.staging.shelf import DatasetFolder, Shelf
from sharding.base.console import WaitNotice, open_console
from sharding.base.environment import is_first_rank
from sharding.base.files import check_unicode, open_file
from sharding.base.guarded import listed, make_folder, move, open_in_place, opened_folder
from sharding.base.housekeeping import delete, housekeeping, why_refused
from sharding.base.text import first_few, size
from sharding.errors import FormatError, InputError, UsageError
from sharding.format.columns import WHOLE, largest_index
from sharding.format.dataset import Dataset
from sharding.format.index import INDEX, INFO, LARGEST_INFO, SPLITS, open_index, read_info
from sharding.format.mapped import check_bytes, checksums

GB = 10**9
FRESH, STALE_S = ".fetch-", 2 * 24 * 3600
"""Name of a folder in which metadata are fetched; after so long, a killed process has left it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StagedDataset:
    """Where a run's data come from."""

    location: Location
    folder: Path
    """A dataset's folder to open: its own, or the mirror with the metadata only."""
    mirror: Path | None
    """Where copies go; None without a scratch folder."""
    room: Room | None
    retries: Retries

    @classmethod
    def open(cls, dataset: str | Path, runtime: RuntimeConfig, retries: Retries | None = None) -> Self:
        """Raises InputError, FormatError: no dataset there, no scratch folder for a URL, ..."""
        location, retries = check_scratch(dataset, runtime.scratch), retries or Retries()
        for folder in filter(None, (location.folder, runtime.scratch)):
            check_unicode(Path(folder))
        if location.folder is not None and not runtime.scratch:
            return cls(location=location, folder=location.folder, mirror=None, room=None, retries=retries)
        if location.folder is not None:
            read_info(location.folder)  # what it is not, it is not before anything is made for it
        room = Room.open(Path(runtime.scratch).absolute(), int(runtime.scratch_gb * GB))
        if room.own.doubtful and is_first_rank():
            _tell_doubtful(room.own.doubtful)
        if location.folder is not None:
            mirror = room.dataset_folder(fingerprint(location.folder))
            return cls(location=location, folder=location.folder, mirror=mirror, room=room, retries=retries)
        mirror = _fetch_mirror(location, room, retries)
        return cls(location=location, folder=mirror, mirror=mirror, room=room, retries=retries)

    @classmethod
    def of_folder(cls, folder: Path) -> Self:
        """A dataset's folder, without copies."""
        return cls.open(folder, RuntimeConfig())

    @property
    def has_all_shards(self) -> bool:
        """`folder` holds, or should hold, every shard from the start."""
        return self.location.folder is not None

    def shelf(self, dataset: Dataset, *, staged: bool) -> Shelf:
        """Where the loader finds the shards of a split. `staged`: a Stager will be at work for it."""
        if self.mirror is None or self.room is None or (self.has_all_shards and not staged):
            return DatasetFolder(self.folder, dataset.split)
        return Scratch(
            location=self.location,
            folder=self.mirror,
            dataset=dataset,
            room=self.room,
            retries=self.retries,
            quiet=os.environ.get("LOCAL_RANK", "0") != "0",
        )


def check_scratch(dataset: str | Path, scratch: str) -> Location:
    """Where a dataset lies. Raises UsageError for one behind a URL without a scratch folder, InputError for no URL."""
    location = Location.of(dataset)
    if location.folder is None and not scratch:
        raise UsageError(
            f"{location} is a URL, and its shards must be copied to this machine to be read: "
            "say where with --runtime.scratch DIR"
        )
    return location


def fingerprint(folder: Path) -> str:
    """Name of the mirror of the dataset whose metadata lie in `folder`. Raises InputError, FormatError."""
    info, digest = read_info(folder), hashlib.blake2b(digest_size=8)
    for name in [INFO, *_indexes(info.clips)]:
        try:
            digest.update(_content(folder / name, info.clips.get(Path(name).parent.name, 0)))
        except OSError as error:
            raise InputError(
                f"cannot read {folder / name}: {error.strerror}; run the same avsync pack again"
            ) from error
    return digest.hexdigest()


def _content(path: Path, clips: int) -> bytes:
    """What tells a file from another; of a large index its own checksums, for all of it takes each process seconds."""
    if clips > WHOLE:
        return hashlib.blake2b(repr(checksums(path)).encode()).digest()
    with open_file(path) as file:
        return hashlib.file_digest(file, "blake2b").digest()


def _check_index(path: Path, clips: int, actions: int) -> None:
    """What came is whole. Raises FormatError."""
    if clips > WHOLE:
        check_bytes(path)
    open_index(path, clips, actions)


def _indexes(clips: dict[str, int]) -> list[str]:
    """Of the splits that exist: names in the data are not looked at."""
    return [f"{split}/{INDEX}" for split in SPLITS if clips.get(split)]


def _tell_doubtful(folders: tuple[Path, ...]) -> None:
    with suppress(OSError):  # nobody may hear it
        sys.stderr.write(
            f"avsync: warning: {first_few([str(folder) for folder in folders])}: copies of an earlier run by their "
            "name, but others may rename folders there, so they are neither used nor removed; delete them yourself\n"
        )


def _fetch_mirror(location: Location, room: Room, retries: Retries) -> Path:
    try:
        with _fresh_folder(room.folder) as fresh:
            names = _fetch_metadata(location, fresh, room, retries)
            mirror = room.dataset_folder(fingerprint(fresh))
            for name in reversed(names):  # dataset.json last: who has it is whole
                make_folder((mirror / name).parent, mode=PRIVATE)
                move(fresh / name, mirror / name)
            return mirror
    except OSError as error:
        at = error.filename or room.scratch
        raise InputError(
            f"cannot write to --runtime.scratch {at}: {why_refused(error, 'mend that, or name another folder')}"
        ) from error


@contextmanager
def _fresh_folder(own: Path) -> Iterator[Path]:
    """An empty folder, deleted at the end; so is what killed processes left."""
    with housekeeping("list", own), opened_folder(own) as at:
        for name in listed(own):
            if name.startswith(FRESH) and time.time() - os.lstat(name, dir_fd=at).st_mtime > STALE_S:
                delete(own / name)
    fresh = own / f"{FRESH}{secrets.token_hex(8)}"
    make_folder(fresh, mode=PRIVATE)
    try:
        yield fresh
    finally:
        delete(fresh)


def _fetch_metadata(location: Location, folder: Path, room: Room, retries: Retries) -> list[str]:
    """dataset.json and the indexes, each read once to see that it is whole; a damaged one is fetched once more."""
    console = open_console(stderr=True, quiet=not is_first_rank())
    with WaitNotice(f"fetching the index of {location}", console) as notice:
        fetch = Fetch(location=location, retries=retries, say=notice.say)
        _fetch_checked(fetch, folder / INFO, INFO, room, LARGEST_INFO, lambda: read_info(folder))
        info = read_info(folder)
        indexes, clips = _indexes(info.clips), info.clips
        for name in indexes:
            path, count = folder / name, clips[str(Path(name).parent)]
            make_folder(path.parent, mode=PRIVATE)
            check = partial(_check_index, path, count, len(info.actions))
            _fetch_checked(fetch, path, name, room, largest_index(count), check)
    return [INFO, *indexes]


def _fetch_checked(fetch: Fetch, path: Path, name: str, room: Room, longest: int, check: Callable[[], object]) -> None:
    """longest: bytes that such a file can have; it gets no more than there is room for."""
    for last in (False, True):
        room_left, why = room.for_one_file()
        try:
            with FileIO(open_in_place(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, MODE), "r+") as file:
                fetch.copy(name, file, min(longest, room_left))
            check()
            return
        except TooLong:
            if room_left < longest:
                raise InputError(
                    f"cannot get {fetch.location.name_of(name)}: it takes more than {size(room_left)}, and "
                    f"{why}; raise --runtime.scratch-gb, or give --runtime.scratch a folder on a "
                    "larger disk; or was another address meant, whose files end?"
                ) from None
            error: Exception = FormatError(f"it has more than {longest:,} bytes, and none that fits has so many")
        except FormatError as damaged:
            error = damaged
        if last:
            message = str(error).replace(str(path.parents[name.count("/")]), str(fetch.location))
            raise FormatError(
                f"what {fetch.location.name_of(name)} gives is no part of a dataset: {message}"
            ) from error

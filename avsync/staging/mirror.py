"""A dataset as it was typed, made ready for reading: its metadata in a folder, shelves for its shards.

A dataset behind a URL is opened through its mirror, SCRATCH/avsync-<fingerprint>: dataset.json and the indexes of all
splits, fetched at each start. The fingerprint is that of these files: they hold a checksum of every clip, so a dataset
that has changed has another mirror, and the same dataset at two addresses has one.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Self

from avsync.config import RuntimeConfig
from avsync.staging.fetch import Fetch, Retries
from avsync.staging.location import Location
from avsync.staging.room import MIRROR, Room
from avsync.staging.scratch import Scratch
from avsync.staging.shelf import DatasetFolder, Shelf
from sharding.base.console import WaitNotice, open_console
from sharding.base.environment import is_first_rank
from sharding.base.files import check_unicode, open_file
from sharding.base.housekeeping import why_refused
from sharding.errors import FormatError, InputError, UsageError
from sharding.format.dataset import Dataset
from sharding.format.index import INDEX, INFO, SPLITS, Index, read_info

GB = 10**9


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
        room = Room(scratch=Path(runtime.scratch).absolute(), limit=int(runtime.scratch_gb * GB))
        if location.folder is not None:
            read_info(location.folder)  # what it is not, it is not before anything is made for it
            room.prepare()
            mirror = _own(room.scratch / fingerprint(location.folder))
            return cls(location=location, folder=location.folder, mirror=mirror, room=room, retries=retries)
        room.prepare()
        mirror = _fetch_mirror(location, room.scratch, retries)
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
            with open_file(folder / name) as file:
                digest.update(hashlib.file_digest(file, "blake2b").digest())
        except OSError as error:
            raise InputError(
                f"cannot read {folder / name}: {error.strerror}; run the same avsync pack again"
            ) from error
    return f"{MIRROR}{digest.hexdigest()}"


def _indexes(clips: dict[str, int]) -> list[str]:
    """Of the splits that exist: names in the data are not looked at."""
    return [f"{split}/{INDEX}" for split in SPLITS if clips.get(split)]


def _own(mirror: Path) -> Path:
    """Make it, for this user. Raises InputError when it is another's."""
    try:
        mirror.mkdir(exist_ok=True)
        if mirror.is_symlink() or mirror.stat().st_uid != os.geteuid():
            raise InputError(f"{mirror} belongs to another user; give --runtime.scratch a folder of your own")
    except OSError as error:
        raise InputError(f"cannot make {mirror}: {error.strerror}; give --runtime.scratch another folder") from error
    return mirror


def _fetch_mirror(location: Location, scratch: Path, retries: Retries) -> Path:
    try:
        with tempfile.TemporaryDirectory(prefix=".avsync-", dir=scratch, ignore_cleanup_errors=True) as fresh:
            names = _fetch_metadata(location, Path(fresh), retries)
            mirror = _own(scratch / fingerprint(Path(fresh)))
            for name in reversed(names):  # dataset.json last: who has it is whole
                (mirror / name).parent.mkdir(exist_ok=True)
                (Path(fresh) / name).replace(mirror / name)
            return mirror
    except OSError as error:
        raise InputError(
            f"cannot write to --runtime.scratch {scratch}: {why_refused(error, 'mend that, or name another folder')}"
        ) from error


def _fetch_metadata(location: Location, folder: Path, retries: Retries) -> list[str]:
    """dataset.json and the indexes, each read once to see that it is whole; a damaged one is fetched once more."""
    console = open_console(stderr=True, quiet=not is_first_rank())
    with WaitNotice(f"fetching the index of {location}", console) as notice:
        fetch = Fetch(location=location, retries=retries, say=notice.say)
        _fetch_checked(fetch, INFO, folder, lambda: read_info(folder))
        clips = read_info(folder).clips
        indexes = _indexes(clips)
        for name in indexes:
            (folder / name).parent.mkdir()
            count = clips[name.partition("/")[0]]
            _fetch_checked(fetch, name, folder, lambda name=name, count=count: Index.load(folder / name, count))
    return [INFO, *indexes]


def _fetch_checked(fetch: Fetch, name: str, folder: Path, check: Callable[[], object]) -> None:
    for last in (False, True):
        with FileIO(folder / name, "w") as file:
            fetch.copy(name, file)
        try:
            check()
            return
        except FormatError as error:
            if last:
                message = str(error).replace(str(folder), str(fetch.location))
                raise FormatError(
                    f"what {fetch.location.name_of(name)} gives is no part of a dataset: {message}"
                ) from error

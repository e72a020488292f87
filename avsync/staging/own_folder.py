"""The folder of one user in a scratch folder that all users of a machine may share: nobody else's, whoever came first.

SCRATCH/avsync-1000/                 copies of the user with this number, for nobody else to enter
SCRATCH/avsync-1000-2/               where something of somebody else has that name: nobody shuts others out
SCRATCH/avsync-0123456789abcdef/     copies of one dataset, where earlier versions put them

In a folder that all may write in, a name says nothing: what lies there is looked at, and entered only when it is a
real folder of this user (sharding/base/guarded.py), at each step and each time.
"""

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sharding.base.guarded import claim, is_ours, kind_of, listed, opened_folder, owner_name

PREFIX = "avsync-"
FINGERPRINT = re.compile("[0-9a-f]{16}")
"""Name of a folder with the copies of one dataset."""
PRIVATE = 0o700
"""Of all folders that are made here: copies are as private as their origin may be."""
MOST_NAMES = 999
"""So many are tried: each costs its taker a folder, and us a few microseconds."""


@dataclass(frozen=True, slots=True)
class OwnFolder:
    """Ours, claimed; and what we have left beside it."""

    path: Path
    spare: tuple[Path, ...] = ()
    """Folders of copies of one dataset each: of earlier versions, and from when the first name was taken. Claimed."""
    doubtful: tuple[Path, ...] = ()
    """Such names, where others may rename what is ours: they may be any folders of ours, and are left alone."""

    @classmethod
    def of(cls, scratch: Path) -> Self:
        """Find or make it. Raises OSError."""
        claim(scratch)  # as it was typed, it may be a link
        scratch.mkdir(parents=True, exist_ok=True)
        with opened_folder(scratch) as at:
            name, owner = _own(scratch, at)
            mode = os.fstat(at).st_mode
        spare = tuple(_spare(scratch, name, owner))
        if mode & (stat.S_IWGRP | stat.S_IWOTH) and not mode & stat.S_ISVTX:
            return cls(scratch / name, doubtful=spare)
        return cls(scratch / name, spare)


def _own(scratch: Path, at: int) -> tuple[str, int]:
    for name in _names():
        with suppress(FileNotFoundError):  # taken, and gone this moment
            if (owner := _owner_of_ours(name, at)) is not None:
                claim(scratch / name, owner)
                return name, owner
    first = next(_names())
    status = os.lstat(first, dir_fd=at)
    fact = f"{first} there is {kind_of(status)} of {owner_name(status)}, and {MOST_NAMES - 1} further names are taken"
    raise OSError(errno.EEXIST, fact, str(scratch / first))


def _names() -> Iterator[str]:
    first = f"{PREFIX}{os.geteuid()}"
    yield first
    yield from (f"{first}-{number}" for number in range(2, MOST_NAMES + 1))


def _owner_of_ours(name: str, at: int) -> int | None:
    """Of our folder of this name, made if nothing has it; None when it is somebody else's, or no folder."""
    with suppress(FileExistsError):
        os.mkdir(name, PRIVATE, dir_fd=at)
    status = os.lstat(name, dir_fd=at)
    return status.st_uid if stat.S_ISDIR(status.st_mode) and is_ours(status, at) else None


def _spare(scratch: Path, own: str, owner: int) -> Iterator[Path]:
    names, ours = list[str](), re.compile(rf"{re.escape(next(_names()))}(-\d+)?")
    with suppress(OSError):  # a folder that may be entered, but not listed
        names = sorted(listed(scratch))
    for name in names:
        of_one_dataset = FINGERPRINT.fullmatch(name.removeprefix(PREFIX))
        if name == own or not name.startswith(PREFIX) or not (of_one_dataset or ours.fullmatch(name)):
            continue
        with suppress(OSError), opened_folder(scratch) as at:
            status = os.lstat(name, dir_fd=at)
            if stat.S_ISDIR(status.st_mode) and status.st_uid == owner:
                claim(folder := scratch / name, owner)
                inside = [Path()] if of_one_dataset else filter(FINGERPRINT.fullmatch, sorted(listed(folder)))
                yield from (folder / inner for inner in inside)

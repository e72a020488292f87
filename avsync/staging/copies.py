"""Copies as files: marked as used, found, taken over, removed. All by descriptor, through no link, and ours alone.

A copy is a regular file of one name that is ours, in folders that are ours (sharding/base/guarded.py). What else lies
at such a name is no copy: it is neither read, marked nor counted. Whoever uses a copy sets its time of change now and
then; whoever hands out its name sets its time of access, too.
"""

import os
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from avsync.staging.own_folder import FINGERPRINT, PREFIX
from sharding.base.files import PART
from sharding.base.guarded import is_ours, listed, open_at, opened_folder, owner_name, refused, status_at
from sharding.base.housekeeping import housekeeping

TAR = ".tar"
NOTE = ".damaged"
"""Suffix of what is written beside a copy: clips that its origin itself holds damaged."""
TOUCH_S = 10
"""Copies in use are touched this often."""
FRESH_S = 300
"""What was touched within this time is in use: it goes only when there is no other way. So long a killed job's copies
are safe, too."""
GIVEN_S = 3
"""A copy whose name was handed out within this time stays even then: somebody is about to read it."""
LONG_AGO = 1
"""Time of change of what nobody needs: a second after the clock's beginning."""


@dataclass(frozen=True, slots=True)
class Copy:
    """One that is there, or is being made; what is being made has its full size from the start."""

    path: Path
    status: os.stat_result

    @property
    def touched(self) -> float:
        return self.status.st_mtime

    @property
    def size(self) -> int:
        """Bytes; of a link none that matter."""
        return self.status.st_size

    @property
    def unwritten(self) -> int:
        """Bytes of it that the disk has yet to find room for."""
        return max(0, self.status.st_size - self.status.st_blocks * 512)

    def may_go(self, urgent: bool) -> bool:
        since, safe_s = (self.status.st_atime, GIVEN_S) if urgent else (self.status.st_mtime, FRESH_S)
        return time.time() - since > safe_s


def find_copies(datasets: Iterable[Path]) -> Iterator[Copy]:
    """All in these folders, SCRATCH/.../<fingerprint>: a name is all that counts there, for all of it is ours."""
    for folder in (dataset / split for dataset in datasets for split in _listed(dataset)):
        with suppress(OSError), opened_folder(folder) as at:
            for path in (folder / name for name in _listed(folder) if name.endswith((TAR, TAR + PART))):
                with suppress(FileNotFoundError):  # its job has just published or removed it
                    status = os.lstat(path.name, dir_fd=at)
                    if _may_be_removed(at, path, status):
                        yield Copy(path, status)


def datasets_in(own: Path) -> list[Path]:
    """Folders of the copies of one dataset each."""
    return [own / name for name in _listed(own) if FINGERPRINT.fullmatch(name)]


def _listed(folder: Path) -> list[str]:
    """Nothing where there is no folder of ours."""
    with suppress(OSError):
        return listed(folder)
    return []


def _may_be_removed(folder: int, path: Path, status: os.stat_result) -> bool:
    """A file or a link, and ours: its name at least is no one else's."""
    return (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)) and is_ours(status, folder, path)


def is_copy(path: Path) -> bool:
    """Whether there is one."""
    with suppress(OSError), opened_folder(path.parent) as folder:
        status_at(folder, path)
        return True
    return False


def release(path: Path) -> None:
    """Say that a copy is not needed any more: the first to go when there is need."""
    with suppress(OSError), opened_folder(path.parent) as folder:  # it is gone, or somebody else's
        status_at(folder, path)
        os.utime(path.name, (LONG_AGO, LONG_AGO), dir_fd=folder, follow_symlinks=False)


def give(path: Path) -> bool:
    """Say that a copy is about to be read; False when it is not there."""
    with suppress(OSError), opened_folder(path.parent) as folder:
        return _marked(folder, path, given=True)
    return False


def touch(folder: Path, names: Iterable[str]) -> set[str]:
    """Say that copies in a folder are in use, or will be soon; returns those that are there."""
    with suppress(OSError), opened_folder(folder) as at:
        return {name for name in names if _marked(at, folder / name, given=False)}
    return set()


def _marked(folder: int, path: Path, *, given: bool) -> bool:
    """Whether it is there; a copy that may not be marked is as good as any other, though it may go sooner."""
    try:
        status, now = status_at(folder, path), time.time_ns()
    except OSError:
        return False
    with housekeeping("mark", path):
        times = (now if given else status.st_atime_ns, now)
        try:
            os.utime(path.name, ns=times, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return False  # removed this moment
    return True


def discard(path: Path) -> None:
    """Remove a copy. Its bytes go at once, also when somebody has it open: loaders keep files open for long.

    Who is reading it finds it short, and asks where else to read. Of a link, or of a second name of a file, only the
    name goes.
    """
    with housekeeping("delete", path), suppress(FileNotFoundError), opened_folder(path.parent) as folder:
        status = os.lstat(path.name, dir_fd=folder)
        if not _may_be_removed(folder, path, status):
            raise refused(path, f"belongs to {owner_name(status)}, or is no file")
        with suppress(OSError):
            handle = open_at(folder, path, os.O_RDWR)
            try:
                os.ftruncate(handle, 0)
            finally:
                os.close(handle)
        os.unlink(path.name, dir_fd=folder)


def take_over(copy: Path, spare: Iterable[Path]) -> bool:
    """Move a copy to its place from one of those folders, if it is the same dataset's; whether one was there.

    For who holds its lock. What is known of its damage comes along.
    """
    for dataset in spare:
        fingerprint, old = copy.parent.parent.name, dataset / copy.parent.name / copy.name
        if dataset.name.removeprefix(PREFIX) != fingerprint or not is_copy(old):
            continue
        with suppress(OSError), opened_folder(old.parent) as here, opened_folder(copy.parent) as there:
            for name in (copy.name + NOTE, copy.name):  # who has the copy has its note
                with suppress(FileNotFoundError):
                    status_at(here, old.with_name(name))
                    os.rename(name, name, src_dir_fd=here, dst_dir_fd=there)
            return is_copy(copy)
    return False

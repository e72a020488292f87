"""Room in the scratch folder: one limit for all jobs of this machine, kept by removing what was used longest ago.

Whoever uses a copy sets its time of change now and then; whoever hands out its name sets its time of access, too.
"""

import errno
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from avsync.staging.part_file import PartFile, locked
from sharding.base.files import PART, broken_link
from sharding.base.housekeeping import delete_file, housekeeping
from sharding.base.text import size as in_words
from sharding.errors import InputError

MIRROR = "avsync-"
MIRRORS = MIRROR + "[0-9a-f]" * 16
"""Names of our folders in the scratch folder; nothing else there is ours, or counted, or removed."""
TOUCH_S = 10
"""Copies in use are touched this often."""
FRESH_S = 300
"""What was touched within this time is in use: it goes only when there is no other way. So long a killed job's copies
are safe, too."""
GIVEN_S = 3
"""A copy whose name was handed out within this time stays even then: somebody is about to read it."""
LONG_AGO = 1
"""Time of change of what nobody needs: a second after the clock's beginning."""
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
"""What a disk answers that has no room."""


class NoRoom(Exception):
    """The limit, or the disk, leaves no room. The message says which."""


class NoRoomYet(NoRoom):
    """Copies in the making have all that there is, or such as are just being read; soon they may go for others."""


@dataclass(frozen=True, slots=True)
class _Copy:
    touched: float
    given: float
    size: int
    unwritten: int
    """Bytes of it that the disk has yet to find room for."""
    path: Path

    def may_go(self, urgent: bool) -> bool:
        since, safe_s = (self.given, GIVEN_S) if urgent else (self.touched, FRESH_S)
        return time.time() - since > safe_s


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """The scratch folder as a whole."""

    scratch: Path
    limit: int = 0
    """Bytes that the copies of all jobs may take together; 0: as many as the disk gives."""

    def prepare(self) -> None:
        """Make the folder. Raises InputError when it cannot be used."""
        try:
            self.scratch.mkdir(parents=True, exist_ok=True)
            with locked(self._lock):
                pass
        except OSError as error:
            fact = broken_link(self.scratch) or ("it is a file" if self.scratch.is_file() else error.strerror)
            raise InputError(
                f"--runtime.scratch {self.scratch} cannot be used: {fact}; name a folder on a disk of this machine"
            ) from error

    def reserve(self, part: PartFile, size: int, *, urgent: bool = False, full: bool = False) -> None:
        """Promise `part` its `size` bytes, for which the oldest copies go; those in use only when it is `urgent`.

        `full`: the disk has refused, although it showed space (a quota, perhaps). Raises NoRoom; OSError for other
        faults of the disk.
        """
        if self.limit and size > self.limit:
            raise NoRoom(f"the limit of {in_words(self.limit)} is too small for a shard of {in_words(size)}")
        with locked(self._lock):
            copies = self._copies(part)
            oldest = [copy for copy in copies if copy.may_go(urgent)]
            oldest.sort(key=lambda copy: copy.touched, reverse=True)
            over = sum(copy.size for copy in copies) + size - self.limit if self.limit else 0
            short = size if full else size + sum(copy.unwritten for copy in copies) - _free(self.scratch)
            for missing, why in (
                (over, f"the limit of {in_words(self.limit)} is reached by copies in use"),
                (short, f"the disk of {self.scratch} is full"),
            ):
                if missing > sum(copy.size for copy in oldest):
                    soon = urgent and missing <= sum(copy.size for copy in copies)
                    raise NoRoomYet(why) if soon else NoRoom(why)
            missing = max(over, short)
            while missing > 0 and oldest:
                missing -= _remove(oldest.pop())
            if missing > 0:
                raise NoRoomYet(f"{self.scratch} is full of copies in the making")
            os.ftruncate(part.file.fileno(), size)  # counted from now on; room is taken while it is written

    def last_moved(self) -> float:
        """When something last came for a copy in the making that has room, as time.time() has it; 0 without one."""
        found = [0.0]
        for path in self.scratch.glob(f"{MIRRORS}/*/*.tar{PART}"):
            with suppress(OSError):
                status = path.lstat()
                found += [status.st_mtime] if status.st_size else []
        return max(found)

    @property
    def _lock(self) -> Path:
        return self.scratch / ".avsync.lock"

    def _copies(self, own: PartFile) -> list[_Copy]:
        """Every copy there is, also those that are being made, which have their full size from the start."""
        found = list[_Copy]()
        for path in [*self.scratch.glob(f"{MIRRORS}/*/*.tar"), *self.scratch.glob(f"{MIRRORS}/*/*.tar{PART}")]:
            try:
                status = path.lstat()
            except OSError:
                continue  # its job has just published or removed it, or it is not ours
            if not os.path.samestat(status, os.fstat(own.file.fileno())):
                unwritten = max(0, status.st_size - status.st_blocks * 512)
                found.append(_Copy(status.st_mtime, status.st_atime, status.st_size, unwritten, path))
        return found


def release(path: Path) -> None:
    """Say that a copy is not needed any more: the first to go when there is need."""
    try:
        os.utime(path, (LONG_AGO, LONG_AGO))
    except OSError:
        pass  # it is gone, or is another user's


def give(path: Path) -> bool:
    """Say that a copy is about to be read; False when it is not there."""
    return _marked(path, lambda: os.utime(path))


def touch(path: Path) -> bool:
    """Say that a copy is in use, or will be soon; False when it is not there."""
    return _marked(path, lambda: os.utime(path, ns=(path.stat().st_atime_ns, time.time_ns())))


def _marked(path: Path, mark: Callable[[], None]) -> bool:
    """Whether it is there; a copy that may not be marked is as good as any other, though it may go sooner."""
    with housekeeping("mark", path):
        try:
            mark()
        except (FileNotFoundError, NotADirectoryError):
            return False
    return True


def discard(path: Path) -> None:
    """Remove a copy. Its bytes go at once, also when somebody has it open: loaders keep files open for long.

    Who is reading it finds it short, and asks where else to read. A link to another file is no copy: only it goes.
    """
    try:
        with FileIO(os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC), "r+") as file:
            if os.fstat(file.fileno()).st_nlink == 1:
                file.truncate(0)
    except OSError:
        pass  # gone already, or a link
    delete_file(path)


def _free(folder: Path) -> int:
    """Bytes that we may still write.

    They are not taken beforehand (posix_fallocate): on ext4, large files are written two to four times slower then.
    """
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def _remove(copy: _Copy) -> int:
    """Bytes that this gives back. What somebody is writing stays."""
    if copy.path.suffix != PART:
        discard(copy.path)
        return 0 if os.path.lexists(copy.path) else copy.size
    with housekeeping("delete", copy.path):
        if left := PartFile.take(copy.path.with_suffix("")):
            left.drop()
            return copy.size
    return 0

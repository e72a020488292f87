"""Room in the scratch folder: one limit for all jobs of a user, kept by removing what he used longest ago.

Nothing of other users is counted or removed; the disk's free space, of which a part is left to them, counts for all.
"""

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from avsync.staging.copies import Copy, datasets_in, discard, find_copies, take_over
from avsync.staging.own_folder import PRIVATE, OwnFolder
from avsync.staging.part_file import PartFile, locked
from sharding.base.files import PART, broken_link
from sharding.base.guarded import make_folder, owner_name
from sharding.base.housekeeping import housekeeping
from sharding.base.text import size as in_words
from sharding.errors import InputError

LOCK = ".avsync.lock"
FLOOR, LARGEST_FLOOR = 0.05, 10 * 10**9
"""So much of a disk is left free, of a large one so many bytes: a node's other jobs need some, too. Of a disk that
others have nearly filled, half of what is besides their files: a small dataset must not fail for 10 GB nobody has."""
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
"""What a disk answers that has no room."""


class NoRoom(Exception):
    """The limit, or the disk, leaves no room. The message says which."""


class NoRoomYet(NoRoom):
    """Copies in the making have all that there is, or such as are just being read; soon they may go for others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """The scratch folder, as far as it is this user's."""

    scratch: Path
    own: OwnFolder
    limit: int = 0
    """Bytes that the copies of all this user's jobs may take together; 0: as many as the disk gives."""

    @classmethod
    def open(cls, scratch: Path, limit: int = 0) -> Self:
        """Make the folders. Raises InputError when they cannot be used."""
        try:
            room = cls(scratch=scratch, own=OwnFolder.of(scratch), limit=limit)
            with locked(room._lock):
                pass
        except OSError as error:
            raise InputError(f"--runtime.scratch {scratch} cannot be used: {_why(scratch, error)}") from error
        return room

    @property
    def folder(self) -> Path:
        """Of this user: datasets by fingerprint."""
        return self.own.path

    def dataset_folder(self, fingerprint: str) -> Path:
        """Make the one of a dataset. Raises InputError."""
        folder = self.folder / fingerprint
        try:
            make_folder(folder, mode=PRIVATE)
        except OSError as error:
            raise InputError(
                f"cannot make {folder}: {error.strerror}; mend that, or give --runtime.scratch another folder"
            ) from error
        return folder

    def take_over(self, copy: Path) -> bool:
        """Have a copy from where an earlier version put it; whether there was one."""
        return take_over(copy, self.own.spare)

    def reserve(self, part: PartFile, size: int, *, urgent: bool = False, full: bool = False) -> None:
        """Promise `part` its `size` bytes, for which the oldest copies go; those in use only when it is `urgent`.

        `full`: the disk has refused, although it showed space (a quota, perhaps). Raises NoRoom; OSError for other
        faults of the disk.
        """
        if self.limit and size > self.limit:
            raise NoRoom(f"the limit of {in_words(self.limit)} is too small for a shard of {in_words(size)}")
        with locked(self._lock):
            copies = list(self._copies(part))
            oldest = [copy for copy in copies if copy.may_go(urgent)]
            oldest.sort(key=lambda copy: copy.touched, reverse=True)
            over = sum(copy.size for copy in copies) + size - self.limit if self.limit else 0
            short = size if full else size + sum(copy.unwritten for copy in copies) - self.free(copies)
            for missing, why in (
                (over, f"the limit of {in_words(self.limit)} is reached by copies in use"),
                (short, self._full_disk(copies)),
            ):
                if missing > sum(copy.size for copy in oldest):
                    soon = urgent and missing <= sum(copy.size for copy in copies)
                    raise NoRoomYet(why) if soon else NoRoom(why)
            missing = max(over, short)
            while missing > 0 and oldest:
                missing -= _remove(oldest.pop())
            if missing > 0:
                raise NoRoomYet(f"{self.folder} is full of copies in the making")
            os.ftruncate(part.file.fileno(), size)  # counted from now on; room is taken while it is written

    def publish(self, part: PartFile) -> None:
        """Give it its name, under the lock: whoever counts copies sees it, by one of its two names."""
        with locked(self._lock):
            part.publish()

    def free(self, copies: Iterable[Copy]) -> int:
        """Bytes that we may still write, who have these copies; below 0 when others have taken what is to be left free.

        They are not taken beforehand (posix_fallocate): on ext4, large files are written two to four times slower then.
        """
        disk = os.statvfs(self.scratch)
        return disk.f_bavail * disk.f_frsize - _floor(disk, copies)

    def for_one_file(self) -> tuple[int, str]:
        """Bytes that a file beside the copies may take, and what keeps it from more."""
        copies = list(self._copies())
        free = max(0, self.free(copies))
        if self.limit and self.limit < free:
            return self.limit, f"the limit is {in_words(self.limit)}"
        return free, self._full_disk(copies)

    def _full_disk(self, copies: Iterable[Copy]) -> str:
        floor = in_words(_floor(os.statvfs(self.scratch), copies))
        return f"the disk of {self.scratch} is full, but for {floor} that are left to others"

    def last_moved(self) -> float:
        """When something last came for a copy in the making that has room, as time.time() has it; 0 without one."""
        making = (copy for copy in self._copies() if copy.path.suffix == PART and copy.size)
        return max((copy.touched for copy in making), default=0.0)

    @property
    def _lock(self) -> Path:
        return self.folder / LOCK

    def _copies(self, besides: PartFile | None = None) -> Iterator[Copy]:
        """Every copy of this user's, also those that are being made."""
        own = os.fstat(besides.file.fileno()) if besides else None
        for copy in find_copies([*datasets_in(self.folder), *self.own.spare]):
            if own is None or not os.path.samestat(copy.status, own):
                yield copy


def _floor(disk: os.statvfs_result, copies: Iterable[Copy]) -> int:
    """Bytes that are left to others."""
    besides_them = disk.f_bavail * disk.f_frsize + sum(copy.size - copy.unwritten for copy in copies)
    return min(int(disk.f_blocks * disk.f_frsize * FLOOR), LARGEST_FLOOR, besides_them // 2)


def _why(scratch: Path, error: OSError) -> str:
    """What is wrong with a scratch folder, and what to do."""
    fact = broken_link(scratch) or ("it is a file" if scratch.is_file() else error.strerror)
    if str(error.filename).startswith(f"{scratch}/"):
        fact = f"{error.filename}: {fact}"
    elif error.errno == errno.EACCES:
        with suppress(OSError):  # nor may we look at it
            fact = f"{fact} (it belongs to {owner_name(scratch.stat())})"
    return f"{fact}; name a folder on a disk of this machine"


def _remove(copy: Copy) -> int:
    """Bytes that this gives back. What somebody is writing stays."""
    if copy.path.suffix != PART:
        discard(copy.path)
        return 0 if os.path.lexists(copy.path) else copy.size
    with housekeeping("delete", copy.path):
        if left := PartFile.take(copy.path.with_suffix("")):
            left.drop()
            return copy.size
    return 0

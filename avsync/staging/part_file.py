"""A file in the making: NAME.part, locked by whoever writes it. The lock dies with its holder, whatever kills it.

It is a file of ours in a folder of ours (sharding/base/guarded.py), renamed or removed in the folder where it was made,
wherever that has gone meanwhile.

Locks are flock's, which belong to an open file: threads of one process keep each other out, too, and closing another
file takes nothing away. What a killed holder leaves counts for nothing: the next one starts it afresh.
"""

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Self

from sharding.base.files import PART
from sharding.base.guarded import open_at, opened_folder
from sharding.base.locks import NO_LOCKS
from sharding.errors import InputError

MODE = 0o600
"""Whatever the umask: copies are for nobody else."""
WAIT_S = 60
"""A lock for moments that is held so long is held by a process that stands still."""
_opened = set[int]()
"""What may carry a lock, and its folder. A forked child must let go of them, or the lock would outlive us in it."""


def _let_go() -> None:
    for handle in _opened:
        with suppress(OSError):
            os.close(handle)  # no more than that: unlocking would unlock the parent's
    _opened.clear()


os.register_at_fork(after_in_child=_let_go)


class PartFile:
    """The unfinished file of `target`, held by us, empty. Ends with `publish` or `drop`."""

    def __init__(self, target: Path, file: FileIO, folder: int) -> None:
        self.target, self.file, self._folder = target, file, folder

    @classmethod
    def take(cls, target: Path) -> Self | None:
        """None while somebody else has it. Raises OSError."""
        path = _part_of(target)
        while True:
            folder, file = _open(path)
            try:
                mine = _lock(file)
                if mine and _is(path, file, folder):
                    file.truncate(0)
                    return cls(target, file, folder)
            except BaseException:
                _close(file, folder)
                raise
            _close(file, folder)
            if not mine:
                return None
            # else its last holder renamed or removed it between our two calls

    def moved(self) -> None:
        """Say that we are still at work: those who wait look at the time of the last change."""
        os.utime(self.file.fileno())

    def publish(self) -> None:
        """From now on it has its name."""
        name = self.target.name
        try:
            os.replace(_part_of(self.target).name, name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.target)) from error
        self._leave()

    def drop(self) -> None:
        """Remove it, to give its space back."""
        with suppress(FileNotFoundError):
            os.unlink(_part_of(self.target).name, dir_fd=self._folder)
        self._leave()

    def _leave(self) -> None:
        _unlock(self.file)
        _close(self.file, self._folder)


def last_moved(target: Path) -> float | None:
    """When something last came for the unfinished file of `target`, as time.time() has it; None when there is none."""
    try:
        with opened_folder(target.parent) as folder:
            return os.lstat(_part_of(target).name, dir_fd=folder).st_mtime
    except OSError:
        return None


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait for the lock `path`, an empty file that stays; for work of moments only.

    Raises InputError where the file system has no locks, OSError when it cannot be had.
    """
    (folder, file), until = _open(path), time.monotonic() + WAIT_S
    try:
        while not _lock(file):
            if time.monotonic() > until:
                raise OSError(errno.ETIMEDOUT, f"the lock {path} is held by a process that stands still")
            time.sleep(0.01)
        yield
        _unlock(file)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        raise InputError(
            f"the file system of {path.parent} has no locks ({error.strerror}); "
            "give --runtime.scratch a folder on a disk of this machine"
        ) from error
    finally:
        _close(file, folder)


def _part_of(target: Path) -> Path:
    return target.with_name(target.name + PART)


def _open(path: Path) -> tuple[int, FileIO]:
    """The folder of a file, and the file, made if missing."""
    with opened_folder(path.parent) as above:
        handle = open_at(above, path, os.O_RDWR | os.O_CREAT, MODE)
        folder = os.dup(above)
    _opened.update((handle, folder))
    return folder, FileIO(handle, "r+", closefd=False)  # else a child could close what then has this number


def _lock(file: FileIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unlock(file: FileIO) -> None:
    """Said aloud: a child forked a moment ago may still have its copy open."""
    fcntl.flock(file, fcntl.LOCK_UN)


def _close(file: FileIO, folder: int) -> None:
    handle = file.fileno()
    file.close()
    for one in (handle, folder):
        _opened.discard(one)
        os.close(one)


def _is(path: Path, file: FileIO, folder: int) -> bool:
    """The file is still the one that has this name."""
    try:
        return os.path.samestat(os.lstat(path.name, dir_fd=folder), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False

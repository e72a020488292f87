"""A file in the making: NAME.part, locked by whoever writes it. The lock dies with its holder, whatever kills it.

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
from sharding.base.locks import NO_LOCKS
from sharding.errors import InputError

WAIT_S = 60
"""A lock for moments that is held so long is held by a process that stands still."""
_opened = set[int]()
"""What may carry a lock. A forked child must let go of its copies, or the lock would outlive us in it."""


def _let_go() -> None:
    for handle in _opened:
        with suppress(OSError):
            os.close(handle)  # no more than that: unlocking would unlock the parent's
    _opened.clear()


os.register_at_fork(after_in_child=_let_go)


class PartFile:
    """The unfinished file of `target`, held by us, empty. Ends with `publish` or `drop`."""

    def __init__(self, target: Path, file: FileIO) -> None:
        self.target, self.file = target, file

    @classmethod
    def take(cls, target: Path) -> Self | None:
        """None while somebody else has it. Raises OSError."""
        path = _part_of(target)
        while True:
            file = _open(path)
            try:
                mine = _lock(file)
                if mine and _is(path, file):
                    file.truncate(0)
                    return cls(target, file)
            except BaseException:
                _close(file)
                raise
            _close(file)
            if not mine:
                return None
            # else its last holder renamed or removed it between our two calls

    def moved(self) -> None:
        """Say that we are still at work: those who wait look at the time of the last change."""
        os.utime(self.file.fileno())

    def publish(self) -> None:
        """From now on it has its name."""
        _part_of(self.target).replace(self.target)
        self._leave()

    def drop(self) -> None:
        """Remove it, to give its space back."""
        _part_of(self.target).unlink(missing_ok=True)
        self._leave()

    def _leave(self) -> None:
        _unlock(self.file)
        _close(self.file)


def last_moved(target: Path) -> float | None:
    """When something last came for the unfinished file of `target`, as time.time() has it; None when there is none."""
    try:
        return _part_of(target).stat().st_mtime
    except FileNotFoundError:
        return None


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait for the lock `path`, an empty file that stays; for work of moments only.

    Raises InputError where the file system has no locks, OSError when it cannot be had.
    """
    file, until = _open(path), time.monotonic() + WAIT_S
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
        _close(file)


def _part_of(target: Path) -> Path:
    return target.with_name(target.name + PART)


def _open(path: Path) -> FileIO:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    _opened.add(handle)
    return FileIO(handle, "r+", closefd=False)  # else a child could close what then has this number


def _lock(file: FileIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unlock(file: FileIO) -> None:
    """Said aloud: a child forked a moment ago may still have its copy open."""
    fcntl.flock(file, fcntl.LOCK_UN)


def _close(file: FileIO) -> None:
    handle = file.fileno()
    file.close()
    _opened.discard(handle)
    os.close(handle)


def _is(path: Path, file: FileIO) -> bool:
    """The file is still the one that has this name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False

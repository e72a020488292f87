"""A folder held by one process, or in shares by several: byte ranges of one lock file, which also says who holds them.

A lock dies with its process, whatever kills it. Where a file system has no locks, that is warned of, and nothing more.
Anyone may import this.
"""

import errno
import fcntl
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from sharding.base.files import broken_link
from sharding.base.guarded import InTheWay, claim, is_ours, make_folder, open_in_place, opened_folder
from sharding.base.housekeeping import housekeeping
from sharding.errors import BusyError, InputError

LOCK_NAME = ".lock"
NOTE_BYTES = 256
"""Of the lock file: the first so many say who holds the folder, the next who holds share 0, and so on."""
PRIVATE_LOCK = 0o600
MOST_NOTES = 10_000
"""Shares that are asked about: the file may be anybody's."""
TAKEN = (errno.EACCES, errno.EAGAIN)
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL)
"""What file systems without locks answer: Lustre mounted without flock, NFS without its lock service, some FUSE."""


@contextmanager
def folder_lock(folder: Path, purpose: str) -> Iterator[None]:
    """Hold `folder`, made if missing, for this process; the lock dies with the process, whatever kills it.

    Raises BusyError naming host, process and purpose of the holder, or of one who holds a share of it (share_lock);
    InputError when the folder cannot be written.
    """
    with _held(folder, purpose, range(0)):
        yield


@contextmanager
def share_lock(folder: Path, purpose: str, share: int) -> Iterator[None]:
    """Hold a share of `folder`: others may hold other shares at the same time, nobody this one or the whole folder.

    `share`: 0, 1, ...; the rest is as with folder_lock.
    """
    with _held(folder, purpose, range((share + 1) * NOTE_BYTES, (share + 2) * NOTE_BYTES)):
        yield


@contextmanager
def _held(folder: Path, purpose: str, span: range) -> Iterator[None]:
    """Lock the bytes `span` of the lock file, or all of it where that is empty, and note there who does."""
    with _lock_file(folder) as file:
        try:
            _take(file, folder, span)
        except OSError as error:
            raise _unusable(folder, error) from error
        note = f"{purpose} (process {os.getpid()} on {socket.gethostname()})".encode()
        _write_note(file, folder, span, note[: NOTE_BYTES - 1].ljust(len(span) - 1) + b"\n")
        yield
        _write_note(file, folder, span, bytes(len(span)))


def _write_note(file: FileIO, folder: Path, span: range, note: bytes) -> None:
    """For who comes and finds the folder taken; the lock holds without.

    A colleague's file is not written, nor one with a second name.
    """
    with housekeeping("write", folder / LOCK_NAME), opened_folder(folder) as at:
        status = os.fstat(file.fileno())
        if status.st_nlink > 1 or not is_ours(status, at):
            return
        if not span:
            file.truncate(0)  # nobody else has a share now
        os.pwrite(file.fileno(), note, span.start)


def _lock_file(folder: Path) -> FileIO:
    claim(folder)
    try:
        make_folder(folder)
        file = FileIO(open_in_place(folder / LOCK_NAME, mode=PRIVATE_LOCK, others=True), "r+")
        _let_writers_in(file, folder)
        return file
    except OSError as error:
        raise _unusable(folder, error) from error


def _let_writers_in(file: FileIO, folder: Path) -> None:
    """Whoever may read a lock file can hold it up for ever: only those can who may write in the folder."""
    status = os.fstat(file.fileno())
    with opened_folder(folder) as at, suppress(OSError):
        if status.st_nlink > 1 or not is_ours(status, at):
            return
        writers = os.stat(".", dir_fd=at).st_mode
        mode = PRIVATE_LOCK | (0o060 if writers & 0o020 else 0) | (0o006 if writers & 0o002 else 0)
        if status.st_mode & 0o777 != mode:
            os.fchmod(file.fileno(), mode)


def _unusable(folder: Path, error: OSError) -> InputError:
    if isinstance(error, InTheWay):
        return InputError(f"cannot use the folder {folder}: {error}")
    fact = broken_link(folder) or ("it is a file" if os.path.isfile(folder) else error.strerror)
    at = f" ({folder / LOCK_NAME})" if error.filename == str(folder / LOCK_NAME) else ""
    return InputError(f"cannot use the folder {folder}: {fact}{at}; mend that, or name another one")


def _take(file: FileIO, folder: Path, span: range) -> None:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, len(span), span.start)
    except OSError as error:
        if error.errno in NO_LOCKS:
            with suppress(OSError):
                sys.stderr.write(
                    f"avsync: warning: the file system of {folder} has no locks ({error.strerror}): "
                    "make sure that nothing else writes there\n"
                )
            return
        if error.errno not in TAKEN:
            raise
        holder = _holder(file, span) or "an unknown process"
        raise BusyError(f"{folder} is in use by {holder}; wait for it, stop it, or choose another folder") from None


def _holder(file: FileIO, span: range) -> str:
    """Who keeps us from `span`: the first note that is locked. Those of killed processes are not."""
    file.seek(0)
    notes = file.read(MOST_NOTES * NOTE_BYTES)
    starts = (0, span.start) if span else range(0, len(notes), NOTE_BYTES)
    for start in starts:
        note = notes[start : start + NOTE_BYTES].strip(b"\0 \n")
        try:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB, NOTE_BYTES, start)
            fcntl.lockf(file, fcntl.LOCK_UN, NOTE_BYTES, start)
        except OSError:
            if note:
                return note.decode(errors="replace")
    return ""

"""Whole files only: what has its final name is complete. Also folder locks and typed JSON.

Anyone may import this. Knows nothing of media.
"""

import errno
import fcntl
import os
import shutil
import socket
import stat
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from io import RawIOBase
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import msgspec

from sharding.base.exact import exact_number
from sharding.errors import AvsyncError, BusyError, FormatError, InputError

T = TypeVar("T")
LOCK_NAME = ".lock"
NOTE_BYTES = 256
"""Of the lock file: the first so many say who holds the folder, the next who holds share 0, and so on."""
TAKEN = (errno.EACCES, errno.EAGAIN)
PRIVATE = 0o600
"""Mode of a file that may hold passwords: for nobody but its owner. The usual mode is as the umask says."""
PART, OLD = ".part", ".old"
"""Suffix of what is being written, and of the folder that it is about to replace."""
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL)
"""What file systems without locks answer: Lustre mounted without flock, NFS without its lock service, some FUSE."""


@contextmanager
def publish(path: Path, *, lasting: bool = True, mode: int = 0o666) -> Iterator[BinaryIO]:
    """Write under `path`.part and rename at the end: a file that has its name is whole.

    What need not last beyond a power failure is not waited for: that costs much on network file systems.
    """
    part = path.with_name(path.name + PART)
    part.unlink(missing_ok=True)  # never through a link, nor into a file that another process may still hold
    try:
        with open(part, "xb", opener=partial(os.open, mode=mode)) as file:
            yield file
            file.flush()
            if lasting:
                os.fsync(file.fileno())
    except BaseException:
        part.unlink(missing_ok=True)  # a full disk gets its space back
        raise
    part.replace(path)
    if lasting:
        _sync_folder(path.parent)


@contextmanager
def publish_folder(path: Path) -> Iterator[Path]:
    """The same for a folder: fill the yielded `path`.part; it is renamed to `path` at the end.

    Every file in it reaches the disk before the rename. An older folder at `path` is replaced: it is `path`.old until
    the new one has the name, and a crash may leave it there.
    """
    part, old = path.with_name(path.name + PART), path.with_name(path.name + OLD)
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        for file in part.rglob("*"):
            _sync_folder(file)
        _sync_folder(part)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)  # a full disk gets its space back
        raise
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        path.rename(old)  # never a half-deleted folder under the name
    part.replace(path)
    _sync_folder(path.parent)
    shutil.rmtree(old, ignore_errors=True)


def open_file(path: Path) -> RawIOBase:
    """Open for reading, unbuffered. Raises OSError, also for what is no regular file: a pipe would wait for ever."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return os.fdopen(handle, "rb", buffering=0)


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def foreign(folder: Path, known: Collection[str]) -> list[str]:
    """Names in `folder` that are none of `known`, sorted; none where there is no folder."""
    return sorted(path.name for path in folder.iterdir() if path.name not in known) if folder.is_dir() else []


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
            note = f"{purpose} (process {os.getpid()} on {socket.gethostname()})".encode()
            _write_note(file, span, note[: NOTE_BYTES - 1].ljust(len(span) - 1) + b"\n")
        except OSError as error:
            raise _unusable(folder, error) from error
        yield
        _write_note(file, span, bytes(len(span)))


def _write_note(file: RawIOBase, span: range, note: bytes) -> None:
    if not span:
        file.truncate(0)  # nobody else has a share now
    os.pwrite(file.fileno(), note, span.start)


def _lock_file(folder: Path) -> RawIOBase:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / LOCK_NAME).touch()
        return (folder / LOCK_NAME).open("r+b", buffering=0)
    except OSError as error:
        raise _unusable(folder, error) from error


def _unusable(folder: Path, error: OSError) -> InputError:
    fact = "it is a file" if os.path.isfile(folder) else error.strerror
    return InputError(f"cannot use the folder {folder}: {fact}; mend that, or name another one")


def _take(file: RawIOBase, folder: Path, span: range) -> None:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, len(span), span.start)
    except OSError as error:
        if error.errno in NO_LOCKS:
            sys.stderr.write(
                f"avsync: warning: the file system of {folder} has no locks ({error.strerror}): "
                "make sure that nothing else writes there\n"
            )
            return
        if error.errno not in TAKEN:
            raise
        holder = _holder(file, span) or "an unknown process"
        raise BusyError(f"{folder} is in use by {holder}; wait for it, stop it, or choose another folder") from None


def _holder(file: RawIOBase, span: range) -> str:
    """Who keeps us from `span`: the first note that is locked. Those of killed processes are not."""
    file.seek(0)
    notes = file.readall()
    places = (0, span.start) if span else range(0, len(notes), NOTE_BYTES)
    for start in places:
        note = notes[start : start + NOTE_BYTES].strip(b"\0 \n")
        try:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB, NOTE_BYTES, start)
            fcntl.lockf(file, fcntl.LOCK_UN, NOTE_BYTES, start)
        except OSError:
            if note:
                return note.decode(errors="replace")
    return ""


def _encode_extra(value: Any) -> Any:
    if isinstance(value, Fraction):
        return str(value)
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(f"{type(value)} has no JSON form")


def _decode_extra(kind: type, value: Any) -> Any:
    if kind is Fraction:
        return exact_number(value)
    if issubclass(kind, Path):
        return kind(value)
    raise NotImplementedError(f"{kind} has no JSON form")


def to_json(value: Any) -> bytes:
    """A dataclass as JSON. Same value, same bytes."""
    return msgspec.json.format(msgspec.json.encode(value, enc_hook=_encode_extra, order="deterministic"), indent=1)


def from_json(data: bytes | memoryview, kind: type[T], name: str) -> T:
    """JSON as a checked dataclass of type `kind`. `name` says in errors what was being read.

    Raises FormatError when it is not JSON or a field is missing, of another type or impossible.
    """
    try:
        return msgspec.json.decode(data, type=kind, dec_hook=_decode_extra)
    except (msgspec.DecodeError, ValueError, ArithmeticError, RecursionError, AvsyncError) as error:
        raise FormatError(f"{name} is damaged or was written by another version: {error}") from error


def read_json(path: Path, kind: type[T]) -> T:
    """Read `path` as a checked dataclass.

    Raises InputError when the file cannot be read, FormatError when its content is not a `kind`.
    """
    try:
        with open_file(path) as file:
            data = file.readall()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    return from_json(data, kind, str(path))


def write_json(path: Path, value: Any, *, lasting: bool = True, mode: int = 0o666) -> None:
    """Write a dataclass as JSON, atomically."""
    with publish(path, lasting=lasting, mode=mode) as file:
        file.write(to_json(value))

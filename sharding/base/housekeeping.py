"""Housekeeping: what no result depends on. What cannot be done of it is left, told once, and the work goes on.

Old checkpoints and left-overs that are deleted, records, curves, pictures, signs of life, notes in lock files: whatever
the disk answers, only the data and the checkpoint itself may end a run. Everybody who tidies, notes or draws does so
in here. Anyone may import this.
"""

import errno
import os
import resource
import shutil
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from sharding.base.guarded import InTheWay, entries_of, opened_folder
from sharding.base.text import plain, size

_told = set[tuple[str, str]]()
"""What this process has said, and of which path."""


def why_refused(error: BaseException, remedy: str = "") -> str:
    """`No space left on device; make room`: what the machine says, and the remedy.

    A limit of the size of files (ulimit -f) has a remedy of its own: room is not what is missing, nor memory. So has
    what lies in our way.
    """
    if isinstance(error, InTheWay):
        return str(error)
    fact = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if limit := file_size_limit(error):
        return f"{fact}: {limit}"
    return f"{fact}; {remedy}" if remedy else fact


def file_size_limit(error: BaseException) -> str:
    """What no file may exceed, and what to do; empty where an error is about something else."""
    if not isinstance(error, OSError) or error.errno != errno.EFBIG:
        return ""
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if limit == resource.RLIM_INFINITY:
        return "this file system takes no file of that size; name a folder on another one"
    return (
        f"this process may write no file of more than {size(limit)}; raise that limit (ulimit -f unlimited, in the "
        "shell or the job) and run the same command again"
    )


@contextmanager
def housekeeping(
    doing: str, path: Path, forgiven: type[Exception] | tuple[type[Exception], ...] = OSError
) -> Iterator[None]:
    """What goes wrong inside is told once, and ends nothing: "cannot `doing` `path`: ...".

    forgiven: what the system answers, or where other people's code may raise anything, all.
    """
    try:
        yield
    except forgiven as error:
        _tell(doing, path, error)


def delete(path: Path) -> bool:
    """Delete a file, or a folder with all that may be deleted in it; whether nothing is left.

    What may not be deleted is left, and told once, with its whole path. A link is deleted, not what it leads to.
    """
    refused = list[tuple[str, OSError]]()

    def note(_: object, at: str, error: Any) -> None:
        error = error[1] if isinstance(error, tuple) else error
        if not isinstance(error, FileNotFoundError):
            refused.append((str(path.parent / at), error))

    try:
        with opened_folder(path.parent) as folder:
            if not stat.S_ISDIR(os.lstat(path.name, dir_fd=folder).st_mode):
                os.unlink(path.name, dir_fd=folder)
            elif sys.version_info >= (3, 12):
                shutil.rmtree(path.name, onexc=note, dir_fd=folder)
            else:
                shutil.rmtree(path.name, onerror=note, dir_fd=folder)
    except OSError as error:
        note(None, str(path), error)
    for at, error in refused[:1]:  # the others follow from it, or are like it
        _tell("delete", Path(at), error)
    return not refused


def cleared(names: Iterable[Path], clear: Callable[[Path], bool] = delete) -> Path:
    """The first of `names` at which nothing lies, or what lay there could be deleted."""
    return next(name for name in names if not os.path.lexists(name) or clear(name))


def delete_file(path: Path) -> bool:
    """The same for what must be a file: a folder that lies there is somebody's, and is left."""
    if path.is_dir() and not path.is_symlink():
        return False
    return delete(path)


def below(folder: Path, pattern: str, *, links: bool = False) -> list[Path]:
    """What lies there by that pattern, sorted; nothing where it cannot be listed.

    A link is no folder, and counts for nothing; `links`: unless it is what the pattern ends with.
    """
    first, _, rest = pattern.partition("/")
    found = list[Path]()
    with housekeeping("list", folder), suppress(FileNotFoundError, NotADirectoryError):
        for entry in entries_of(folder):
            if not fnmatchcase(entry.name, first):
                continue
            if rest and entry.is_folder:
                found += below(folder / entry.name, rest, links=links)
            elif not rest and (links or not entry.is_link):
                found.append(folder / entry.name)
    return found


def is_there(path: Path) -> bool:
    """Whether something lies there; what cannot be looked at counts as nothing."""
    with housekeeping("look at", path), suppress(FileNotFoundError, NotADirectoryError):
        path.stat()
        return True
    return False


def _tell(doing: str, path: Path, error: BaseException) -> None:
    whole = os.path.abspath(path)
    if (doing, whole) in _told:
        return
    _told.add((doing, whole))
    with suppress(OSError, ValueError):  # its terminal is gone, or its log's disk is full
        sys.stderr.write(
            f"avsync: warning: cannot {doing} {plain(f'{whole}: {why_refused(error)}')}; it is left, the work goes on\n"
        )
        sys.stderr.flush()

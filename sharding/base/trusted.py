"""Who but its user may change what lies at a path: what is run, or read as code, lies where nobody else can write.

A folder that others may write in is theirs to fill, and whoever may write in one above it may put another in its place;
unless that is sticky, as /tmp is, and nobody else's. Only what a path leads to is looked at, not what lies inside.
Anyone may import this.
"""

import errno
import grp
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from sharding.base.guarded import is_ours, owner_name

_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_MOST_LINKS = 40
"""As many as Linux itself follows."""
ROOT, NOBODY = 0, 65534
"""NOBODY: as a container shows whoever it does not know, root of the machine among them."""


def exposed(path: Path) -> str:
    """`/tmp/x belongs to user mira`, `/data may be written by its group (mode 2775)`; empty: only its user and root may
    change what lies at `path`. What is not there yet is judged by the folders above it.
    """
    try:
        for at, status, last in _steps(path.absolute()):
            if why := _fault(at, status, last=last):
                return why
    except OSError as error:
        return f"{path} cannot be looked at ({error.strerror})"
    return ""


def exposed_inside(folder: Path) -> str:
    """The same of what we make in `folder`: others may make there what they like, but not take ours away."""
    try:
        return next((why for at, status, _ in _steps(folder.absolute()) if (why := _fault(at, status, last=False))), "")
    except OSError as error:
        return f"{folder} cannot be looked at ({error.strerror})"


def _fault(at: Path, status: os.stat_result, *, last: bool) -> str:
    if not _is_trusted(at, status, last=last):
        return f"{at} belongs to {owner_name(status)}"
    return "" if status.st_mode & stat.S_ISVTX and not last else open_to(at, status)


def open_to(at: Path, status: os.stat_result, *, own_group: bool = True) -> str:
    """`/data may be written by its group (mode 2775)`; empty for what only its owner may write. Whose it is, is not
    looked at, nor what lies above it. own_group: one that is the user's alone is nobody else.
    """
    if stat.S_ISLNK(status.st_mode) or not may_others_write(status, own_group=own_group):
        return ""
    who = "everybody" if status.st_mode & stat.S_IWOTH else "its group"
    return f"{at} may be written by {who} (mode {stat.S_IMODE(status.st_mode):o})"


def may_others_write(status: os.stat_result, *, own_group: bool = True) -> bool:
    """own_group: a group that is the user's alone is nobody else. Where a umask of 002 is usual, each has one of their
    name.
    """
    if status.st_mode & stat.S_IWOTH:
        return True
    return bool(status.st_mode & stat.S_IWGRP) and not (own_group and _is_own_group(status.st_gid))


def without_others(mode: int) -> int:
    """A mode, without the rights of others to write."""
    return stat.S_IMODE(mode) & ~_OTHERS


@cache
def _is_own_group(number: int) -> bool:
    with suppress(KeyError, OSError):
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(number)
        return user.pw_gid == number and group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}
    return False


def _is_trusted(at: Path, status: os.stat_result, *, last: bool) -> bool:
    if status.st_uid in (ROOT, os.geteuid()) or (status.st_uid == NOBODY and not last and _in_container()):
        return True
    if not last:
        return False
    return is_made_by_us(status, at if stat.S_ISDIR(status.st_mode) else at.parent)


def is_made_by_us(status: os.stat_result, folder: Path) -> bool:
    """Whether whoever owns that owns what we make in `folder`: a server may write another number than our own."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return is_ours(status, handle)
        finally:
            os.close(handle)
    return False


@cache
def _in_container() -> bool:
    """Whether users of the machine are missing here: those that a namespace of users leaves out look like NOBODY."""
    try:
        return Path("/proc/self/uid_map").read_text().split() != ["0", "0", str(2**32 - 1)]
    except OSError:
        return False


def _steps(path: Path) -> Iterator[tuple[Path, os.stat_result, bool]]:
    """All that is passed on the way, links and what they lead to; whether it is what `path` names. Ends at what is not
    there. Raises OSError.
    """
    at, left, links = Path("/"), list(path.parts[:0:-1]), 0
    yield at, os.lstat(at), not left
    while left:
        name = left.pop()
        if name == "..":
            at = at.parent
            continue
        try:
            status = os.lstat(at / name)
        except (FileNotFoundError, NotADirectoryError):
            return
        yield at / name, status, not left
        if not stat.S_ISLNK(status.st_mode):
            at /= name
            continue
        links += 1
        target = Path(os.readlink(at / name))
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, "too many links", str(path))
        at = Path("/") if target.is_absolute() else at
        left += [part for part in reversed(target.parts) if part != "/"]

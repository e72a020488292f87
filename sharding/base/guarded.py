"""Files are made, written, emptied, locked and deleted by descriptor, and never through a link that somebody left.

What a person types may be a link, or lie behind one: that is meant. What lies below is ours alone to lay out: a link, a
FIFO, a folder or somebody else's file in the place of one of our files is a trap or an accident, and following it would
write, empty or delete what lies elsewhere. So whoever writes in a folder claims it first; from then on every step below
it is a real folder, whoever changes it meanwhile. Anyone may import this.
"""

import errno
import os
import pwd
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
"""O_PATH: a folder that may be entered need not be readable."""
_claimed = dict[Path, int | None]()
"""Folders that this process writes in, as they were typed; and whose they are, where neighbours may write beside."""


class InTheWay(OSError):
    """Something that is not ours lies where we write. Its text is a whole line: what lies where, and what to do."""

    def __str__(self) -> str:
        return f"{self.filename} {self.strerror}"


def claim(root: Path, owner: int | None = None) -> None:
    """From now on this process goes through no link below `root`. `root` itself may be one.

    Of several such folders in each other the outermost counts: the others are ours as well. owner: `root` lies where
    others may write, too. Then it is no link either, and whatever in it is not of that user, folders and files, is
    neither entered nor taken for ours.
    """
    root = root.absolute()
    _claimed[root] = _claimed.get(root) if owner is None else owner
    _owner_of.cache_clear()


def _claim_on(path: Path) -> tuple[Path, int | None]:
    """The claimed folder that an absolute path lies in, and its owner; the path itself where none is."""
    claims = [one for one in (*reversed(path.parents), path) if one in _claimed]
    owned = [one for one in claims if _claimed[one] is not None]
    root = (*owned[-1:], *claims[:1], path)[0]
    return root, _claimed.get(root)


def claimed_owner(path: str) -> int | None:
    """Whose alone a path may be; None where that was not claimed, and for what may be anybody's."""
    return _owner_of(path if path.startswith("/") else os.path.join(os.getcwd(), path))


@lru_cache(1 << 12)  # asked for each clip that is read
def _owner_of(path: str) -> int | None:
    return _claim_on(Path(path))[1]


def through_link(root: Path) -> str:
    """What is wrong with a link below `root`, and what to do."""
    return (
        f"is a link, and below {root} avsync writes through none: delete the link, put what it leads to in its place, "
        f"or make {root} itself the link"
    )


@contextmanager
def opened_folder(folder: Path, *, make: bool = False, mode: int = 0o777) -> Iterator[int]:
    """A descriptor of `folder`, for `dir_fd`; below a claimed one, each step is a real folder.

    make: with all that is missing, of that mode as the umask says. Raises OSError, which names the step: InTheWay for
    a link.
    """
    whole = folder.absolute()
    root, owner = _claim_on(whole)
    if make:
        root.mkdir(mode=mode, parents=True, exist_ok=True)
    handle = os.open(root, _FOLDER) if owner is None else _step(None, str(root), root, root, None, owner)
    at = root
    try:
        for name in whole.relative_to(root).parts:
            at /= name
            above, handle = handle, _step(handle, name, at, root, mode if make else None, owner)
            os.close(above)
        yield handle
    finally:
        os.close(handle)


def _step(above: int | None, name: str, at: Path, root: Path, mode: int | None, owner: int | None) -> int:
    if mode is not None:
        with suppress(FileExistsError), about(at):
            os.mkdir(name, mode, dir_fd=above)
    try:
        handle = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=above)
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP) and _is_link(name, above):
            raise InTheWay(errno.EPERM, through_link(root), str(at)) from error
        error.filename = str(at)
        raise
    status = os.fstat(handle)
    if owner is not None and status.st_uid != owner:
        os.close(handle)
        raise refused(at, f"belongs to {owner_name(status)}")
    return handle


def _is_link(name: str, folder: int | None) -> bool:
    with suppress(OSError):
        return stat.S_ISLNK(os.lstat(name, dir_fd=folder).st_mode)
    return False


def check_steps(folder: Path) -> None:
    """Raises InTheWay where a link is on the way to `folder`, below a claimed one; no error else."""
    try:
        with opened_folder(folder):
            pass
    except InTheWay:
        raise
    except OSError:
        return


def make_folder(folder: Path, *, mode: int = 0o777) -> None:
    """With all that is missing above it; one that is there stays as it is. Raises OSError, also for a link."""
    with opened_folder(folder, make=True, mode=mode):
        pass


def open_in_place(path: Path, flags: int = os.O_RDWR | os.O_CREAT, mode: int = 0o666, *, others: bool = False) -> int:
    """Open a file that is written, emptied or locked under its own name; returns its descriptor.

    It is a regular file of one name, and ours; `others`: or another one, of which no byte will be changed. Never waits,
    opens no device. Raises InTheWay that says what lies there instead, OSError.
    """
    with opened_folder(path.parent) as folder:
        return open_at(folder, path, flags, mode, others=others)


def open_at(folder: int, path: Path, flags: int, mode: int = 0o666, *, others: bool = False) -> int:
    """The same in a folder that is open: the descriptor of the one that `path` lies in."""
    with suppress(FileNotFoundError):  # what only opening does to a device or a FIFO is too much
        status_at(folder, path, others=others)
    try:
        handle = os.open(path.name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode, dir_fd=folder)
    except OSError as error:
        error.filename = str(path)
        raise
    try:
        _check(path, os.fstat(handle), folder, others=others)
    except BaseException:
        os.close(handle)
        raise
    return handle


def status_at(folder: int, path: Path, *, others: bool = False) -> os.stat_result:
    """Of such a file in a folder that is open. Raises OSError, also for what is none."""
    status = os.lstat(path.name, dir_fd=folder)
    _check(path, status, folder, others=others)
    return status


@contextmanager
def about(path: Path) -> Iterator[None]:
    """Errors inside are about `path`: of what is done by descriptor the system tells a bare name only."""
    try:
        yield
    except OSError as error:
        if isinstance(error, InTheWay):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def remove(path: Path) -> None:
    """Delete a file or a link, if there is one. Raises OSError."""
    with suppress(FileNotFoundError), opened_folder(path.parent) as folder, about(path):
        os.unlink(path.name, dir_fd=folder)


def remove_folder(path: Path) -> None:
    """Delete an empty folder; one that is not there, or not empty, is no error."""
    with suppress(OSError), opened_folder(path.parent) as folder:
        os.rmdir(path.name, dir_fd=folder)


def move(old: Path, new: Path) -> None:
    """Give something another name, in its folder or in another one of the same disk. Raises OSError."""
    with opened_folder(old.parent) as here, opened_folder(new.parent) as there, about(new):
        os.replace(old.name, new.name, src_dir_fd=here, dst_dir_fd=there)


def touch(path: Path) -> None:
    """Set the time of a file that is there to now; no byte of it is changed. Raises OSError."""
    handle = open_in_place(path, os.O_WRONLY, others=True)
    try:
        if os.fstat(handle).st_nlink > 1:
            raise refused(path, "has a second name elsewhere (a hard link)")
        os.utime(handle)
    finally:
        os.close(handle)


class FolderEntry(NamedTuple):
    """Something in a folder."""

    name: str
    is_folder: bool
    """A link is none."""
    is_link: bool


def is_file(path: Path) -> bool:
    """A regular file; what a link leads to is none."""
    with suppress(OSError), opened_folder(path.parent) as folder:
        return stat.S_ISREG(os.lstat(path.name, dir_fd=folder).st_mode)
    return False


def entries_of(folder: Path) -> list[FolderEntry]:
    """What lies in a folder, which is opened as by opened_folder, sorted by name. Raises OSError."""
    with opened_folder(folder) as step:
        handle = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=step)
        try:
            with os.scandir(handle) as found:
                return sorted(
                    FolderEntry(one.name, one.is_dir(follow_symlinks=False), one.is_symlink()) for one in found
                )
        finally:
            os.close(handle)


def listed(folder: Path) -> list[str]:
    """Names in a folder, as by `entries_of`."""
    return [one.name for one in entries_of(folder)]


def is_ours(status: os.stat_result, folder: int, path: Path | None = None) -> bool:
    """Whether whoever owns that is who owns what we make in `folder`, a descriptor.

    path: where it lies; in a folder that was claimed for a user, what is his is ours. Servers may write another number
    than our own for all that we make: root as nobody, a mount with one owner.
    """
    owner = claimed_owner(str(path)) if path else None
    if owner is not None:
        return status.st_uid == owner
    return status.st_uid == os.geteuid() or status.st_uid == _owner_in(folder)


def _owner_in(folder: int) -> int:
    """Who owns what we make there; our own number where we can make nothing."""
    name = f".avsync-{secrets.token_hex(8)}"
    with suppress(OSError):
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder))
        owner = os.lstat(name, dir_fd=folder).st_uid
        os.unlink(name, dir_fd=folder)
        return owner
    return os.geteuid()


def _check(path: Path, status: os.stat_result, folder: int, *, others: bool) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise refused(path, f"is {kind_of(status)}, where avsync keeps a file")
    if status.st_nlink > 1 and not others:  # a copy by `cp -al` has; what only is locked stays as it is
        raise refused(path, "has a second name elsewhere (a hard link), which would be written, too")
    if not others and not is_ours(status, folder, path):
        raise refused(path, f"belongs to {owner_name(status)}")


def kind_of(status: os.stat_result) -> str:
    """`a link`, `a folder`, `a FIFO`: what lies there, in words."""
    kinds = {
        stat.S_ISREG: "a file",
        stat.S_ISLNK: "a link",
        stat.S_ISDIR: "a folder",
        stat.S_ISFIFO: "a FIFO",
        stat.S_ISSOCK: "a socket",
    }
    return next((words for is_one, words in kinds.items() if is_one(status.st_mode)), "a device")


def owner_name(status: os.stat_result) -> str:
    """`user mira`, or the number where no name is known."""
    with suppress(KeyError):
        return f"user {pwd.getpwuid(status.st_uid).pw_name}"
    return f"user {status.st_uid}"


def refused(path: Path, fact: str) -> InTheWay:
    """What is to be raised for `path`, of which `fact` is said: "belongs to user mira"."""
    return InTheWay(errno.EPERM, f"{fact}; look whose it is, and remove it", str(path))

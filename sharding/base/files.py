"""Whole files only: what has its final name is complete. Also what may be written where, and typed JSON.

Anyone may import this. Knows nothing of media.
"""

import errno
import os
import re
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from fractions import Fraction
from functools import partial
from io import RawIOBase
from itertools import chain, count
from pathlib import Path
from shutil import copyfileobj
from typing import Annotated, Any, BinaryIO, TypeVar

import msgspec

from sharding.base.guarded import InTheWay, about, check_steps, claimed_owner, kind_of, open_in_place, opened_folder
from sharding.base.housekeeping import cleared, delete, delete_file, why_refused
from sharding.base.text import exact_number, is_unicode, plain, shown, size
from sharding.errors import AvsyncError, FormatError, InputError

T = TypeVar("T")
PRIVATE = 0o600
"""Mode of a file that may hold passwords: for nobody but its owner. The usual mode is as the umask says."""
OWN, OWN_FOLDER = 0o644, 0o755
"""Of what only its owner may change, whatever the umask, as what a job runs; read by whom the umask lets."""
PART, OLD = ".part", ".old"
"""Suffix of what is being written, and of the folder that it is about to replace."""


@contextmanager
def publish(path: Path, *, lasting: bool = True, mode: int = 0o666) -> Iterator[BinaryIO]:
    """Write under `path`.part and rename at the end: a file that has its name is whole.

    What need not last beyond a power failure is not waited for: that costs much on network file systems. A left-over
    that cannot be deleted stands in nobody's way: then it is `path`-2.part.
    """
    # never through a link, nor into a file that another process may still hold
    with opened_folder(path.parent) as folder:
        part = cleared(_names(path, PART), delete_file)
        try:
            with about(part):
                opened = open(part.name, "xb", opener=partial(os.open, mode=mode, dir_fd=folder))
            with opened as file:
                yield file
                file.flush()
                if lasting:
                    os.fsync(file.fileno())
            with about(path):
                os.replace(part.name, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            delete_file(part)  # a full disk gets its space back
            raise
    if lasting:
        _sync_folder(path.parent)


@contextmanager
def publish_folder(path: Path, *, mode: int = 0o777) -> Iterator[Path]:
    """The same for a folder: fill the yielded `path`.part, made of that mode; it is renamed to `path` at the end.

    Every file in it reaches the disk before the rename. An older folder at `path` is replaced: it is `path`.old until
    the new one has the name, and a crash may leave it there. Left-overs are as with `publish`.
    """
    with opened_folder(path.parent, make=True) as folder:
        part = cleared(_names(path, PART))
        with about(part):
            os.mkdir(part.name, mode, dir_fd=folder)
    try:
        yield part
        for file in part.rglob("*"):
            _sync_folder(file)
        _sync_folder(part)
        old = cleared(_names(path, OLD))
        with opened_folder(path.parent) as folder, about(path):
            if os.path.lexists(path):  # never half deleted under the name
                os.rename(path.name, old.name, src_dir_fd=folder, dst_dir_fd=folder)
            os.replace(part.name, path.name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        delete(part)  # a full disk gets its space back
        raise
    _sync_folder(path.parent)
    delete(old)


def copy_file(source: Path, copy: Path, mode: int) -> None:
    """To a name that is free, of that mode as the umask says from its first byte on. Raises OSError."""
    with open(source, "rb") as read, open(copy, "xb", opener=partial(os.open, mode=mode)) as written:
        copyfileobj(read, written)


def _names(path: Path, suffix: str) -> Iterator[Path]:
    """`path`.part, `path`-2.part, ..."""
    return (path.with_name(f"{path.name}{more}{suffix}") for more in chain([""], (f"-{n}" for n in count(2))))


def open_file(path: Path) -> RawIOBase:
    """Open for reading, unbuffered. Raises OSError, also for what is no regular file, or no name of one.

    A FIFO would be waited for, and a device may do something when it is only opened: neither is. In a folder that is
    claimed for its owner, that is one of his, and reached through no link.
    """
    if claimed_owner(str(path)) is not None:
        return os.fdopen(open_in_place(path, os.O_RDONLY), "rb", buffering=0)
    try:
        _check_regular(os.stat(path), path)
    except ValueError as error:  # a NUL in a name that a file gives
        raise OSError(errno.EINVAL, str(error), str(path)) from error
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check_regular(os.fstat(handle), path)  # it may have been exchanged meanwhile
    except OSError:
        os.close(handle)
        raise
    return os.fdopen(handle, "rb", buffering=0)


def _check_regular(status: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, f"not a regular file, but {kind_of(status)}", str(path))


LARGEST, LARGEST_RECORD, LARGEST_SIDE_FILE, LARGEST_LIST = 2**26, 2**20, 2**28, 2**31
"""Bytes of a file: in general; of a few numbers and words; some 500 for each clip, of 100 hours of films in one shard;
some hundred for each source of a dataset."""
_PIECE = 2**20

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""In a file that may be anybody's: such numbers are computed with and shown, whatever they are."""
LARGEST_MEASURED = 1e15
Measured = Annotated[float, msgspec.Meta(ge=-LARGEST_MEASURED, le=LARGEST_MEASURED)]
Moment = Annotated[float, msgspec.Meta(ge=0, le=253_402_300_799)]
"""UNIX seconds, of the years 1970 to 9999."""
PathText = Annotated[str, msgspec.Meta(max_length=4096, pattern=r"\A[^\0]*\Z")]
"""Something that the system can be asked about."""


def read_file(path: Path, most: int = LARGEST) -> bytes:
    """All of a file. Raises OSError as `open_file` does, FormatError for more than `most` bytes, which are not read."""
    data = bytearray()
    with open_file(path) as file:
        length = os.fstat(file.fileno()).st_size
        while max(length, len(data)) <= most and (piece := file.read(_PIECE)):
            data += piece
    if (length := max(length, len(data))) > most:
        raise FormatError(
            f"{path} is damaged or was written by another version: it has {size(length)}, and such a file has at most "
            f"{size(most)}"
        )
    return bytes(data)


def read_end(path: Path, most: int) -> bytes:
    """The last lines of a file, whole ones in at most `most` bytes. Raises OSError as `open_file` does."""
    with open_file(path) as file:
        before = max(0, os.fstat(file.fileno()).st_size - most)
        file.seek(before)
        data = file.read(most) or b""
    return data.partition(b"\n")[2] if before else data


def holds(path: Path, content: bytes) -> bool:
    """Whether a file is there, and has this content."""
    try:
        with open_file(path) as file:
            return os.fstat(file.fileno()).st_size == len(content) and file.readall() == content
    except OSError:
        return False


def add_line(path: Path, line: bytes, mode: int = 0o666) -> None:
    """Publish a file of lines anew, with one more; a last line that was cut short is left as it is, on its own.

    So nothing is written into what lies there, a colleague's file or one with a second name, and nothing of it is lost;
    who could not read it cannot now. A link makes way: lines elsewhere are not ours to spread. Raises OSError.
    """
    before = b""
    with opened_folder(path.parent) as folder, suppress(FileNotFoundError):
        there = os.lstat(path.name, dir_fd=folder)
        if stat.S_ISREG(there.st_mode):
            if there.st_size > LARGEST:
                raise OSError(errno.EINVAL, f"has {size(there.st_size)}: too many for a file of lines", str(path))
            mode &= there.st_mode | PRIVATE
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with about(path):
                handle = os.open(path.name, flags, dir_fd=folder)
            with open(handle, "rb") as file:
                before = file.read()
    with publish(path, mode=mode) as file:
        file.write(before + b"\n" * (before[-1:] not in (b"", b"\n")) + line + b"\n")


def _sync_folder(path: Path) -> None:
    """Also of a file. What cannot be waited for is not: a folder that may not be read, a file system without the call.

    Raises OSError for what the disk says of the bytes themselves.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):
            raise
    finally:
        os.close(handle)


def broken_link(path: Path) -> str:
    """`run is a link to /gone, which is not there`, of the first link in `path` that leads nowhere; empty without one.

    A link in the middle that leads to a file leads nowhere, too. What cannot be looked at is left to who uses it.
    """
    for above in (*reversed(path.parents), path):
        if not above.is_symlink():
            continue
        try:
            kind = above.stat().st_mode
        except OSError as error:
            if error.errno == errno.ELOOP:
                return f"{above} is a link that leads back to itself"
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return f"{above} is a link to {plain(os.readlink(above))}, which is not there"
            return ""
        if above != path and not stat.S_ISDIR(kind):
            return f"{above} is a link to {plain(os.readlink(above))}, which is no folder"
    return ""


def check_output(
    path: Path,
    flag: str,
    suffixes: Collection[str],
    *,
    never: Mapping[str, Path] | None = None,
    new: bool = False,
    make: bool = False,
) -> None:
    """Can the file be written that `flag` names? To be asked before anything is worked out for it.

    suffixes: it must end in one of them. never: files and folders that are only read, by what they are: "the video".
    new: nothing may lie there yet. make: its folder will be made. Raises InputError.
    """
    suffix, named = next(iter(suffixes)), f"{flag} {path}"
    for what, source in (never or {}).items():
        if path.resolve() == source.resolve():
            raise InputError(f"{named} is {what} itself; name another file")
        if path.resolve().is_relative_to(source.resolve()):
            raise InputError(f"{named} lies in {what}, which is only read; name a file outside of {source}")
    if path.is_dir():
        raise InputError(f"{named} is a folder; name a file, like {path / ('output' + suffix)}")
    if path.suffix.lower() not in suffixes:
        known = suffix if len(suffixes) == 1 else f"one of {', '.join(suffixes)}"
        raise InputError(f"{named} must end in {known}; name it {path.with_suffix(suffix).name}")
    if new and (path.exists() or path.is_symlink()):
        raise InputError(f"{named} exists already; name another file, or delete that one")
    if why := broken_link(path):
        raise InputError(f"{flag}: {why}; mend the link, or name another file")
    if not make and not path.parent.is_dir():
        raise InputError(f"{named}: there is no folder {path.parent}; make it, or name another one")
    check_folder(path.parent, named)


def check_folder(folder: Path, named: str) -> None:
    """Can something be written in `folder`, made with all that is missing above it? named: what a message begins with.

    Raises InputError.
    """
    if why := broken_link(folder):
        raise InputError(f"{named} cannot be written: {why}; mend the link, or name another one")
    try:
        check_steps(folder)
    except InTheWay as error:
        raise InputError(f"{named} cannot be written: {error}") from error
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise InputError(f"{named} cannot be written: {folder} is a file, not a folder; name another one")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{named} cannot be written: {folder} may not be written in; change that, or name another one")


@contextmanager
def writing(path: Path, flag: str) -> Iterator[None]:
    """What the disk refuses while `path` is written, which `flag` names, as an error that says so."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {why_refused(error, f'make room, or choose another {flag}')}"
        ) from error


def check_unicode(folder: Path) -> None:
    """TensorBoard, SLURM and JSON know names in UTF-8 only. Raises InputError for other bytes."""
    if not is_unicode(str(folder)):
        raise InputError(f"{plain(str(folder))}: these bytes are no UTF-8, and records hold nothing else; rename it")


def foreign(folder: Path, known: Collection[str]) -> list[str]:
    """Names in `folder` that are none of `known`, nor droppings, sorted; none where there is no folder."""
    names = (path.name for path in folder.iterdir()) if folder.is_dir() else ()
    return sorted(name for name in names if name not in known and not is_dropping(name))


_OF_SYSTEMS = re.compile(
    r"\._.*|\.ds_store|\.appledouble|\.spotlight-v100|\.fseventsd|\.temporaryitems|\.trashes|"  # macOS
    r"\.trash-\d+|\.directory|thumbs\.db|ehthumbs\.db|desktop\.ini|\$recycle\.bin|system volume information|"
    r"@eadir|#recycle|#snapshot|\.snapshots?|\.zfs|\.nfs.*|\.fuse_hidden.*|lost\+found",  # disks and servers
    re.IGNORECASE,
)
_OF_EDITORS = re.compile(r".*~|.*\.sw[a-p]|\.~lock\..*#")


def is_dropping(name: str, *, of_editors: bool = True) -> bool:
    """What desktops, file servers and editors leave in any folder: nobody's data, and no sign of trouble.

    of_editors: also copies and locks of single files; a folder may be called so by a person.
    """
    return bool(_OF_SYSTEMS.fullmatch(name) or (of_editors and _OF_EDITORS.fullmatch(name)))


def _encode_extra(value: Any, write_path: Callable[[Path], str]) -> Any:
    if isinstance(value, Fraction):
        return str(value)
    if isinstance(value, Path):
        return write_path(value)
    raise NotImplementedError(f"{type(value)} has no JSON form")


def _decode_extra(kind: type, value: Any, read_path: Callable[[str], Path]) -> Any:
    if kind is Fraction:
        return exact_number(value)
    if issubclass(kind, Path):
        return read_path(value)
    raise NotImplementedError(f"{kind} has no JSON form")


def to_json(value: Any, write_path: Callable[[Path], str] = str) -> bytes:
    """A dataclass as JSON. Same value, same bytes. `write_path` writes paths in it; what is no Unicode is escaped."""
    hook = partial(_encode_extra, write_path=write_path)
    try:
        data = msgspec.json.encode(value, enc_hook=hook, order="deterministic")
    except UnicodeEncodeError:  # a file name of other bytes
        data = msgspec.json.encode(_escaped(msgspec.to_builtins(value, enc_hook=hook)), order="deterministic")
    return msgspec.json.format(data, indent=1)


def to_json_line(value: Any) -> bytes:
    """The same on one line, without its end: for files that grow by a line a time."""
    return msgspec.json.format(to_json(value), indent=0)


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {_escaped(key): _escaped(inner) for key, inner in value.items()}
    return [_escaped(inner) for inner in value] if isinstance(value, list | tuple) else value


def from_json(data: bytes | memoryview, kind: type[T], name: str, read_path: Callable[[str], Path] = Path) -> T:
    """JSON as a checked dataclass of type `kind`; `read_path` reads paths in it. `name` says in errors what was read.

    Raises FormatError when it is not JSON or a field is missing, of another type or impossible.
    """
    try:
        return msgspec.json.decode(data, type=kind, dec_hook=partial(_decode_extra, read_path=read_path))
    except (msgspec.DecodeError, ValueError, ArithmeticError, RecursionError, AvsyncError) as error:
        raise FormatError(f"{name} is damaged or was written by another version: {shown(str(error))}") from error


def read_json(path: Path, kind: type[T], read_path: Callable[[str], Path] = Path, *, most: int | None = None) -> T:
    """Read `path` as a checked dataclass; `read_path` reads paths in it. `most`: bytes that such a file can have; a
    kind may say so itself: LARGEST_FILE.

    Raises InputError when the file cannot be read, FormatError when its content is not a `kind`.
    """
    try:
        data = read_file(path, most or getattr(kind, "LARGEST_FILE", LARGEST))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    return from_json(data, kind, str(path), read_path)


def write_json(
    path: Path, value: Any, write_path: Callable[[Path], str] = str, *, lasting: bool = True, mode: int = 0o666
) -> None:
    """Write a dataclass as JSON, atomically; `write_path` writes paths in it."""
    with publish(path, lasting=lasting, mode=mode) as file:
        file.write(to_json(value, write_path))

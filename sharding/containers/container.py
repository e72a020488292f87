"""Opening a source and reading its packets; and whose fault it is when FFmpeg cannot go on.

FFmpeg has one kind of error for a bad disk, a limit of memory and a damaged video; some are OSErrors or MemoryErrors,
too. A disk must not pass for bad videos, nor a limit for damage: each is kept apart from the others here.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EINVAL
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.error import FFmpegError

from sharding.base.files import broken_link
from sharding.errors import RejectError, RejectReason

FORMATS = "avi,asf,flv,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mpeg,mpegts,mxf,ogg"
"""Demuxers a source may use. Playlists are left out: they could open other files, or the network."""
OPTIONS = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
STORED_TIMES = {"fflags": "nofillin"}
"""Times as the file has them. FFmpeg fills in what is missing by the rate that the sound had at first."""
LARGEST_PACKET = 256 * 2**20
"""Bytes; a raw 8K picture has 200 MB. What asks for more lies."""
LEAST_ROOM = 64 * 2**20
"""Bytes; with less at hand, nothing that fails says anything about a source."""
ENDS = 16 * 2**20
"""Bytes at both ends of a file in which headers and indexes stand."""
STEP = 2**20


class BrokenFile(Exception):
    """FFmpeg cannot read on, and the file itself is to blame."""


def open_media(path: Path, **options: str) -> InputContainer:
    """Open a source for reading, with more FFmpeg `options` if need be.

    Raises RejectError: unreadable when it is missing, locked or a pipe, corrupt when it is no video file.
    """
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise RejectError(RejectReason.UNREADABLE, "is a folder; name the videos in it")
        if not stat.S_ISREG(mode):  # FFmpeg would wait at a pipe for ever
            raise RejectError(RejectReason.UNREADABLE, "is not a regular file")
        return _opened(path, options)
    except MemoryError as error:
        check_memory(error)
        raise RejectError(RejectReason.CORRUPT, "it asks for too much memory") from error
    except (FFmpegError, OSError, ValueError, IndexError) as error:
        raise _not_opened(path, options, error) from error


def _opened(path: Path, options: dict[str, str]) -> InputContainer:
    # FFmpeg takes what stands before a colon for a protocol: "Lecture: intro.mp4", "concat:a|b"
    url = f"file:{os.path.abspath(path)}"
    return av.open(url, metadata_errors="replace", options=OPTIONS | options, timeout=None)


def _not_opened(path: Path, options: dict[str, str], why: Exception) -> RejectError:
    """Whether the file or its place is to blame. Raises RejectError, unreadable, when it is its place."""
    fact = getattr(why, "strerror", None) or str(why)
    try:
        if not path.exists():
            return RejectError(RejectReason.UNREADABLE, broken_link(path) or "no such file")
    except (OSError, ValueError) as error:
        return RejectError(RejectReason.UNREADABLE, f"cannot be read: {getattr(error, 'strerror', None) or error}")
    check_disk(path, ENDS)
    if isinstance(why, OSError) and not _never_opens(path, options):  # it was the disk, for a moment
        return RejectError(RejectReason.UNREADABLE, f"cannot be opened: {fact}")
    if not path.stat().st_size:
        return RejectError(RejectReason.CORRUPT, "is empty")
    if isinstance(why, FFmpegError) and why.errno == EINVAL:  # FFmpeg knows it, and may not use it here
        fact = "its container is not read here; copy it into another: ffmpeg -i NAME -c copy NAME.mkv"
        return RejectError(RejectReason.CORRUPT, fact)
    return RejectError(RejectReason.CORRUPT, f"is no video that FFmpeg can open: {fact}")


def _never_opens(path: Path, options: dict[str, str]) -> bool:
    """FFmpeg's error of the disk comes again, though a plain read succeeds: so it calls damage to the head of ASF."""
    try:
        _opened(path, options).close()
    except OSError:
        return True
    except (FFmpegError, ValueError, IndexError):
        pass
    return False


def demuxed(container: InputContainer, *streams: Any) -> Iterator[Any]:
    """The packets of some streams, and an empty one each at the end. Raises what `judge` says.

    When FFmpeg has met further streams on the way (MPEG-TS), PyAV asks those for a last packet, too, and knows no such.
    """
    try:
        yield from container.demux(*streams)
    except IndexError:
        return
    except (FFmpegError, MemoryError) as error:
        raise judge(container, error) from error


def judge(container: InputContainer, error: Exception) -> BrokenFile:
    """What to raise for an error met while reading packets, or seeking; raises it where the file is not to blame.

    RejectError, unreadable: a plain read fails, too, or the error is one of the disk and does not come again.
    MemoryError: there is no room even for an honest packet.
    """
    if isinstance(error, MemoryError):
        check_memory(error)
        return BrokenFile("it asks for too much memory")
    path = Path(container.name.removeprefix("file:"))
    fact = getattr(error, "strerror", None) or type(error).__name__
    check_disk(path)
    if isinstance(error, OSError) and not _fails_each_time(path):
        raise RejectError(RejectReason.UNREADABLE, f"the disk failed for a moment: {fact}") from error
    return BrokenFile(fact)


def _fails_each_time(path: Path) -> bool:
    """FFmpeg's error of the disk comes again, though a plain read succeeds: so it calls some damage."""
    with open_media(path) as container:
        try:
            for _ in container.demux():
                pass
        except OSError:
            return True
        except (FFmpegError, IndexError):
            pass
    return False


def check_memory(error: BaseException, honest: int = LARGEST_PACKET) -> None:
    """Raise MemoryError when there is no room for so many bytes, which an honest source may need.

    FFmpeg's decoder of H.264 calls a picture that gets no memory invalid data.
    """
    try:
        bytes(max(honest, LEAST_ROOM))
    except MemoryError:
        raise MemoryError(str(error)) from error


def check_disk(path: Path, ends: int | None = None) -> None:
    """Read a file as it is, or so many bytes at both its `ends`. Raises RejectError, unreadable, when that fails."""
    try:
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            _read(file, 0, size if ends is None else min(size, ends))
            if ends is not None and size > ends:
                _read(file, max(ends, size - ends), size)
    except OSError as error:
        raise RejectError(RejectReason.UNREADABLE, f"cannot be read: {error.strerror}") from error


def _read(file: Any, start: int, stop: int) -> None:
    file.seek(start)
    while start < stop and (data := file.read(STEP)):
        start += len(data)


@contextmanager
def decoding() -> Iterator[None]:
    """What FFmpeg says while it decodes a source is the source's fault: RejectError, corrupt.

    Some of its errors are OSErrors too; those must not pass for a fault of the disk that is written to. Memory is not
    the source's fault: MemoryError, which a fresh process may not meet.
    """
    try:
        yield
    except MemoryError as error:
        raise MemoryError(str(error)) from error  # FFmpeg's own is an FFmpegError, too
    except FFmpegError as error:
        raise RejectError(
            RejectReason.CORRUPT, f"FFmpeg fails on it: {error.strerror or type(error).__name__}"
        ) from error

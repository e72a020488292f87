"""The files that a job's attempts print to, and their lines: of any length, read from the end or in pieces.

A log may be anybody's. What of it steers a terminal is shown as an escape; colours, which other programs print though
nobody looks, are left out.
"""

import os
import re
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from io import RawIOBase
from pathlib import Path

from launch.job.attempt import OFFSET
from launch.job.paths import JobPaths
from sharding.base.files import open_file, read_file
from sharding.base.text import shown
from sharding.errors import FormatError

BLOCK = 2**16
MOST_BYTES = 2**24
"""Of a file's end, in which its last lines are looked for; and of what is read of it at once."""
LONGEST_LINE = 5000
"""Letters; of a longer line begin and end are shown."""
_LARGEST_SCRIPT, _LONGEST_PIECE = 2**20, 2**20
_OF_TASK = re.compile(r"(\d{1,20})_(\d{1,9})\.txt", re.ASCII)
_OFFSET = re.compile(rf"{OFFSET}=['\"]?(\d{{1,9}})\b", re.ASCII)
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")


@dataclass(frozen=True, kw_only=True, slots=True)
class LogFile:
    """One file."""

    path: Path
    task: int | None
    """Number in the whole array; None: of a job that is none."""


def log_files(paths: JobPaths, ids: tuple[str, ...] = ()) -> list[LogFile]:
    """Those that are there, by task, the older of a task first. `ids`: of the array's pieces, in order."""
    if os.path.isfile(paths.log):
        return [LogFile(path=paths.log, task=None)]
    found, offset = list[tuple[int, int, Path]](), cache(lambda job: _offset(paths, ids, job))
    for path in paths.logs.glob("*.txt"):
        if match := _OF_TASK.fullmatch(path.name):
            job, index = match.groups()
            found.append((offset(job) + int(index), int(job), path))
    return [LogFile(path=path, task=task) for task, _, path in sorted(found)]


def _offset(paths: JobPaths, ids: tuple[str, ...], job: str) -> int:
    """An array larger than the site allows is several: where in the whole this one begins, its script says."""
    if len(ids) < 2 or job not in ids:
        return 0
    with suppress(OSError, FormatError):
        text = read_file(paths.script(ids.index(job), len(ids)), _LARGEST_SCRIPT).decode(errors="replace")
        return int(found.group(1)) if (found := _OFFSET.search(text)) else 0
    return 0


def printable(line: str) -> str:
    """A line of a log as it may be shown: what is in a line that was printed over again and again are several lines."""
    return shown(_COLOUR.sub("", line).expandtabs(), LONGEST_LINE)


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a file; none where it cannot be read."""
    return list(last_lines(path, lines)[0])


def last_lines(path: Path, lines: int) -> tuple[Iterator[str], int]:
    """The last whole and begun lines, 0: all; and the byte after them. Nothing of what cannot be read."""
    try:
        with open_file(path) as file:
            end = file.seek(0, os.SEEK_END)
            begin = _begin_of_last(file, lines, end) if lines else 0
    except OSError:
        return iter(()), 0
    found = _lines(path, begin, end)
    return (iter(deque(found, lines)) if lines else found), end


def _begin_of_last(file: RawIOBase, lines: int, end: int) -> int:
    """The byte at which as many lines begin; not further from the end than MOST_BYTES."""
    begin, left = end, lines
    while begin > max(0, end - MOST_BYTES) and left >= 0:
        begin = max(0, begin - BLOCK)
        file.seek(begin)
        left -= (file.read(BLOCK) or b"").count(b"\n")
    return begin


def _lines(path: Path, begin: int, end: int) -> Iterator[str]:
    """Of those bytes of a file, piece by piece; a line that is longer than any is several."""
    rest = b""
    with suppress(OSError), open_file(path) as file:
        file.seek(begin)
        while (left := end - begin) and (piece := file.read(min(left, BLOCK))):
            begin += len(piece)
            whole, newline, rest = (rest + piece).rpartition(b"\n")
            if not newline and len(rest) > _LONGEST_PIECE:
                whole, newline, rest = rest, b"\n", b""
            yield from (whole + newline).decode(errors="replace").splitlines()
    yield from rest.decode(errors="replace").splitlines()


def added(path: Path, place: int) -> tuple[list[str], int]:
    """Whole lines from that byte on, and the byte after them: one that is half written comes with the next look.

    Of very much a part, and the rest the next time. Raises OSError.
    """
    with open_file(path) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(place)
        data = file.read(max(0, min(size - place, MOST_BYTES))) or b""
    whole = data.rfind(b"\n") + 1 or (len(data) if len(data) == MOST_BYTES else 0)
    return data[:whole].decode(errors="replace").splitlines(), place + whole

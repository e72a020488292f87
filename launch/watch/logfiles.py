"""The files that a job's attempts print to, and their last lines; read from the end, however long they are."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from launch.job.attempt import OFFSET
from launch.job.paths import JobPaths

BLOCK = 65_536
BEGINS = re.compile(r"avsync: attempt (\d+) of job (\S+) begins")
"""What each attempt prints first."""
_OF_TASK = re.compile(r"(\d+)_(\d+)\.txt")
_OFFSET = re.compile(rf"{OFFSET}=['\"]?(\d+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class LogFile:
    """One file."""

    path: Path
    task: int | None
    """Number in the whole array; None: of a job that is none."""


def log_files(paths: JobPaths, ids: tuple[str, ...] = ()) -> list[LogFile]:
    """Those that are there, by task, the older of a task first. `ids`: of the array's pieces, in order."""
    if paths.log.is_file():
        return [LogFile(path=paths.log, task=None)]
    found = list[tuple[int, int, Path]]()
    for path in paths.logs.glob("*.txt"):
        if match := _OF_TASK.fullmatch(path.name):
            job, index = match.groups()
            found.append((_offset(paths, ids, job) + int(index), int(job), path))
    return [LogFile(path=path, task=task) for task, _, path in sorted(found)]


def _offset(paths: JobPaths, ids: tuple[str, ...], job: str) -> int:
    """An array larger than the site allows is several: where in the whole this one begins, its script says."""
    if len(ids) < 2 or job not in ids:
        return 0
    try:
        text = paths.script(ids.index(job), len(ids)).read_text(errors="replace")
    except OSError:
        return 0
    return int(found.group(1)) if (found := _OFFSET.search(text)) else 0


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a file; none where it cannot be read."""
    return last_lines(path, lines)[0]


def last_lines(path: Path, lines: int) -> tuple[list[str], int]:
    """The last whole and begun lines, and the byte after them."""
    try:
        with path.open("rb") as file:
            end = begin = file.seek(0, os.SEEK_END)
            data = b""
            while begin > 0 and data.count(b"\n") <= lines:
                begin = max(0, begin - BLOCK)
                file.seek(begin)
                data = file.read(end - begin)
    except OSError:
        return [], 0
    text = data.decode(errors="replace").splitlines()
    return text[-lines:] if lines else [], end

"""Which jobs a person means: folders named, or the user's jobs in the queue and those below the current folder."""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from avsync.run.paths import RunPaths
from launch.job.paths import RECORD, JobPaths
from launch.queue.squeue import owner_of
from sharding.base.environment import JOBS
from sharding.base.text import first_few
from sharding.errors import InputError

MOST_FOLDERS, DEEPEST, PATIENCE_S = 20_000, 6, 3.0
"""Where a search ends: a home folder on a slow disk holds millions of files."""
_RUN = RunPaths(Path())
_OF_RUN = (_RUN.checkpoints, _RUN.tensorboard, _RUN.evaluations, _RUN.localized, _RUN.scored)
DULL = frozenset({JOBS, "node_modules", "site-packages", *(folder.name for folder in _OF_RUN)})
"""Folders that hold no runs; hidden ones are left out, too."""


def jobs_of(name: str) -> list[JobPaths]:
    """Jobs of a run or dataset, the newest first; or the job whose own folder, or job.json, is named.

    Raises InputError when there is none.
    """
    folder = Path(name).absolute()
    if folder.name == RECORD:
        folder = folder.parent
    if (folder / RECORD).is_file():
        return [JobPaths(folder)]
    records = sorted(_records(folder), key=_age, reverse=True)
    if not records:
        _check_open(folder / JOBS)
        fact = "is no folder" if not folder.is_dir() else "was not submitted"
        raise InputError(f"{name} {fact}: a run or dataset with a folder {JOBS}/ is needed; avsync status lists all")
    return [JobPaths(path.parent) for path in records]


def job_of(name: str, kind: str = "") -> JobPaths:
    """The only job of a run or dataset, or its only one of that kind. Raises InputError."""
    found = jobs_of(name)
    if len(found) > 1 and not kind:
        raise InputError(f"{name} has several jobs; name one of them: --kind {' or --kind '.join(_kinds(found))}")
    return of_kind(name, found, kind) if kind else found[0]


def of_kind(name: str, found: Sequence[JobPaths], kind: str) -> JobPaths:
    """The one of that kind. Raises InputError."""
    for paths in found:
        if paths.root.name == kind:
            return paths
    raise InputError(f"--kind {kind}: {name} has no such job; it has {first_few(_kinds(found))}")


def _records(target: Path) -> list[Path]:
    """Each job.json in it; hidden ones somebody has taken the place of."""
    return [path for path in target.glob(f"{JOBS}/*/{RECORD}") if not path.parent.name.startswith(".")]


def _kinds(found: Sequence[JobPaths]) -> list[str]:
    return sorted(paths.root.name for paths in found)


def has_several(target: Path) -> bool:
    """Whether a kind must be named for a job of it to be meant."""
    return sum(1 for _ in _records(target)) > 1


def jobs_below(folder: Path) -> tuple[list[JobPaths], bool]:
    """Jobs in and below a folder; whether all of it was searched."""
    found = list[JobPaths]()
    folders, complete = _walk(folder)
    for path in folders:
        found += [JobPaths(record.parent) for record in sorted(_records(path))]
    return found, complete


def runs_below(folder: Path) -> list[Path]:
    """Runs with curves in and below a folder."""
    return [path for path in _walk(folder)[0] if RunPaths(path).tensorboard.is_dir()]


def distinct(jobs: Iterable[JobPaths]) -> list[JobPaths]:
    """Each folder once, whatever links lead to it; in order."""
    return list({Path(os.path.realpath(paths.root)): paths for paths in jobs}.values())


def short(folder: Path) -> str:
    """As a person would name it from here."""
    try:
        return str(folder.relative_to(Path.cwd()))
    except ValueError:
        return str(folder)


def _walk(folder: Path) -> tuple[list[Path], bool]:
    """Folders that may be runs, breadth first; whether none was left out for lack of time."""
    found, layer, ends = [folder], [folder], time.monotonic() + PATIENCE_S
    for _ in range(DEEPEST):
        following = list[Path]()
        for parent in layer:
            if time.monotonic() > ends or len(found) > MOST_FOLDERS:
                return found, False
            children = list(_children(parent))
            following += children
            found += children
        layer = following
    return found, True


def _children(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            inside = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:  # not ours to read, or gone
        return
    yield from (folder / name for name in inside if name not in DULL and not name.startswith("."))


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _check_open(folder: Path) -> None:
    """Raises InputError for one that is not for this user."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                os.stat(Path(entry.path) / RECORD)
    except PermissionError as error:
        who = _owner(folder)
        raise InputError(f"{error.filename} may not be looked into; ask {who} to let the group read it") from error
    except OSError:  # there is nothing
        pass


def _owner(path: Path) -> str:
    try:
        return owner_of(path)
    except OSError:
        return "its owner"


def named(names: Sequence[str]) -> list[JobPaths]:
    """All jobs of these runs and datasets. Raises InputError."""
    return distinct(paths for name in names for paths in jobs_of(name))

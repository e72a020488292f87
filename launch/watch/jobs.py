"""Which jobs a person means: folders named, or the user's jobs in the queue and those below the current folder."""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from avsync.run.paths import RunPaths
from launch.job.paths import RECORD, JobPaths
from launch.queue.squeue import owner_of
from sharding.base.environment import JOBS
from sharding.base.text import first_few
from sharding.errors import InputError

MOST_FOLDERS, MOST_ENTRIES, DEEPEST, PATIENCE_S = 20_000, 100_000, 6, 3.0
"""Where a search ends: a home folder on a slow disk holds millions of files."""
MOST_KINDS = 100
"""Of jobs that one run or dataset has: there are about ten."""
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
    if os.path.lexists(folder / RECORD):
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
        raise InputError(f"{name} has several jobs; name one of them: --kind {first_few(_kinds(found), 8)}")
    return of_kind(name, found, kind) if kind else found[0]


def of_kind(name: str, found: Sequence[JobPaths], kind: str) -> JobPaths:
    """The one of that kind. Raises InputError."""
    for paths in found:
        if paths.root.name == kind:
            return paths
    raise InputError(f"--kind {kind}: {name} has no such job; it has {first_few(_kinds(found))}")


def _kinds(found: Sequence[JobPaths]) -> list[str]:
    return sorted(paths.root.name for paths in found)


def has_several(target: Path) -> bool:
    """Whether a kind must be named for a job of it to be meant."""
    return len(_records(target)) > 1


def _records(target: Path) -> list[Path]:
    """The job.json of each job of a run or dataset, by kind; the place of hidden ones somebody has taken."""
    names = list[str]()
    with suppress(OSError), os.scandir(target / JOBS) as entries:
        names += sorted(entry.name for entry in islice(entries, MOST_KINDS))
    shown = (name for name in names if not name.startswith("."))
    return [path for name in shown if os.path.lexists(path := target / JOBS / name / RECORD)]


def jobs_below(folder: Path) -> tuple[list[JobPaths], bool]:
    """Jobs in and below a folder; whether all of it was searched."""
    found, search = list[JobPaths](), Search(folder)
    for path in search:
        found += [JobPaths(record.parent) for record in _records(path)]
    return found, search.complete


def runs_below(folder: Path) -> list[Path]:
    """Runs with curves in and below a folder."""
    return [path for path in Search(folder) if RunPaths(path).tensorboard.is_dir()]


def distinct(jobs: Iterable[JobPaths]) -> list[JobPaths]:
    """Each folder once, whatever links lead to it; in order."""
    return list({Path(os.path.realpath(paths.root)): paths for paths in jobs}.values())


def short(folder: Path) -> str:
    """As a person would name it from here."""
    try:
        return str(folder.relative_to(Path.cwd()))
    except ValueError:
        return str(folder)


class Search:
    """Folders that may be runs, breadth first, from the one in which it begins: as many as there is time for."""

    def __init__(self, folder: Path) -> None:
        self.complete = True
        """None was left out."""
        self._folder = folder

    def __iter__(self) -> Iterator[Path]:
        layer, count, ends = [self._folder], 0, time.monotonic() + PATIENCE_S
        for depth in range(DEEPEST + 1):
            following = list[Path]()
            for path in layer:
                count += 1
                if time.monotonic() > ends or count > MOST_FOLDERS:
                    self.complete = False
                    return
                yield path
                if depth < DEEPEST:
                    following += self._children(path)
            layer = following

    def _children(self, folder: Path) -> list[Path]:
        try:
            with os.scandir(folder) as entries:
                inside = [entry.name for entry in islice(entries, MOST_ENTRIES) if entry.is_dir(follow_symlinks=False)]
                self.complete = self.complete and next(entries, None) is None
        except OSError:  # not ours to read, or gone
            return []
        return [folder / name for name in sorted(inside) if name not in DULL and not name.startswith(".")]


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

"""From what was typed, now or when a job was submitted before, to jobs that could be queued. Nothing is written."""

import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, chdir, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from launch.commands.entries import command_class
from launch.commands.flags import declared
from launch.job.paths import JobPaths
from launch.job.record import VERSION, JobRecord
from launch.site.profile import ClusterProfile
from launch.submit.kinds import ADDED, KINDS, PACK, JobKind, WorkFolder, merging, paths_typed
from launch.submit.resources import ResourceOptions, resources, time_note
from launch.submit.typed import absolute, given
from launch.watch.meant import ARRAYS
from sharding.base.files import read_json
from sharding.errors import InputError

_PYTHON = re.compile(r"/.*/python[\w.]*")
"""An interpreter, as jobs name it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """One command of a chain, as typed and as built."""

    kind: str
    words: tuple[str, ...]
    """With the command's name."""
    command: Any
    """Of the command's class."""
    wanted: ResourceOptions


@dataclass(frozen=True, kw_only=True, slots=True)
class JobPlan:
    """A job that could be queued."""

    paths: JobPaths
    record: JobRecord
    command: Any
    """As built."""
    reads: tuple[WorkFolder, ...]
    """What must be there, or be made by a job before."""
    note: str = ""
    """On what was asked for, to be read by who asked."""

    @property
    def copies(self) -> int:
        """How often it is queued: behind it wait those that take up where it is ended."""
        return 1 if self.record.array else 1 + self.record.profile.successors


def plan_chain(chain: Sequence[Link], profile: ClusterProfile, commit: str) -> list[JobPlan]:
    """The jobs of a chain, in order: each begins when all before it ended well. Raises InputError."""
    plans = [plan for link in chain for plan in _plans(link, profile, commit)]
    folders = [plan.paths.root for plan in plans]
    if twice := [plan for plan in plans if folders.count(plan.paths.root) > 1]:
        raise InputError(
            f"{twice[0].record.kind} is in this chain twice for {twice[0].paths.target}; submit them one after another"
        )
    line = tuple(str(folder) for folder in folders) if len(folders) > 1 else ()
    return [replace(plan, record=replace(plan.record, chain=line)) for plan in plans]


def _plans(link: Link, profile: ClusterProfile, commit: str) -> list[JobPlan]:
    kind = KINDS[link.kind]
    if not kind.array:
        return [_plan(link, kind, link.kind, profile, commit)]
    if typed := [flag for flag in ("--share", "--shares") if given(link.words, flag)]:
        raise InputError(f"{typed[0]}: submit divides the work by itself; say with --array into how many tasks")
    sharing = _plan(link, kind, link.kind, profile, commit)
    merge = next(name for name, command in ARRAYS.items() if command == link.kind)
    tasks = link.wanted.array or profile.pack.array
    # what is taken out or tried again is settled while the work is divided
    settled = replace(link, words=tuple(word for word in link.words if word not in ("--remove", "--retry")))
    return [
        replace(sharing, record=replace(sharing.record, array=tasks)),
        _plan(settled, merging(kind), merge, profile, commit),
    ]


def _plan(link: Link, kind: JobKind, name: str, profile: ClusterProfile, commit: str) -> JobPlan:
    folder = kind.works_on(link.command)
    words = absolute(link.words, paths_typed(link.command), declared(type(link.command)).flags)
    asked = resources(kind, kind.options(profile), profile, link.wanted)
    record = JobRecord(
        version=VERSION,
        kind=name,
        name=link.wanted.name or f"{name}-{folder.name}",
        words=words,
        argv=(sys.executable, "-m", "launch", *words, *kind.more(words, profile, link.wanted)),
        run=str(folder) if kind.trains else "",
        dataset=str(folder) if KINDS[link.kind].array else "",
        profile=profile,
        resources=asked,
        array=0,
        commit=commit,
        directory=str(Path.cwd()),
        submitted=time.time(),
    )
    return JobPlan(
        paths=JobPaths.of(folder, name),
        record=record,
        command=link.command,
        reads=tuple(kind.reads(link.command)),
        note=time_note(kind.options(profile), profile, link.wanted),
    )


# A job that was submitted before, read from its folder.


def plan_again(paths: JobPaths) -> list[JobPlan]:
    """The job, and of an array the one that puts its shares together. Raises InputError, FormatError."""
    pair = next((pair for pair in ARRAYS.items() if paths.root.name in pair), None)
    if pair is None:
        return [_planned(paths)]
    both = [JobPaths.of(paths.target, kind) for kind in reversed(pair)]
    return [_sized(_planned(one)) for one in both if one.record.is_file()]


def plan_all_again(jobs: Iterable[JobPaths]) -> list[JobPlan]:
    """These jobs, in order; both of an array once. Raises InputError, FormatError."""
    plans = dict[Path, JobPlan]()
    for paths in jobs:
        for plan in plan_again(paths):
            plans.setdefault(plan.paths.root, plan)
    return list(plans.values())


def _planned(paths: JobPaths) -> JobPlan:
    record = read_json(paths.record, JobRecord)
    with _where_submitted(paths, record):
        kind, command = _built(paths, record)
    record = replace(record, argv=_argv(record, kind))
    return JobPlan(paths=paths, record=record, command=command, reads=tuple(kind.reads(command)))


def plans_of_words(paths: JobPaths, record: JobRecord, profile: ClusterProfile, commit: str) -> list[JobPlan]:
    """What its words alone say, for this profile: one job, or both of an array. Raises InputError."""
    with _where_submitted(paths, record):
        _, command = _built(paths, record)
        return _plans(
            Link(kind=record.words[0], words=record.words, command=command, wanted=ResourceOptions()), profile, commit
        )


@contextmanager
def _where_submitted(paths: JobPaths, record: JobRecord) -> Iterator[None]:
    """Flags may name files as they are called there."""
    with ExitStack() as stack:
        try:
            stack.enter_context(chdir(record.directory))
        except OSError as error:
            raise InputError(
                f"cannot go to {record.directory}, where {paths.target} was submitted: {error.strerror}; submit it anew"
            ) from error
        yield


def _argv(record: JobRecord, kind: JobKind) -> tuple[str, ...]:
    """What submit made of the words, for the code that the job keeps; what it cannot have made is made anew."""
    python, rest = record.argv[:1], record.argv[1:]
    start = ("-m", "launch", *record.words)
    added = {word.partition("=")[0] for word in rest[len(start) :] if word.startswith("--")}
    if rest[: len(start)] == start and added <= ADDED and all(_PYTHON.fullmatch(word) for word in python):
        return record.argv
    return (sys.executable, *start, *kind.more(record.words, record.profile, ResourceOptions()))


def _built(paths: JobPaths, record: JobRecord) -> tuple[JobKind, Any]:
    kind = _kind(record)
    command = command_class(record.words[0]).parse(record.words[1:], f"avsync {record.words[0]}")
    if os.path.realpath(works_on := kind.works_on(command)) != os.path.realpath(paths.target):
        raise InputError(
            f"{paths.target} was copied or moved: what was submitted there works on {works_on}; submit it anew"
        )
    return kind, command


def _kind(record: JobRecord) -> JobKind:
    if record.words[:1] != (ARRAYS.get(record.kind, record.kind),) or record.words[0] not in KINDS:
        raise InputError(f"a job of kind {record.kind} was submitted by another version of avsync; submit it anew")
    return merging(KINDS[record.words[0]]) if record.kind in ARRAYS else KINDS[record.kind]


def _sized(plan: JobPlan) -> JobPlan:
    """As many tasks as the profile gives: the last time there may have been less to do."""
    if plan.record.kind != PACK:
        return plan
    return replace(plan, record=replace(plan.record, array=max(plan.record.array, plan.record.profile.pack.array)))


def check_snapshot(plan: JobPlan) -> None:
    """Raises InputError when the code that it ran is gone."""
    if not (plan.paths.code / "launch").is_dir():
        raise InputError(
            f"{plan.paths.code} is gone, which is the code that the job ran; --new-code takes what is here"
        )

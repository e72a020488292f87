"""From what was typed to jobs that could be queued: records and folders. Nothing is written here."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from launch.job.paths import JobPaths
from launch.job.record import VERSION, JobRecord
from launch.site.profile import ClusterProfile
from launch.submit.kinds import KINDS, MERGE, MERGE_KIND, PACK, JobKind, WorkFolder
from launch.submit.resources import ResourceOptions, resources
from launch.submit.typed import absolute, given, switches_in
from sharding.errors import InputError


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """One command of a chain, as typed and as built."""

    kind: str
    words: tuple[str, ...]
    """With the command's name."""
    command: Any
    """Of a class in launch.commands.data."""
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
    return plans


def _plans(link: Link, profile: ClusterProfile, commit: str) -> list[JobPlan]:
    if link.kind != PACK:
        return [_plan(link, KINDS[link.kind], link.kind, profile, commit)]
    if typed := [flag for flag in ("--share", "--shares") if given(link.words, flag)]:
        raise InputError(f"{typed[0]}: submit divides the work by itself; say with --array into how many tasks")
    packing = _plan(link, KINDS[PACK], PACK, profile, commit)
    tasks = link.wanted.array or profile.pack.array
    # what is taken out or tried again is settled while the work is divided
    settled = replace(link, words=tuple(word for word in link.words if word not in ("--remove", "--retry")))
    return [
        replace(packing, record=replace(packing.record, array=tasks)),
        _plan(settled, MERGE_KIND, MERGE, profile, commit),
    ]


def _plan(link: Link, kind: JobKind, name: str, profile: ClusterProfile, commit: str) -> JobPlan:
    target = kind.target(link.command)
    words = absolute(link.words, kind.places(link.command), switches_in(type(link.command)))
    asked = resources(kind, kind.wishes(profile), profile, link.wanted)
    record = JobRecord(
        version=VERSION,
        kind=name,
        name=link.wanted.name or f"{name}-{target.name}",
        words=words,
        argv=(sys.executable, "-m", "launch", *words, *kind.more(words, profile, link.wanted)),
        run=str(target) if kind.ranks else "",
        dataset=str(target) if link.kind == PACK else "",
        profile=profile,
        resources=asked,
        array=0,
        commit=commit,
        directory=str(Path.cwd()),
        submitted=time.time(),
    )
    return JobPlan(
        paths=JobPaths.of(target, name), record=record, command=link.command, reads=tuple(kind.reads(link.command))
    )

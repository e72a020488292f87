"""A job that was submitted before, read from its folder as a plan."""

import os
from contextlib import chdir
from dataclasses import replace

import launch.commands.data
from launch.job.paths import JobPaths
from launch.job.record import JobRecord
from launch.submit.kinds import KINDS, MERGE, MERGE_KIND, PACK, JobKind
from launch.submit.plan import JobPlan
from sharding.base.files import read_json
from sharding.errors import InputError


def plan_again(paths: JobPaths) -> list[JobPlan]:
    """The job, and of a packing the one that puts its shares together. Raises InputError, FormatError."""
    if paths.root.name not in (PACK, MERGE):
        return [_plan(paths)]
    both = [JobPaths.of(paths.target, kind) for kind in (PACK, MERGE)]
    return [_sized(_plan(one)) for one in both if one.record.is_file()]


def _plan(paths: JobPaths) -> JobPlan:
    record = read_json(paths.record, JobRecord)
    kind = _kind(record)
    try:
        with chdir(record.directory):  # flags may name files as seen from there
            command = getattr(launch.commands.data, kind.command).parse(record.words[1:], f"avsync {record.words[0]}")
    except OSError as error:
        raise InputError(
            f"cannot go to {record.directory}, where {paths.target} was submitted: {error.strerror}; submit it anew"
        ) from error
    if os.path.realpath(works_on := kind.target(command)) != os.path.realpath(paths.target):
        raise InputError(
            f"{paths.target} was copied or moved: what was submitted there works on {works_on}; submit it anew"
        )
    return JobPlan(paths=paths, record=record, command=command, reads=tuple(kind.reads(command)))


def _kind(record: JobRecord) -> JobKind:
    if record.kind == MERGE:
        return MERGE_KIND
    if record.kind not in KINDS:
        raise InputError(f"a job of kind {record.kind} was submitted by another version of avsync; submit it anew")
    return KINDS[record.kind]


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

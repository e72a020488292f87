"""A job of somebody else is never run, nor written over, without a word: whose it is decides, not what it says.

What lies in a colleague's job folder is theirs to write: the code, lines of bash, the command that tells of the end.
With --of USER their job becomes one of one's own: the words alone are taken, and said; code, profile and all that
follows from them are one's own, in a folder of one's own. Theirs keeps its files under another name.
"""

import os
import re
import stat
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from launch.commands.flags import typed
from launch.job.own import foreign, foreign_owner
from launch.job.paths import JobPaths
from launch.job.record import JobRecord
from launch.queue.squeue import own_name, owner_of
from launch.site.profiles import NAME_VARIABLE, find_profile
from launch.submit.plan import JobPlan, plans_of_words
from sharding.base.environment import commit_of
from sharding.base.files import read_json
from sharding.base.guarded import move
from sharding.base.text import plain
from sharding.errors import AvsyncError, InputError

_COMMAND = re.compile(r"(^|=)pipe:")
"""An address that is a command."""


def check_owners(jobs: Iterable[JobPaths], of: str) -> None:
    """Before anything is written, at all of a chain. of: whose jobs may lose their place. Raises InputError."""
    for paths in jobs:
        if not (why := foreign(paths)):
            continue
        whose = plain(foreign_owner(paths))
        if whose == own_name():
            raise InputError(f"{why}; remove the link")
        if not of:
            raise InputError(f"{why}, and is not written over; name another folder, or --of {whose} to take its place")
        if of != whose:
            raise InputError(f"--of {of}: {why}; say whose it is: --of {whose}")
        _check_movable(paths)


def refuse_foreign(jobs: Iterable[JobPaths]) -> None:
    """Of jobs that are to be queued again as they are. Raises InputError with what to type instead."""
    for paths in jobs:
        if why := foreign(paths):
            raise InputError(
                f"{why}, who may have it run anything: it is not queued again as yours; submit it anew with your own "
                f"profile: {_anew(paths)}"
            )


def _anew(paths: JobPaths) -> str:
    of = ("--of", foreign_owner(paths), "--cluster", "NAME")
    try:
        words = read_json(paths.record, JobRecord).words
    except AvsyncError:  # it is for its owner alone
        return f"{plain(typed('submit', paths.root.name, '...', *of))} (ask for its words: job.json is closed)"
    return plain(typed("submit", *words, *of))


def plan_taken(jobs: Sequence[JobPaths]) -> list[JobPlan]:
    """The same work as jobs of one's own, in order; of what was submitted the words alone count. The profile is the
    one that the environment names.

    Raises InputError, FormatError.
    """
    if not os.environ.get(NAME_VARIABLE):
        raise InputError(f"--of: {NAME_VARIABLE} is not set, which names your own profile; set it, or {_anew(jobs[0])}")
    plans, profile = dict[Path, JobPlan](), find_profile("")
    for paths in (paths for paths in jobs if paths.root not in plans):  # of a packing there are two
        record = read_json(paths.record, JobRecord)
        if commands := [word for word in record.words if _COMMAND.search(word)]:
            raise InputError(
                f"{paths.target}: its words hold a command, {plain(commands[0])}: look at it, and type it yourself: "
                f"{_anew(paths)}"
            )
        sys.stderr.write(f"avsync: note: {foreign(paths)}; its words: {plain(typed(*record.words))}\n")
        plans |= {plan.paths.root: plan for plan in plans_of_words(paths, record, profile, commit_of())}
    line = tuple(map(str, plans)) if len(plans) > 1 else ()
    return [replace(plan, record=replace(plan.record, chain=line)) for plan in plans.values()]


def move_aside(paths: JobPaths) -> None:
    """A colleague's job folder gets another name, which no command looks at; its files stay. Raises OSError."""
    if not (whose := foreign_owner(paths)):
        return
    number, aside = 1, paths.root.with_name(f".{paths.root.name}-of-{whose}")
    while os.path.lexists(aside):
        number += 1
        aside = paths.root.with_name(f".{paths.root.name}-of-{whose}-{number}")
    move(paths.root, aside)


def _check_movable(paths: JobPaths) -> None:
    jobs = paths.root.parent
    status = jobs.stat()
    sticky = status.st_mode & stat.S_ISVTX and os.geteuid() not in (0, status.st_uid)
    if sticky or not os.access(jobs, os.W_OK | os.X_OK):
        whose = owner_of(jobs)
        raise InputError(
            f"{paths.root} keeps its place: {jobs} belongs to user {whose}, who alone may move what is in it; ask for "
            "that, or copy the run and submit for the copy"
        )

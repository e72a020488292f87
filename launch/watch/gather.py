"""The jobs of a folder and those of their chains elsewhere: how they stand, and which comes before which."""

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from launch.job.paths import JobPaths
from launch.job.record import MOST_CHAINED
from launch.watch.jobs import jobs_of, of_kind
from launch.watch.meant import ChainJob, in_order
from launch.watch.on_disk import last_began, read_record
from launch.watch.status import LIVE, JobStatus, Queue, Standing, ask_queue, read_status
from sharding.errors import AvsyncError


@dataclass(frozen=True, kw_only=True, slots=True)
class Gathered:
    """All that a decision needs, asked once."""

    jobs: tuple[ChainJob, ...]
    """In the order of their chain."""
    statuses: Mapping[Path, JobStatus]
    """By the job's folder."""
    queue: Queue

    def exactly(self, root: Path) -> ChainJob:
        """The job of that folder."""
        return next(job for job in self.jobs if job.root == root)


def gather(name: str, kind: str = "") -> tuple[Gathered, Path | None]:
    """The jobs, and the folder of the one that was named: by its kind, or by its own folder.

    Raises InputError for a folder without jobs, or without one of that kind; FormatError for one that is damaged.
    """
    here = jobs_of(name)
    exact = of_kind(name, here, kind).root if kind else None
    if not kind and here[0].target != Path(name).absolute():  # its own folder, or its job.json
        exact, here = here[0].root, jobs_of(str(here[0].target))
    return _gathered(here, exact), exact


def _gathered(here: Sequence[JobPaths], exact: Path | None) -> Gathered:
    """Beside a job that was named exactly, others may be damaged."""
    elsewhere = _elsewhere(here)
    queue = ask_queue([*here, *elsewhere])  # a folder that several people use: each job is asked for by its owner
    needed = [paths for paths in here if exact in (None, paths.root)]
    statuses = {paths.root: read_status(paths, queue) for paths in needed}
    besides = ((paths.root, _readable(paths, queue)) for paths in here if paths.root not in statuses)
    statuses |= {root: status for root, status in besides if status}
    besides = ((paths.root, _readable(paths, queue)) for paths in elsewhere)
    statuses |= {root: status for root, status in besides if status}
    before = _before(statuses, {os.path.realpath(root): root for root in statuses})
    named = {paths.root for paths in here} & statuses.keys()
    related = named | {root for root in statuses if any(root in before[one] or one in before[root] for one in named)}
    stuck = _stuck(statuses, before, queue)
    jobs = [
        ChainJob(
            root=root,
            standing=status.standing,
            here=root in named,
            began=last_began(JobPaths(root), status.tasks),
            before=frozenset(before[root] & related),
            stuck=root in stuck,
        )
        for root, status in sorted(statuses.items(), key=lambda item: item[1].submitted)
        if root in related
    ]
    return Gathered(jobs=tuple(in_order(jobs)), statuses=statuses, queue=queue)


def _elsewhere(here: Sequence[JobPaths]) -> list[JobPaths]:
    """What was submitted in one line with jobs of this folder, and lies in others."""
    chained = dict[str, None]()
    for paths in here:
        with suppress(AvsyncError):  # damaged: whoever needs it will say so
            chained |= dict.fromkeys(read_record(paths)[0].chain)
    own = {os.path.realpath(paths.root) for paths in here}
    others = {os.path.realpath(one): JobPaths(Path(one)) for one in islice(chained, MOST_CHAINED)}
    return [paths for real, paths in others.items() if real not in own]


def _stuck(statuses: Mapping[Path, JobStatus], before: Mapping[Path, set[Path]], queue: Queue) -> set[Path]:
    """What waits for what will never come, and what waits for that."""
    found, bad = set[Path](), _ended_badly(statuses.values(), queue)
    for root, status in sorted(statuses.items(), key=lambda item: len(before[item[0]])):
        waits = status.standing is Standing.WAITING and not bad.isdisjoint(_needs(status))
        if waits or status.waits_in_vain:
            found.add(root)
            bad |= set(status.ids)
    return found


def _ended_badly(statuses: Iterable[JobStatus], queue: Queue) -> set[str]:
    """Numbers of jobs that are over without a good end, also those under which a job was queued before."""
    live = {row.job for row in queue.rows or () if row.live}
    over = {row.job for row in queue.rows or () if row.state != "COMPLETED"}
    lost = {job for status in statuses if status.standing not in (*LIVE, Standing.DONE) for job in status.ids}
    return (over | lost) - live


def _readable(paths: JobPaths, queue: Queue) -> JobStatus | None:
    """None for a job that is not there any more, or that cannot be understood: it is not what was asked for."""
    try:
        return read_status(paths, queue) if os.path.lexists(paths.record) else None
    except (AvsyncError, OSError):
        return None


def _before(statuses: Mapping[Path, JobStatus], roots: Mapping[str, Path]) -> dict[Path, set[Path]]:
    """Job -> all that come before it: by its chain, and by the numbers that it waited for."""
    found = dict[Path, set[Path]]()
    for root, status in statuses.items():
        chain = [os.path.realpath(one) for one in status.chain]
        own = os.path.realpath(root)
        earlier = chain[: chain.index(own)] if own in chain else []
        waited = {*status.depends_on, *_needs(status)}
        by_number = {other for other, one in statuses.items() if not waited.isdisjoint(one.ids)}
        found[root] = {roots[one] for one in earlier if one in roots} | by_number - {root}
    while True:  # what is before what is before it is before it, too
        wider = {root: earlier.union(*(found[one] for one in earlier)) for root, earlier in found.items()}
        if wider == found:
            return found
        found = wider


def _needs(status: JobStatus) -> set[str]:
    return {job for row in status.rows if row.live and row.waiting for job in row.needs}

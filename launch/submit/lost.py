"""What `avsync resubmit` means: the jobs of a folder and its chain that were lost, and what they wait for."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from launch.commands.flags import typed
from launch.watch.gather import Gathered, gather
from launch.watch.hints import again, command, listed
from launch.watch.jobs import short
from launch.watch.meant import ARRAYS, ChainJob, Meant, behind, meant_by_resubmit
from launch.watch.status import LIVE
from sharding.errors import InputError


@dataclass(frozen=True, kw_only=True, slots=True)
class LostJobs:
    """To be queued again."""

    roots: tuple[Path, ...]
    """The jobs' own folders, in order."""
    after: tuple[str, ...]
    """SLURM's numbers of jobs that live and must end well before the first of them."""
    stuck: tuple[str, ...]
    """Numbers under which some of them still wait, for what will never come."""
    alone: frozenset[Path] = frozenset()
    """Folders of other jobs that live: they are left alone."""
    left: str = ""
    """What was lost behind them, and is not queued again: only one was named."""


def lost_of(name: str, kind: str) -> LostJobs:
    """By its kind exactly the one; else what `meant_by_resubmit` says. Raises InputError, with what there is."""
    found, exact = gather(name, kind)
    meant = behind(_one_line(found.exactly(exact), found), found.jobs) if exact else meant_by_resubmit(found.jobs)
    if meant.refusal:
        raise InputError(f"{name}: {meant.refusal}; {_what_to_do(found)}")
    roots = tuple(job.root for job in meant.jobs)
    return LostJobs(
        roots=roots,
        after=_numbers(meant, found),
        stuck=tuple(one for job in meant.jobs if job.stuck for one in found.statuses[job.root].ids),
        alone=frozenset(job.root for job in found.jobs if job.standing in LIVE and job.root not in roots),
        left=listed(job for job in meant.others if job.lost and meant.jobs[0].root in job.before),
    )


def _one_line(exact: ChainJob, found: Gathered) -> list[ChainJob]:
    """Of an array and what follows it the two jobs go together."""
    pair = next((pair for pair in ARRAYS.items() if exact.kind in pair), ())
    both = [job for job in found.jobs if job.target == exact.target and job.kind in pair and job.lost]
    return both if exact in both else [exact]


def _what_to_do(found: Gathered) -> str:
    """Commands for what may be meant instead."""
    here = [job for job in found.jobs if job.here]
    lost = [job for job in here if job.lost]
    if lost:
        return f"name one: {_each(lost)}"
    elsewhere = dict.fromkeys(job.target for job in found.jobs if job.lost)
    if elsewhere:
        return " or ".join(line.partition("   #")[0] for target in elsewhere for line in again(str(target)))
    if any(job.live for job in here):
        return f"{typed('status', short(here[0].target))} tells how it stands"
    return f"to do one again: {_each(here)}"


def _each(jobs: Sequence[ChainJob]) -> str:
    return ", ".join(command("resubmit", job.root) for job in jobs)


def _numbers(meant: Meant, found: Gathered) -> tuple[str, ...]:
    """What lives of the chain, and what else the first one waited for when it was submitted."""
    numbers = list[str]()
    for job in meant.after:
        status = found.statuses[job.root]
        numbers += status.ids if status.tasks else status.ids[-1:]  # of jobs in line the last
    live = {row.job for row in found.queue.rows or () if row.live}
    numbers += [one for one in found.statuses[meant.jobs[0].root].depends_on if one in live]
    return tuple(dict.fromkeys(numbers))

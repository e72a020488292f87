"""Which jobs a command means that names a folder only. Pure: jobs and how they stand go in, jobs come out.

A folder with several jobs, and a chain over several folders, are the usual case. Where it cannot be said which job is
meant, it is refused with what there is: a guess ends somebody's training.

cancel    all that lives in the folder, and what waits behind it elsewhere: that could never begin
logs      the one that runs, else the one that ran last; not one that only waits
resubmit  the first of the chain that did not end well, and what fell with it behind it; nothing that lives or is done
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from launch.job.paths import JobPaths
from launch.watch.jobs import short
from launch.watch.status import LIVE, Standing
from sharding.base.text import LONGEST_MESSAGE, cut

SAID = {
    Standing.UNSENT: "was not queued",
    Standing.WAITING: "waits",
    Standing.RUNNING: "runs",
    Standing.ENDING: "is ending",
    Standing.DONE: "is done",
    Standing.FAILED: "failed",
    Standing.CANCELLED: "was cancelled",
    Standing.SILENT: "ended without a word",
    Standing.UNKNOWN: "may live: SLURM cannot be asked",
}
ARRAYS = {"pack-merge": "pack", "curate-merge": "curate"}
"""One command as two jobs, which are taken up together: what follows an array -> the array."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChainJob:
    """A job as the decision sees it."""

    root: Path
    """The job's own folder, TARGET/jobs/KIND."""
    standing: Standing
    here: bool = True
    """It lies in the folder that was named."""
    began: float = 0.0
    """When its last attempt began; 0: it never ran."""
    before: frozenset[Path] = frozenset()
    """Folders of the jobs that come before it in its chain."""
    stuck: bool = False
    """It waits for a job that did not end well, and will wait for ever."""

    @property
    def kind(self) -> str:
        return self.root.name

    @property
    def target(self) -> Path:
        return JobPaths(self.root).target

    @property
    def live(self) -> bool:
        """It does something, or will. What SLURM cannot be asked about may."""
        return self.standing in LIVE or self.standing is Standing.UNKNOWN

    @property
    def lost(self) -> bool:
        """It has not done its work, and never will by itself."""
        return self.stuck or self.standing not in (*LIVE, Standing.DONE)

    @property
    def said(self) -> str:
        """`train waits in vain`."""
        return f"{self.kind} {'waits in vain' if self.stuck else SAID[self.standing]}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Meant:
    """Jobs in the order of their chain, or a refusal."""

    jobs: tuple[ChainJob, ...] = ()
    after: tuple[ChainJob, ...] = ()
    """Of resubmit: jobs that live, and must end well before."""
    others: tuple[ChainJob, ...] = ()
    """What a person must hear of besides."""
    refusal: str = ""
    """What is the case; empty: it is clear what is meant."""


def in_order(jobs: Sequence[ChainJob]) -> list[ChainJob]:
    """Each behind those before it."""
    return sorted(jobs, key=lambda job: len(job.before))


def all_said(jobs: Sequence[ChainJob]) -> str:
    """`train runs, evaluate waits; in DATASET pack is done`."""
    targets = dict.fromkeys(job.target for job in jobs if not job.here)
    parts = [", ".join(job.said for job in jobs if job.here)]
    parts += [f"in {short(target)} {', '.join(job.said for job in jobs if job.target == target)}" for target in targets]
    return cut("; ".join(part for part in parts if part), LONGEST_MESSAGE)


def meant_by_cancel(jobs: Sequence[ChainJob]) -> Meant:
    """All that lives in the folder, and what waits elsewhere for it; told besides: what lives elsewhere before it."""
    order = in_order(jobs)
    ends = {job.root for job in order if job.here and job.live}
    for job in order:
        if not job.here and _waits_behind(job, ends):
            ends.add(job.root)
    others = tuple(job for job in order if job.root not in ends)
    if not ends:
        telling = [job for job in order if job.here or job.standing is not Standing.DONE]
        return Meant(others=others, refusal=f"nothing is left to be cancelled: {all_said(telling)}")
    return Meant(jobs=tuple(job for job in order if job.root in ends), others=others)


def _waits_behind(job: ChainJob, ends: set[Path]) -> bool:
    return job.standing is Standing.WAITING and (job.stuck or not ends.isdisjoint(job.before))


def meant_by_logs(jobs: Sequence[ChainJob]) -> Meant:
    """The one that runs, else the one that ran last, else the one that will run first."""
    order = in_order(jobs)
    here = [job for job in order if job.here]
    running = [job for job in here if job.standing in (Standing.RUNNING, Standing.ENDING)]
    ran = running or [job for job in here if job.began]
    waiting = [job for job in here if job.live and not job.stuck] or here
    chosen = max(ran, key=lambda job: job.began) if ran else waiting[0]
    return Meant(jobs=(chosen,), others=tuple(job for job in order if job is not chosen))


def meant_by_resubmit(jobs: Sequence[ChainJob]) -> Meant:
    """The first of the folder's chain that did not end well, what was lost with it before it in other folders, and
    what was lost behind it.
    """
    order = in_order(jobs)
    lost = [job for job in order if job.here and job.lost]
    firsts = [job for job in lost if not any(other.root in job.before for other in lost)]
    if not firsts:
        return _nothing_lost(order)
    if len({_line(job) for job in firsts}) > 1:
        return Meant(others=tuple(order), refusal=f"more than one chain did not end well: {all_said(order)}")
    first = firsts[0]
    chosen = [first]
    for job in reversed([job for job in order if job.root in first.before]):
        if not job.lost:
            break  # what was lost further before has been made up for
        chosen.insert(0, job)
    chosen += [job for job in order if job.lost and first.root in job.before]
    return behind(chosen, order)


def behind(chosen: Sequence[ChainJob], jobs: Sequence[ChainJob]) -> Meant:
    """These jobs, to be queued again behind what lives before the first of them."""
    first, roots = chosen[0], {job.root for job in chosen}
    after = tuple(job for job in jobs if job.live and not job.lost and job.root in first.before)
    others = tuple(job for job in jobs if job.root not in roots and job not in after)
    return Meant(jobs=tuple(chosen), after=after, others=others)


def _nothing_lost(order: Sequence[ChainJob]) -> Meant:
    here = [job for job in order if job.here]
    alone = len({_line(job) for job in here}) == 1 and all(job.standing is Standing.DONE for job in here)
    if alone and not any(job.lost for job in order):
        return behind(here, order)  # there is but one thing that can be meant: once more
    return Meant(others=tuple(order), refusal=f"nothing of it is to be queued again: {all_said(order)}")


def _line(job: ChainJob) -> str:
    """Both jobs of one command are one."""
    return ARRAYS.get(job.kind, job.kind)

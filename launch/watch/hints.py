"""What to type next about jobs: a line of it names the job's kind where its folder has several, and leads somewhere."""

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from launch.commands.flags import typed
from launch.job.paths import JobPaths
from launch.watch.gather import Gathered, gather
from launch.watch.jobs import has_several, short
from launch.watch.meant import ChainJob, meant_by_resubmit
from launch.watch.on_disk import has_log
from launch.watch.status import LIVE, JobStatus, Standing
from sharding.base.text import LONGEST_MESSAGE, cut

LOST = (Standing.FAILED, Standing.SILENT, Standing.CANCELLED, Standing.UNSENT)


def command(verb: str, root: Path, *flags: str) -> str:
    """`avsync logs RUN -f --kind train`."""
    target = JobPaths(root).target
    return typed(verb, short(target), *flags, *(("--kind", root.name) if has_several(target) else ()))


def about(paths: JobPaths) -> str:
    """`RUN`, or where that has several jobs `RUN: train`."""
    return f"{short(paths.target)}: {paths.root.name}" if has_several(paths.target) else short(paths.target)


def listed(jobs: Iterable[ChainJob]) -> str:
    """`train of RUN, then evaluate of RUN`."""
    return cut(", then ".join(f"{job.kind} of {short(job.target)}" for job in jobs), LONGEST_MESSAGE)


def again(name: str) -> list[str]:
    """The commands that queue what was lost of a folder, each with the jobs that it means; none where nothing was."""
    return again_of(gather(name)[0], Path(name))


def again_of(found: Gathered, target: Path) -> list[str]:
    """The same, of what was looked at already."""
    meant, here = meant_by_resubmit(found.jobs), [job for job in found.jobs if job.here]
    if any(found.statuses[job.root].works_in for job in here):
        return []  # it was moved, or copied: what it was submitted for is not here
    if meant.refusal:  # several chains: each by itself
        return [command("resubmit", job.root) for job in here if job.lost]
    if not any(job.lost for job in meant.jobs):
        return []
    line, after = typed("resubmit", short(target)), f", behind {listed(meant.after)}" if meant.after else ""
    return [f"{line}   # {listed(meant.jobs)}{after}" if len(found.jobs) > 1 else line]


def next_of(status: JobStatus) -> list[str]:
    """Commands that make sense now."""
    root = Path(status.folder)
    if status.private:  # only its owner can end it, or take it up
        return [command("logs", root)] if has_log(JobPaths(root)) else []
    if status.standing in LOST:
        return [*_errors(status), *_again(status)]
    if status.standing is Standing.DONE:
        after = (
            typed("board", short(Path(status.target)))
            if status.progress
            else f"cat {shlex.quote(str(JobPaths(root).log))}"
        )
        return [command("logs", root), after] if has_log(JobPaths(root)) else []
    if _is_stuck(status):
        return [*_again(status), command("cancel", root)]
    return [
        command("logs", root, "-f"),
        *([typed("board", short(Path(status.target)))] if status.progress else []),
        command("cancel", root),
    ]


def next_of_folder(statuses: Sequence[JobStatus]) -> list[str]:
    """The same of all jobs of a folder: what runs, what is lost."""
    target = Path(statuses[0].target)
    if len(statuses) == 1 or any(status.private for status in statuses):
        return [line for status in statuses for line in next_of(status)]
    live = [status for status in statuses if status.standing in LIVE and not status.works_in]
    first = [status for status in live if status.standing is not Standing.WAITING] or live
    lines = [command("logs", Path(status.folder), "-f") for status in first[-1:]]
    lines += [f"{typed('cancel', short(target))}   # {', '.join(status.kind for status in live)}"] if live else []
    lines += [line for status in statuses for line in _errors(status)]
    lost = [status for status in statuses if status.standing in LOST or _is_stuck(status)]
    return [*lines, *(_again(lost[0]) if lost else [])]


def _is_stuck(status: JobStatus) -> bool:
    """It waits in vain; where SLURM has not noticed yet, what it waits for tells."""
    if status.waits_in_vain or status.standing is not Standing.WAITING or status.works_in:
        return status.waits_in_vain
    waits = any(row.needs for row in status.rows)
    return waits and gather(status.target)[0].exactly(Path(status.folder)).stuck


def _errors(status: JobStatus) -> list[str]:
    """Where there is a log: a job that never began has none."""
    root, failed = Path(status.folder), status.standing in (Standing.FAILED, Standing.SILENT)
    printed = bool(status.attempts) or has_log(JobPaths(root))
    return [command("logs", root, "--errors")] if failed and printed else []


def _again(status: JobStatus) -> list[str]:
    if status.works_in:
        return [typed("submit", status.kind, "...")]
    return again(status.target)

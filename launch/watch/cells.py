"""A status as cells: those of the table, and the lines of a job's page, come from here, so that they never differ."""

from launch.job.attempts import Attempt, What
from launch.watch.status import JobStatus, Standing
from sharding.base.text import counted, duration, percent, shown

COLOURS = {
    Standing.RUNNING: "green",
    Standing.DONE: "bold green",
    Standing.FAILED: "bold red",
    Standing.SILENT: "bold red",
    Standing.CANCELLED: "yellow",
    Standing.ENDING: "yellow",
    Standing.UNSENT: "yellow",
}
OLD_S = 120.0
"""A heartbeat may be so old before anybody wonders: a validation, or a checkpoint on a slow disk."""


def bar(share: float, cells: int) -> str:
    """`━━━━────`."""
    full = round(min(max(share, 0.0), 1.0) * cells)
    return "━" * full + "─" * (cells - full)


def progress_of(status: JobStatus) -> tuple[int, int]:
    """Done, of how many: steps of a run, sources, tasks of an array; 0 of 0 when nothing is known."""
    if status.progress:
        return status.progress.step, status.progress.steps
    if status.work:
        return status.work.done, status.work.sources
    return (status.tasks.done, status.tasks.total) if status.tasks else (0, 0)


def moved(status: JobStatus, cells: int = 0) -> str:
    """`━━━─── 12,000/100,000 12 %`, `310/900 sources 34 %, 2/4 tasks, 2 running`."""
    done, total = progress_of(status)
    if not total:
        return ""
    unit = " sources" if status.work else ""
    amount = f"{done:,}/{total:,}{unit} {percent(done / total, 0)}"
    if status.tasks:
        amount = f"{amount}, {tasks(status)}" if status.work else tasks(status)
    return f"{bar(done / total, cells)} {amount}" if cells else amount


def tasks(status: JobStatus) -> str:
    """`12/32 tasks, 4 running, 1 failed`."""
    count = status.tasks
    if not count:
        return ""
    parts = ((count.running, "running"), (count.failed, "failed"))
    return f"{count.done}/{count.total} tasks" + "".join(f", {number} {word}" for number, word in parts if number)


def state(status: JobStatus) -> str:
    """`running`, `waiting: others come first`."""
    long = status.standing in (Standing.FAILED, Standing.SILENT, Standing.UNKNOWN)
    why = "" if long or status.standing is Standing.DONE else shown(status.why)
    phase = status.progress.phase if status.progress and status.standing is Standing.RUNNING else ""
    why = why or (phase if phase not in ("training", "stopped", "done") else "")
    return f"{status.standing}: {why}" if why else str(status.standing)


def pace(status: JobStatus) -> str:
    """Clips a second, while it runs."""
    return f"{status.progress.clips_per_s:,.0f}" if status.progress and _moves(status) else ""


def eta(status: JobStatus) -> str:
    """Time to the end, while it runs."""
    if not _moves(status):
        return ""
    left_s = status.progress.eta_s if status.progress else status.work.left_s if status.work else None
    return "" if left_s is None else duration(round(max(0.0, left_s)))


def waits(status: JobStatus) -> str:
    """Part of the time that a step waits for data."""
    return _part(status, status.progress.data_wait if status.progress else None)


def gpu(status: JobStatus) -> str:
    """Part of the time that the GPUs are busy."""
    return _part(status, status.progress.gpu_busy if status.progress else None)


def _part(status: JobStatus, part: float | None) -> str:
    return percent(part, 0) if part is not None and _moves(status) else ""


def validated(status: JobStatus) -> str:
    """Accuracy of the last validation, what an audit leaves of it, and its step."""
    score = status.progress.validation if status.progress else None
    if not score:
        return ""
    left = "" if score.audited is None else f", audited {percent(score.audited)}"
    return f"{percent(score.accuracy)}{left} at {score.step:,}"


def alarm(status: JobStatus) -> str:
    """That the network cheats, by its last validation: also of a job that is over, for its network will be used."""
    return status.progress.alarm.text if status.progress and status.progress.alarm else ""


def honesty_colour(status: JobStatus) -> str:
    """Of an accuracy that means nothing."""
    return "bold red" if alarm(status) else ""


def age(status: JobStatus) -> str:
    """Of the heartbeat."""
    return "" if status.age_s is None else duration(round(status.age_s))


def is_old(status: JobStatus) -> bool:
    """The heartbeat ought to have come."""
    limit = max(OLD_S, 10 * status.progress.step_s) if status.progress else OLD_S
    return status.age_s is not None and status.age_s > limit


def tries(status: JobStatus) -> str:
    """`3: preempted`: how many attempts, and how the last one that ended, ended; of an array `task 2: crashed`."""
    if status.tasks:
        last = status.attempts[-1].ended if status.attempts else None
        return f"task {status.tasks.failing}: {last.what}" if last else ""
    ended = [one.ended for one in status.attempts if one.ended and one.ended.what is not What.DONE]
    count = len(status.attempts)
    return "" if not count else f"{count}: {ended[-1].what}" if ended and count > 1 else str(count)


def how_it_ended(attempt: Attempt, standing: Standing) -> str:
    """`preempted: another job needs the nodes`."""
    if attempt.ended is None:
        return "runs" if standing in (Standing.RUNNING, Standing.ENDING) else "no word"
    ended = attempt.ended
    return f"{ended.what}: {shown(ended.detail)}" if ended.detail and ended.detail != ended.what else str(ended.what)


def summed(statuses: list[JobStatus]) -> str:
    """`3 jobs: 2 running, 1 waiting`."""
    each = [(standing, sum(status.standing is standing for status in statuses)) for standing in Standing]
    parts = ", ".join(f"{count:,} {standing}" for standing, count in each if count)
    return f"{counted(len(statuses), 'job')}: {parts}"


def _moves(status: JobStatus) -> bool:
    told = status.progress or status.work
    return status.standing in (Standing.RUNNING, Standing.ENDING, Standing.UNKNOWN) and bool(told)

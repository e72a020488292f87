"""What must agree, as pure functions: facts go in, findings come out. A finding says what was wanted and what came."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from avsync.run.receipt import Receipt
from benchmarks.soak.blows import BLOW
from benchmarks.soak.look import Process, Shown
from launch.watch.status import Standing

RETRIES = 3
"""Of the soak's profile."""
LIVE = (Standing.RUNNING, Standing.WAITING, Standing.ENDING)
GOES_ON = ("RUNNING", "PENDING", "SUSPENDED", "REQUEUED", "RESIZING")
"""States in SLURM's books of what is not over."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """A disagreement."""

    check: str
    order: str
    """Empty: of nobody in particular."""
    detail: str


def may_end(blows: Sequence[str]) -> frozenset[Standing]:
    """How a job that was struck so may stand for good, done apart, while nobody resubmits it."""
    struck = [BLOW[name] for name in blows]
    allowed = frozenset[Standing]().union(*(blow.excuses for blow in struck))
    return allowed | {Standing.FAILED} if sum(blow.fails for blow in struck) >= RETRIES else allowed


def ends(order: str, jobs: Sequence[Shown], blows: Sequence[str]) -> list[Finding]:
    """Jobs in the order in which they run, at a quiet moment: each is done, or what was done to it excuses it.

    A job behind one that did not end well is cancelled by SLURM.
    """
    allowed, found, broken = may_end(blows), list[Finding](), False
    for job in jobs:
        fine = job.standing is Standing.DONE or job.standing in allowed
        if not fine and not (broken and job.standing is Standing.CANCELLED):
            since = ", ".join(dict.fromkeys(blows)) or "nothing"
            detail = f"{job.kind} is {job.standing} ({job.why}); since it was queued it was struck by {since}"
            found.append(Finding(check="how it ended", order=order, detail=detail))
        broken = broken or job.standing is not Standing.DONE
    return found


def queue_agrees(order: str, job: Shown, live: Collection[str], books: Mapping[str, str]) -> list[Finding]:
    """What avsync says beside SLURM. live: SLURM's states of what is in the queue; books: last states in sacct."""
    said = f"{job.kind}: avsync says {job.standing} ({job.why})"
    if job.standing in LIVE and not live:
        return [Finding(check="status", order=order, detail=f"{said}, SLURM has no such job")]
    if job.standing not in LIVE and set(live) - {"COMPLETING"}:
        return [Finding(check="status", order=order, detail=f"{said}, SLURM has it: {', '.join(sorted(live))}")]
    states = [state for state in books.values() if state not in GOES_ON]
    wrong = {
        Standing.DONE: [state for state in states if state != "COMPLETED"],
        Standing.CANCELLED: states if states and set(states) == {"COMPLETED"} else [],
        Standing.FAILED: states if states and set(states) == {"COMPLETED"} else [],
    }.get(job.standing, [])
    if wrong:
        return [Finding(check="books", order=order, detail=f"{said}, sacct says {dict(books)}")]
    return []


def stays_cancelled(order: str, jobs: Iterable[Shown], cancelled: Collection[str]) -> list[Finding]:
    """cancelled: kinds of jobs of which `avsync cancel` said so, and that nobody has resubmitted."""
    detail = "{0.kind}: avsync cancel said that it is cancelled; then, unasked, it is {0.standing} ({0.why})"
    return [
        Finding(check="cancel", order=order, detail=detail.format(job))
        for job in jobs
        if job.kind in cancelled and job.standing is not Standing.CANCELLED
    ]


def receipts_agree(order: str, receipts: Sequence[Receipt], attempts: int, steps: int) -> list[Finding]:
    """No clip was left out or taken twice; each attempt went on from no earlier than the one before."""
    found = list[str]()
    if not receipts:
        found.append("there is none")
    if [receipt.attempt for receipt in receipts] != list(range(1, len(receipts) + 1)):
        found.append(f"attempts {[receipt.attempt for receipt in receipts]} are not 1, 2, ...")
    if len(receipts) > attempts:
        found.append(f"{len(receipts)} of them, and {attempts} attempts")
    for before, after in pairwise(receipts):
        if after.step < before.step:
            found.append(f"attempt {after.attempt} began at step {after.step}, the one before at {before.step}")
    for receipt in receipts:
        if receipt.skipped or receipt.repeated or receipt.unreadable:
            found.append(f"attempt {receipt.attempt}: {receipt}")
        if receipt.steps != steps or receipt.step > steps:
            found.append(f"attempt {receipt.attempt}: step {receipt.step} of {receipt.steps}, not of {steps}")
    return [Finding(check="receipts", order=order, detail=detail) for detail in found]


def curve_agrees(
    order: str, curve: Sequence[tuple[int, float]], straight: Sequence[tuple[int, float]]
) -> list[Finding]:
    """Each step is drawn once, with the loss of the undisturbed run."""
    times, wanted = Counter(step for step, _ in curve), dict(straight)
    twice, missing = [step for step in times if times[step] > 1], sorted(wanted.keys() - times.keys())
    other = [step for step, loss in curve if wanted.get(step) != loss]
    problems = {"drawn twice": twice, "missing": missing, "another loss than undisturbed": other}
    return [
        Finding(check="curve", order=order, detail=f"steps {what}: {steps[:12]}")
        for what, steps in problems.items()
        if steps
    ]


def same(check: str, order: str, found: Mapping[str, str], wanted: Mapping[str, str]) -> list[Finding]:
    """Digests by name beside those of what was left alone."""
    problems = {
        "missing": sorted(wanted.keys() - found.keys()),
        "too much": sorted(found.keys() - wanted.keys()),
        "other content": sorted(name for name in wanted.keys() & found.keys() if wanted[name] != found[name]),
    }
    return [
        Finding(check=check, order=order, detail=f"{what}: {', '.join(names[:6])} ({len(names)} in all)")
        for what, names in problems.items()
        if names
    ]


def orphans(processes: Iterable[Process]) -> list[Finding]:
    """Nothing of any account may run when SLURM has no job of it, and nobody has called anything."""
    return [
        Finding(check="orphan", order="", detail=f"process {one.pid} of {one.account}: {one.words[:160]}")
        for one in processes
    ]


def leftovers(order: str, where: str, found: Collection[str], known: Collection[str]) -> list[Finding]:
    """Names (look.shape) that undisturbed work does not leave."""
    return [
        Finding(check="leftover", order=order, detail=f"{where}: {name}") for name in sorted(set(found) - set(known))
    ]


def unasked(order: str, live: Collection[str]) -> list[Finding]:
    """A submission that was refused leaves nothing in the queue."""
    detail = f"the submission was refused, and SLURM has jobs of it: {', '.join(sorted(live))}"
    return [Finding(check="refused", order=order, detail=detail)] if live else []

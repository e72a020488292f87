"""The queue, asked once for any number of jobs: `squeue` with a format that every SLURM in use knows."""

import os
import pwd
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from launch.queue.ask import QUESTION_S, QueueError, ask
from launch.queue.scontrol import JobFacts, Scontrol, known, moment
from sharding.errors import InputError

# Why a job waits, in plain words: SLURM's own words for it are one CamelCase word each.

NEVER = "DependencyNeverSatisfied"
PLAIN = {
    "Priority": "others come first",
    "Resources": "waits for free nodes",
    "BeginTime": "requeued, starts soon",
    "Dependency": "waits for another job",
    NEVER: "never starts: the job it waits for did not end well",
    "JobHeldUser": "held by you; scontrol release lets it go",
    "JobHeldAdmin": "held by an administrator; ask why",
    "JobLaunchFailure": "held: a node could not start it; scontrol release lets it go",
    "launch_failed_requeued_held": "held: a node could not start it; scontrol release lets it go",
    "user_env_retrieval_failed_requeued_held": "held: a node could not read your environment; scontrol release lets "
    "it go",
    "job_requeued_in_held_state": "held: requeued so, by you or an administrator; scontrol release lets it go",
    "job_requeued_in_special_exit_state": "held: requeued so after its exit code; scontrol release lets it go",
    "JobHoldMaxRequeue": "held: requeued too often for this site; scontrol release lets it go",
    "NodeDown": "its node is down",
    "NodeFailure": "its node failed",
    "Cleaning": "its last attempt is being cleared away",
    "Prolog": "the node gets ready",
    "PartitionDown": "the partition is closed",
    "PartitionInactive": "the partition is closed",
    "PartitionTimeLimit": "its time limit is above the partition's",
    "PartitionNodeLimit": "wants more nodes than the partition gives",
    "PartitionConfig": "wants what the partition does not give",
    "ReqNodeNotAvail": "nodes that it needs are down, or reserved for maintenance",
    "Reservation": "waits for its reservation",
    "ReservationDeleted": "held: its reservation is gone; scontrol release lets it go",
    "BadConstraints": "no node has what it wants",
    "InvalidAccount": "the account is not valid",
    "InvalidQOS": "the qos is not valid",
    "Licenses": "waits for a licence",
    "JobArrayTaskLimit": "as many of its tasks run as may at once",
    "MaxRequeueReached": "requeued too often for this site; ask the administrator",
    "Reserved": "waits for nodes that are reserved for it",
    "FrontEndDown": "SLURM's front end is down",
    "NonZeroExitCode": "it failed",
    "TimeLimit": "its time was over",
    "OutOfMemory": "it ran out of memory",
    "SystemFailure": "SLURM failed",
    "RaisedSignal": "it was killed by a signal",
}
_LIMIT = re.compile(r"(?P<whose>QOS|Assoc)(?P<scope>Grp|Max)(?P<what>\w*)")
_WHOSE = {"QOS": "qos", "Assoc": "account"}
_ALL_LISTED = re.compile(r"\s*\(.*|,.*", re.DOTALL)
_HELD = re.compile(r"held|(?<!thres)hold", re.IGNORECASE)
_NODE_FAILED = re.compile(r"job.requeued.due.to.failure.of.node.*", re.IGNORECASE)
HELD_AS = {
    "REQUEUE_HOLD": "job_requeued_in_held_state",
    "SPECIAL_EXIT": "job_requeued_in_special_exit_state",
    "RESV_DEL_HOLD": "ReservationDeleted",
}
"""States that are holds by themselves, whatever the reason beside them says."""
EXPEDITING = "EXPEDITING"
"""Since 25.11, of a job with --requeue=expedite whose node failed: it waits for nodes, before all others."""
FIRST = "a node of it failed, and it starts again before all others"


def plainly(reason: str) -> str:
    """SLURM's reason in plain words; what is not known here is shown as SLURM says it. Empty stays empty."""
    word = _ALL_LISTED.sub("", reason).strip()  # "ReqNodeNotAvail, UnavailableNodes:n[1-4]"
    found = PLAIN.get(word) or PLAIN.get(word.replace(" ", "_"))  # squeue writes sentences, scontrol joins their words
    if found:
        return found
    if _NODE_FAILED.fullmatch(word):
        return PLAIN["NodeFailure"]
    if _HELD.search(word):
        return f"held ({word}); scontrol release lets it go"
    if match := _LIMIT.fullmatch(word):
        scope = "each user may have" if "User" in match["what"] or match["scope"] == "Max" else "all may have together"
        return f"as much runs as {scope} under this {_WHOSE[match['whose']]} ({word})"
    return word


MARK = "avsync:"
"""Before the job's folder, in the comment that SLURM keeps with a job."""
OVER = frozenset(
    "BOOT_FAIL CANCELLED COMPLETED DEADLINE FAILED NODE_FAIL OUT_OF_MEMORY PREEMPTED REVOKED TIMEOUT".split()
)
"""States of a job that will do nothing more. Newer versions of SLURM have states that are not known here: they live."""
WAITING = frozenset(
    f"PENDING REQUEUED REQUEUED_CRON REQUEUE_FED REQUEUE_HOLD SPECIAL_EXIT RESV_DEL_HOLD {EXPEDITING}".split()
)
_BETWEEN = "\x1f"  # the unit separator: no name or path holds it
_FIELDS = "FKTrNSPjEk"  # letters of squeue --format: old, and the same in all versions
_FAILED = re.compile(r"after(?:ok|corr):\d+(?:_\S+)?\(failed\)")
_NEEDED = re.compile(r"after(?:ok|corr):(\d+)")
_RANGE = re.compile(r"(\d+)(?:-(\d+)(?::(\d+))?)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueRow:
    """A job, a running task of an array, or all tasks of an array that wait."""

    job: str
    """SLURM's number; of an array the array's."""
    tasks: str
    """Of an array: `7`, or `0-99%8`; else empty."""
    state: str
    reason: str
    """As SLURM says it: Priority, Resources ...; empty where there is none."""
    nodes: str
    start: float | None
    """UNIX seconds at which it began, or is expected to."""
    partition: str
    name: str
    dependency: str
    """`afterok:12(unfulfilled)`; empty where there is none."""
    comment: str

    @property
    def folder(self) -> Path | None:
        """Of the job, when it is one of avsync's."""
        return Path(self.comment.removeprefix(MARK)) if self.comment.startswith(MARK) else None

    @property
    def in_vain(self) -> bool:
        """It waits for a job that did not end well; a hold may be what SLURM names instead."""
        return self.waiting and (self.reason == NEVER or _FAILED.search(self.dependency) is not None)

    @property
    def why(self) -> str:
        """Why it waits, in plain words; empty while SLURM has not looked at it."""
        if self.in_vain:
            return PLAIN[NEVER]
        if self.state == EXPEDITING:
            return f"{FIRST}: {plainly(self.reason)}" if self.reason else FIRST
        held = HELD_AS.get(self.state, "")
        return plainly(held if held and not _HELD.search(plainly(self.reason)) else self.reason)

    @property
    def held(self) -> bool:
        """It does not start, whatever time SLURM gives for it."""
        return self.waiting and _HELD.search(self.why) is not None

    @property
    def needs(self) -> tuple[str, ...]:
        """Jobs that must end well before it may start."""
        return tuple(_NEEDED.findall(self.dependency))

    @property
    def live(self) -> bool:
        return self.state not in OVER

    @property
    def waiting(self) -> bool:
        return self.state in WAITING

    @property
    def count(self) -> int:
        """Tasks that this row stands for."""
        return len(indices(self.tasks)) if self.tasks else 1


def read_queue(users: Collection[str] = ()) -> list[QueueRow]:
    """All jobs of these users, of one's own without any; those that ended in the last minutes, too.

    One question, however many jobs there are. Raises InputError without squeue, QueueError when it fails.
    """
    whose = ["--user", ",".join(sorted(users))] if users else ["--me"]
    mark = f"{secrets.token_hex(8)}{_BETWEEN}"  # a stranger's job may be called what looks like another row
    form = mark + _BETWEEN.join(f"%{letter}" for letter in _FIELDS)
    return read_rows(ask(["squeue", *whose, "--noheader", "--states=all", f"--format={form}"], QUESTION_S), mark)


def read_jobs(jobs: Collection[str], users: Collection[str] = ()) -> list[QueueRow]:
    """These jobs, as the queue of `users` has them; where squeue says nothing, as scontrol tells of each.

    Raises InputError, QueueError when neither answers.
    """
    try:
        return [row for row in read_queue(users) if row.job in jobs]
    except (InputError, QueueError):
        if not jobs or not Scontrol().answers:
            raise
    told = [(job, Scontrol().job(job)) for job in jobs]
    return [_row_of(job, facts) for job, facts in told if facts]


def _row_of(job: str, facts: JobFacts) -> QueueRow:
    return QueueRow(
        job=job,
        tasks="",
        state=facts.state,
        reason=facts.reason,
        nodes=facts.nodes,
        start=None,
        partition="",
        name="",
        dependency="",
        comment="",
    )


def read_rows(text: str, mark: str) -> list[QueueRow]:
    """What squeue printed; `mark`: what each row begins with, which nobody could foresee."""
    parts = (row.partition("\n")[0].split(_BETWEEN) for row in text.split(mark)[1:])
    return [_row(*words) for words in parts if len(words) == len(_FIELDS)]


def _row(
    job: str,
    tasks: str,
    state: str,
    reason: str,
    nodes: str,
    start: str,
    partition: str,
    name: str,
    needs: str,
    comment: str,
) -> QueueRow:
    return QueueRow(
        job=job,
        tasks=known(tasks),
        state=state.strip(),
        reason=known(reason),
        nodes=known(nodes),
        start=moment(start),
        partition=partition,
        name=name,
        dependency=known(needs),
        comment=known(comment),
    )


def indices(tasks: str) -> list[int]:
    """Numbers of an array's tasks, as SLURM writes them: `0-3,7,10-20:2%4`."""
    found = list[int]()
    for first, last, step in _RANGE.findall(tasks.partition("%")[0]):
        found += range(int(first), int(last or first) + 1, int(step or 1))
    return found


def owner_of(path: Path) -> str:
    """The user whose job it is. Raises OSError."""
    uid = path.stat().st_uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # an account that this machine does not know
        return str(uid)


def own_name() -> str:
    """As SLURM knows this user: by number, not by $LOGNAME."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())

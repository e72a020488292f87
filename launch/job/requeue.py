"""The decision table: an attempt has ended, or is about to; was that the end of the job?

Pure: an observation goes in, what to do comes out. What SLURM shows in each case was measured on 22.05 (docs/slurm.md).
Whatever is not clearly a reason to go on is none: requeueing a job that its user has cancelled would resurrect it.
"""

import signal
from dataclasses import dataclass, replace
from enum import Enum, StrEnum

from launch.job.attempts import What
from launch.queue.scontrol import JobFacts
from sharding.base.signals import STOPS
from sharding.base.text import counted


class Do(Enum):
    """What follows."""

    FINISH = "the work is done"
    REQUEUE = "start it again"
    LEAVE = "SLURM has it in hand"
    CANCEL = "a person wants no more of it"
    GIVE_UP = "it fails again and again, or can never be"


class Wish(StrEnum):
    """Why this program has asked the ranks to stop."""

    NONE = ""
    TIME = "time limit"
    HEARTBEAT = "no heartbeat"


@dataclass(frozen=True, kw_only=True, slots=True)
class JobObservation:
    """All that the decision depends on."""

    exit: int | None
    """Of srun; negative: killed by that signal; None: it still runs."""
    fault: str
    """Which task failed on its own account, and how; empty: none, for all that srun tells."""
    wish: Wish
    cancelled: bool
    """`avsync cancel` has left its mark."""
    terminated: bool
    """The batch script got SIGTERM."""
    facts: JobFacts | None
    """None: SLURM cannot be asked here, or gave no answer."""
    restart: int
    """SLURM's count when this attempt began."""
    gained: int
    """Steps in new checkpoints."""
    failures: int
    """Attempts before this one, in a row, that failed and gained nothing."""
    retries: int
    """So many in a row are too many."""
    lingered: bool = False
    """It has waited in vain for SLURM to end the job."""
    out_of_memory: bool = False
    node_failed: bool = False
    unseen: bool = False
    """srun has not seen its tasks end: its 0 says nothing of them."""
    refused: bool = False
    """The work says that it can never be: settings, dataset or number of tasks are wrong."""
    hang: str = ""
    """The work has named a rank that did not move, and has ended it."""
    repeated: bool = False
    """It ended with the same words of its own as the attempt before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What happened, and what to do."""

    what: What
    do: Do
    why: str = ""


def decide(job: JobObservation) -> Decision:
    """Row by row, from what is certain to what is left."""
    if job.exit == 0 and not job.unseen:
        return Decision(what=What.DONE, do=Do.FINISH)
    if job.cancelled:
        return Decision(what=What.CANCELLED, do=Do.CANCEL, why="avsync cancel")
    if job.facts and (decision := _slurm_says(job, job.facts)):
        return decision
    if job.exit == 0 and job.node_failed:
        return Decision(what=What.LOST, do=Do.REQUEUE, why="a node failed")
    if job.wish is Wish.TIME:
        return _again(What.TIME_LIMIT, job, "the time limit was near")
    if job.wish is Wish.HEARTBEAT:
        return _again(What.HUNG, job, "the run did not move any more")
    if job.lingered:
        return _again(What.STOPPED, job, "SIGTERM, and SLURM goes on with the job")
    if job.terminated or (job.facts is None and job.exit in TERMINATED and not job.fault):
        return Decision(what=What.STOPPED, do=Do.LEAVE, why="SIGTERM, and SLURM does not say why")
    if job.hang:
        return _again(What.HUNG, job, job.hang)
    if job.refused and job.gained <= 0:
        return Decision(what=What.REFUSED, do=Do.GIVE_UP, why=job.fault)
    if job.repeated and job.gained <= 0:
        return Decision(what=What.CRASHED, do=Do.GIVE_UP, why=f"{job.fault}; {SAME_WORDS}")
    if job.exit in TERMINATED and not job.fault and job.gained > 0:
        return _again(What.STOPPED, job, "its tasks were asked to stop, and have saved")
    if job.out_of_memory:
        return _again(What.OUT_OF_MEMORY, job, TOO_LITTLE_MEMORY)
    return _again(What.CRASHED, job, job.fault or (f"exit code {job.exit}" if job.exit else NOT_SEEN))


AT_WORK = (What.DONE, What.TIME_LIMIT, What.PREEMPTED, What.HUNG)
"""Ends of a job that was at work, and had no fault of its own to tell of."""


def with_slow_rank(decision: Decision, slow: str) -> Decision:
    """The same, with the rank that the others waited for, if it was told of one: the next attempt need not have it."""
    if not slow or decision.what not in AT_WORK:
        return decision
    return replace(decision, why=f"{decision.why}; {slow}" if decision.why else slow)


TOO_LITTLE_MEMORY = (
    "a process took more memory than the job has: ask for more (--memory, or memory_per_gpu in the profile)"
)
NOT_SEEN = "its tasks were ended by force, and srun has not seen how"
SAME_WORDS = "the attempt before ended with the same words"
TERMINATED = (-signal.SIGTERM, *(128 + number for number in STOPS))
"""Exit codes of ranks that were asked to go, and did."""


def _slurm_says(job: JobObservation, facts: JobFacts) -> Decision | None:
    """Where SLURM itself gives the reason."""
    if job.node_failed and facts.restarts > job.restart:
        return Decision(what=What.LOST, do=Do.LEAVE, why="a node failed")
    if facts.restarts > job.restart:
        return Decision(what=What.PREEMPTED, do=Do.LEAVE, why="for another job, or by hand")
    if facts.state in ("NODE_FAIL", "BOOT_FAIL") or facts.reason.startswith("Node"):
        return Decision(what=What.LOST, do=Do.REQUEUE, why="a node failed")
    if facts.preempted:
        return Decision(what=What.PREEMPTED, do=Do.REQUEUE, why="for another job")
    if facts.reason == "TimeLimit" or facts.state in ("TIMEOUT", "DEADLINE"):
        return _again(What.TIME_LIMIT, job, "the time limit was reached")
    if facts.state == "CANCELLED" or (facts.state == "COMPLETING" and not facts.reason):
        # SLURM is ending it, and neither for its own sake nor another job's
        return Decision(what=What.CANCELLED, do=Do.CANCEL, why="scancel")
    return None


def is_clear(facts: JobFacts, restart: int) -> bool:
    """SLURM gives a reason. A cancelled job never does: who sees none should look again before believing it."""
    because = facts.reason == "TimeLimit" or facts.reason.startswith("Node")
    return facts.restarts > restart or facts.preempted or because or facts.state in SURE


SURE = ("NODE_FAIL", "BOOT_FAIL", "TIMEOUT", "DEADLINE", "CANCELLED")


def _again(what: What, job: JobObservation, why: str) -> Decision:
    """Once more, unless it leads nowhere."""
    failures = 0 if job.gained > 0 else job.failures + 1
    if failures < job.retries:
        return Decision(what=what, do=Do.REQUEUE, why=why)
    in_vain = f"{counted(failures, 'attempt')} in a row saved nothing new"
    return Decision(what=what, do=Do.GIVE_UP, why=f"{why}; {in_vain}")

"""scontrol as a job uses it: what SLURM knows of the job, and the wish to be requeued."""

import re
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from launch.queue.ask import QueueError, ask, for_shell, is_job, is_partition, odd_nodes
from sharding.base.text import plain
from sharding.errors import InputError

# What SLURM knows of a job, as `scontrol -o show job` tells it.

_FIELD = re.compile(r"(?:^|\s)([A-Za-z][\w:/]*)=")
NEVER = ("None", "Unknown", "N/A", "n/a", "(null)", "")
"""What SLURM writes where there is nothing to tell."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobFacts:
    """A job, or one task of an array."""

    state: str
    """RUNNING, PENDING, COMPLETING, CANCELLED ...; the first word of it."""
    reason: str
    """TimeLimit, Resources, Priority ...; empty where there is none."""
    restarts: int
    preempted: bool
    """Its time to go was set for another job's sake."""
    end_time: float | None
    """UNIX seconds at which its limit is over."""
    nodes: str
    exit_code: str
    requeue: bool
    """It may be requeued."""


def read_facts(line: str) -> JobFacts | None:
    """The facts of the first line; None when it tells of no job, as while SLURM is busy with it."""
    fields = fields_of(line.partition("\n")[0])
    if not fields.get("JobState"):
        return None
    return JobFacts(
        state=fields["JobState"].split()[0],
        reason=known(fields.get("Reason", "")),
        restarts=int(restarts) if (restarts := fields.get("Restarts", "")).isdecimal() else 0,
        preempted=bool(known(fields.get("PreemptTime", ""))),
        end_time=moment(fields.get("EndTime", "")),
        nodes=known(fields.get("NodeList", "")),
        exit_code=fields.get("ExitCode", ""),
        requeue=fields.get("Requeue", "1") == "1",
    )


def fields_of(line: str) -> dict[str, str]:
    """`Key=value` pairs; a value may hold spaces."""
    marks = list(_FIELD.finditer(line))
    ends = [*(mark.start() for mark in marks), len(line)][1:]
    return {mark.group(1): line[mark.end() : end].strip() for mark, end in zip(marks, ends, strict=True)}


def known(value: str) -> str:
    """Empty where SLURM has nothing to tell."""
    return "" if value.strip() in NEVER else value.strip()


def moment(value: str) -> float | None:
    """UNIX seconds; None where it is no time. SLURM writes local time without a zone."""
    try:
        return datetime.fromisoformat(value).timestamp()
    except (ValueError, OverflowError):
        return None


PATIENCE_S, LOOK_PATIENCE_S = 60.0, 15.0
"""For a wish, and for a question: who waits for an answer does not see what else happens."""
AGAIN_S = 0.4
"""Between looks: slurmctld tells a job's processes before it has written down why."""


@dataclass(frozen=True, slots=True)
class Scontrol:
    """The command, as this site's nodes reach it; empty: they do not."""

    words: tuple[str, ...] = ("scontrol",)

    @property
    def works(self) -> bool:
        return bool(self.words) and shutil.which(self.words[0]) is not None

    @property
    def answers(self) -> bool:
        """It can be asked about jobs here."""
        try:
            self._ask("ping", patience_s=LOOK_PATIENCE_S)
            self._ask("-o", "show", "job", patience_s=LOOK_PATIENCE_S)
        except (QueueError, InputError):
            return False
        return True

    def job(self, job: str) -> JobFacts | None:
        """None when SLURM does not answer, or not clearly."""
        try:
            return (
                read_facts(self._ask("-o", "show", "job", _number(job), patience_s=LOOK_PATIENCE_S))
                if self.works
                else None
            )
        except (QueueError, InputError):
            return None

    def job_once(self, job: str, clear: Callable[[JobFacts], bool], looks: int = 4) -> JobFacts | None:
        """The facts as soon as they are `clear`; after `looks` looks as they are."""
        facts = None
        for look in range(looks if self.works else 0):
            if look:
                time.sleep(AGAIN_S)
            facts = self.job(job) or facts
            if facts and clear(facts):
                break
        return facts

    def nodes_of(self, partition: str) -> int:
        """How many it has; 0 where that cannot be known."""
        if not is_partition(partition):
            return 0
        try:
            count = fields_of(self._ask("-o", "show", "partition", partition)).get("TotalNodes", "0")
        except (QueueError, InputError):
            return 0
        return int(count) if count.isdecimal() else 0

    def requeue(self, job: str) -> None:
        """Ask for it. Raises QueueError when SLURM refuses, InputError where there is no scontrol."""
        self._ask("requeue", _number(job))

    def forbid_requeue(self, job: str) -> None:
        """SLURM shall not start it again by itself. Raises QueueError, InputError."""
        self._ask("update", f"JobId={_number(job)}", "Requeue=0")

    def exclude(self, job: str, nodes: Sequence[str]) -> None:
        """A pending job shall not start on these nodes. Raises QueueError, InputError."""
        if odd := odd_nodes(nodes):
            raise QueueError(odd)
        self._ask("update", f"JobId={_number(job)}", f"ExcNodeList={','.join(nodes)}")

    def _ask(self, *words: str, patience_s: float = PATIENCE_S) -> str:
        return ask(for_shell(self.words, words), patience_s)


def _number(job: str) -> str:
    """Raises QueueError for what is no job's number: as a word it may be an option."""
    if not is_job(job):
        raise QueueError(f"{plain(job)} is no number of a job")
    return job

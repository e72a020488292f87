"""What SLURM knows of a job, as `scontrol -o show job` tells it."""

import re
from dataclasses import dataclass
from datetime import datetime

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
    told = fields_of(line.partition("\n")[0])
    if not told.get("JobState"):
        return None
    return JobFacts(
        state=told["JobState"].split()[0],
        reason=known(told.get("Reason", "")),
        restarts=int(restarts) if (restarts := told.get("Restarts", "")).isdecimal() else 0,
        preempted=bool(known(told.get("PreemptTime", ""))),
        end_time=moment(told.get("EndTime", "")),
        nodes=known(told.get("NodeList", "")),
        exit_code=told.get("ExitCode", ""),
        requeue=told.get("Requeue", "1") == "1",
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

"""What happened to the jobs, read from the controller's log.

The log says it at once, to the millisecond, for every attempt. sacct lags by seconds, needs accounting, and knows no
causes; asking for the state again and again misses what is short.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterEvent:
    """One thing that SLURM did to one job."""

    time: str
    """When, as the log has it: ISO, local time, milliseconds."""
    job: str
    """The job's id, N or N_INDEX."""
    what: str
    """A word of WORDS."""
    detail: str
    """The line of the log."""


WORDS = {
    "submitted": r"_slurm_rpc_submit_batch_job: JobId=([\d_]+)",
    "started": r"(?:Started|Allocate) JobId=([\d_]+)",
    "given grace": r"setting \d+ sec preemption grace time for JobId=([\d_]+)",
    "preempted": r"preempted JobId=([\d_]+)",
    "cancelled": r"REQUEST_KILL_JOB JobId=([\d_]+)",
    "timed out": r"Time limit exhausted for JobId=([\d_]+)",
    "lost its node": r"requeue job JobId=([\d_]+) due to failure of node",
    "requeued": r"Requeuing JobId=([\d_]+)",
    "ended": r"_job_complete: JobId=([\d_]+) done",
}
"""What happened -> how slurmctld says it, in 22.05; the group is the job."""
LINE = re.compile(r"\[(\S+)\] (.*)")


def read_events(log: str) -> list[ClusterEvent]:
    """The events in the text of slurmctld.log."""
    found = list[ClusterEvent]()
    for time, text in LINE.findall(log):
        for what, pattern in WORDS.items():
            if match := re.search(pattern, text):
                found.append(ClusterEvent(time=time, job=match[1], what=what, detail=text))
                break
    return found

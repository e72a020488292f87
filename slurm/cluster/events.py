"""What happened to the jobs, read from the controller's log."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
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
    "submitted": r"_slurm_rpc_submit_batch_job: JobId=(\S+)",
    "started": r"(?:Started|Allocate) JobId=(\S+)",
    "preempted": r"(?:preempted|Preempting|preempting) JobId=(\S+)",
    "cancelled": r"REQUEST_KILL_JOB JobId=(\S+)",
    "timed out": r"Time limit exhausted for JobId=(\S+)",
    "lost its node": r"JobId=(\S+) .*failed node",
    "requeued": r"Requeuing JobId=(\S+)",
    "ended": r"_job_complete: JobId=(\S+) done",
}
"""What happened -> how slurmctld says it, in 22.05; the group is the job."""
LINE = re.compile(r"\[(\S+)\] (.*)")


def read_events(log: str) -> list[Event]:
    """The events in the text of slurmctld.log."""
    found = list[Event]()
    for time, text in LINE.findall(log):
        for what, pattern in WORDS.items():
            if match := re.search(pattern, text):
                found.append(Event(time=time, job=match[1], what=what, detail=text))
                break
    return found

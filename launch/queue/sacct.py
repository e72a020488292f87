"""SLURM's book-keeping: how jobs ended that the queue has forgotten. Many sites keep no books: that is no error."""

from collections.abc import Iterable
from dataclasses import dataclass

from launch.queue.ask import QueueError, ask
from sharding.errors import InputError

_BETWEEN = "\x1f"
_FIELDS = ("JobID", "State", "ExitCode", "NodeList", "Start", "End")
PATIENCE_S = 20.0
"""A data base that takes longer is asked another time: nobody waits for a footnote."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BookRow:
    """One time that SLURM started a job; a requeued job has several."""

    job: str
    """`12`; of an array's task `12_3`."""
    state: str
    """COMPLETED, FAILED, CANCELLED by 1000 ..."""
    exit_code: str
    """`code:signal`."""
    nodes: str
    start: str
    """Local time, as SLURM writes it."""
    end: str


def read_books(jobs: Iterable[str]) -> list[BookRow] | None:
    """All that is known of these jobs, oldest first; None where there are no books, or they do not answer.

    An empty list says nothing: entries come seconds after the job.
    """
    ids = ",".join(sorted(set(jobs)))
    if not ids:
        return []
    argv = ["sacct", "--duplicates", "--allocations", "--noheader", "--parsable2", f"--delimiter={_BETWEEN}"]
    try:
        text = ask([*argv, f"--jobs={ids}", f"--format={','.join(_FIELDS)}"], timeout_s=PATIENCE_S)
    except (InputError, QueueError):  # not installed, "accounting storage is disabled", data base down
        return None
    rows = (line.split(_BETWEEN) for line in text.splitlines())
    return [
        BookRow(job=job, state=state, exit_code=code, nodes=nodes, start=start, end=end)
        for job, state, code, nodes, start, end in (row for row in rows if len(row) == len(_FIELDS))
    ]

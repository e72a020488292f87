"""What a job is, as json in its folder: read inside the job and by everybody who asks about it. Never a pickle."""

from dataclasses import dataclass
from enum import StrEnum

from launch.queue.ask import is_job
from launch.site.profile import ClusterProfile, of_before
from sharding.base.text import plain
from sharding.errors import InputError

VERSION = 2
"""1: two numbers of a time were hours and minutes."""
SCRATCH_FLAG, SCRATCH_SIZE_FLAG = "--runtime.scratch", "--runtime.scratch-gb"
SHARE, SCRATCH = "{share}", "{scratch}"
"""Words of `argv` that are filled in inside the job: number of the array's task, folder on the node's disk."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Resources:
    """What one job asks SLURM for; 0 and empty: the site's default."""

    partition: str
    account: str
    qos: str
    constraint: str
    exclude: tuple[str, ...]
    nodes: int
    tasks_per_node: int
    """One for each GPU."""
    gpus_per_node: int
    cpus_per_task: int
    memory_mb: int
    """MiB of each node."""
    time_s: int


@dataclass(frozen=True, kw_only=True, slots=True)
class JobRecord:
    """job.json."""

    version: int
    kind: str
    """pack, train, evaluate ..."""
    name: str
    """In squeue."""
    words: tuple[str, ...]
    """The command as typed, without `avsync`; paths absolute."""
    argv: tuple[str, ...]
    """What each task executes; SHARE and SCRATCH are filled in."""
    run: str
    """Folder of the run that it trains: progress.json and checkpoints tell how it moves. Empty for other kinds."""
    dataset: str
    """Folder of the dataset that it packs; empty for other kinds."""
    profile: ClusterProfile
    resources: Resources
    array: int
    """Tasks of the array; 0: it is none."""
    commit: str
    """Of the checkout that the snapshot was taken from; + where it was changed; empty where it is none."""
    directory: str
    """Where it was submitted, and where it works."""
    submitted: float
    """UNIX seconds."""
    chain: tuple[str, ...] = ()
    """Folders of the jobs that were submitted in one line, in order, this one's among them; each began only when those
    before it ended well. Empty: it is alone, or of an earlier version."""

    def __post_init__(self) -> None:
        if self.version < VERSION:
            object.__setattr__(self, "profile", of_before(self.profile))
            object.__setattr__(self, "version", VERSION)


@dataclass(frozen=True, kw_only=True, slots=True)
class Queued:
    """queued.json."""

    ids: tuple[str, ...]
    """SLURM's job numbers: of an array in several pieces, or of successors, each; in order."""
    depends_on: tuple[str, ...] = ()
    """Jobs that must end well before."""

    def __post_init__(self) -> None:
        if odd := [one for one in (*self.ids, *self.depends_on) if not is_job(one)]:
            raise InputError(f"{plain(repr(odd[0]))} is no number of a job")


class End(StrEnum):
    """How a job ended for good."""

    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """outcome.json: it is over, nothing more will be tried."""

    end: End
    reason: str
    """In plain words, with what to do."""
    at: float
    """UNIX seconds."""
    log_tail: str = ""
    """Last lines of the log, of a failure."""

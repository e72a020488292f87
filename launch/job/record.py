"""What a job is, as json in its folder: read inside the job and by everybody who asks about it. Never a pickle."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar

from msgspec import Meta

from launch.queue.ask import JOB
from launch.site.amounts import NodeCounts
from launch.site.profile import ClusterProfile, of_before
from sharding.base.files import LARGEST_RECORD, Count, Moment, PathText

VERSION = 2
"""1: two numbers of a time were hours and minutes."""
MOST_TASKS = 4_000_001
"""Of an array: SLURM knows no larger one (MaxArraySize)."""
MOST_JOBS, MOST_CHAINED, MOST_WORDS = 10_000, 500, 100_000
"""Numbers that a job has in SLURM, jobs of a chain, words of a command: more than anybody ever typed."""
JobId = Annotated[str, Meta(pattern=rf"\A(?:{JOB})\Z")]
"""Goes to squeue and scancel: nothing that they, or a shell on another machine, could take for anything else."""
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
    nodes: Count
    tasks_per_node: Count
    """One for each GPU."""
    gpus_per_node: Count
    cpus_per_task: Count
    memory_mb: Count
    """MiB of each node."""
    time_s: Count
    most_nodes: Count = 0
    """It starts on any number of nodes from `nodes` to this; 0: on so many, as all jobs of earlier versions."""

    def __post_init__(self) -> None:
        if 0 < self.most_nodes < self.nodes:
            raise ValueError(f"it wants at least {self.nodes} nodes and at most {self.most_nodes}")

    @property
    def node_counts(self) -> NodeCounts:
        return NodeCounts(self.nodes, self.most_nodes or self.nodes)


@dataclass(frozen=True, kw_only=True, slots=True)
class JobRecord:
    """job.json. What it says may be anybody's, and is asked of the disk and of SLURM: it is checked here."""

    LARGEST_FILE: ClassVar[int] = 2**24

    version: int
    kind: str
    """pack, train, evaluate ..."""
    name: str
    """In squeue."""
    words: Annotated[tuple[str, ...], Meta(max_length=MOST_WORDS)]
    """The command as typed, without `avsync`; paths absolute."""
    argv: Annotated[tuple[str, ...], Meta(max_length=MOST_WORDS)]
    """What each task executes; SHARE and SCRATCH are filled in."""
    run: PathText
    """Folder of the run that it trains: progress.json and checkpoints tell how it moves. Empty for other kinds."""
    dataset: PathText
    """Folder of the dataset that it packs, or of the answers that it curates by; empty for other kinds."""
    profile: ClusterProfile
    resources: Resources
    array: Annotated[int, Meta(ge=0, le=MOST_TASKS)]
    """Tasks of the array; 0: it is none."""
    commit: str
    """Of the checkout that the snapshot was taken from; + where it was changed; empty where it is none."""
    directory: PathText
    """Where it was submitted, and where it works."""
    submitted: Moment
    """UNIX seconds."""
    chain: Annotated[tuple[PathText, ...], Meta(max_length=MOST_CHAINED)] = ()
    """Folders of the jobs that were submitted in one line, in order, this one's among them; each began only when those
    before it ended well. Empty: it is alone, or of an earlier version."""

    def __post_init__(self) -> None:
        if self.version < VERSION:
            object.__setattr__(self, "profile", of_before(self.profile))
            object.__setattr__(self, "version", VERSION)
        if any("\0" in word for word in (*self.words, *self.argv)):
            raise ValueError("a word of its command holds a NUL, which no command can")
        successors, tasks = self.profile.successors, self.profile.pack.array
        if not 0 <= successors <= MOST_JOBS or not 0 <= tasks <= MOST_TASKS:
            raise ValueError(f"its profile wants {successors} successors, and {tasks} tasks of an array")


@dataclass(frozen=True, kw_only=True, slots=True)
class Queued:
    """queued.json."""

    LARGEST_FILE: ClassVar[int] = LARGEST_RECORD

    ids: Annotated[tuple[JobId, ...], Meta(max_length=MOST_JOBS)]
    """SLURM's job numbers: of an array in several pieces, or of successors, each; in order."""
    depends_on: Annotated[tuple[JobId, ...], Meta(max_length=MOST_JOBS)] = ()
    """Jobs that must end well before."""


class End(StrEnum):
    """How a job ended for good."""

    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """outcome.json: it is over, nothing more will be tried."""

    LARGEST_FILE: ClassVar[int] = LARGEST_RECORD

    end: End
    reason: str
    """In plain words, with what to do."""
    at: Moment
    """UNIX seconds."""
    log_tail: str = ""
    """Last lines of the log, of a failure."""

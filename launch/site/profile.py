"""ClusterProfile: all that avsync must know of a cluster, as a TOML file of slurm/profiles/ or of a user's own.

Adding a site needs a file, no code. The line under a field is its explanation in docs and in `avsync doctor`.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

from launch.site.amounts import memory_mb, node_counts, seconds, size, time_limit, with_seconds
from sharding.errors import InputError

Occasion = Literal["done", "failed", "cancelled", "requeued", "warning"]
Requeue = Literal["plain", "expedite"]


@dataclass(frozen=True, kw_only=True, slots=True)
class JobOptions:
    """What one kind of job wants other than the profile at large; what is left out is as above."""

    partition: str | None = None
    """Partition for this kind of job."""
    account: str | None = None
    """Who pays for it."""
    qos: str | None = None
    """Its quality of service."""
    constraint: str | None = None
    """Features that its nodes must have."""
    time: str | None = None
    """Time limit of a job, as of the profile; it is requeued at the end as long as there is work."""
    nodes: int | str = 1
    """Nodes of a job; of train only. "2-4": it starts on as many of these as are free, each time that it starts."""
    gpus_per_node: int | None = None
    """Each GPU gets a task of its own."""
    tasks_per_node: int | None = None
    """Without GPUs: processes that train on a node."""
    cpus_per_task: int | None = None
    """Without GPUs, or for packing."""
    memory: str | None = None
    """Of a node, as SLURM writes it: "64G"."""
    array: int = 32
    """Of pack: most tasks of the job array."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Efficiency:
    """What the site does to jobs that leave their GPUs idle."""

    gpu_below: float = 0.0
    """Share of time, from 0, below 1, below which a job is killed; 0: nobody looks."""
    averaged_over: str = "1 h"
    """Time over which the site averages."""

    def __post_init__(self) -> None:
        if not 0 <= self.gpu_below < 1:
            raise InputError(f"efficiency.gpu_below = {self.gpu_below} must be a share: from 0, below 1")
        if self.averaged_over_s < 1:
            raise InputError(f'efficiency.averaged_over = "{self.averaged_over}" must be above 0')

    @property
    def averaged_over_s(self) -> int:
        return seconds(self.averaged_over, "efficiency.averaged_over")


@dataclass(frozen=True, kw_only=True, slots=True)
class Notify:
    """Who hears of a job's end. SLURM's own mails are often switched off."""

    webhook: str = ""
    """URL that gets a JSON message by POST."""
    command: str = ""
    """Shell command that gets the message on its standard input."""
    on: tuple[Occasion, ...] = ("done", "failed", "warning")
    """Of what to tell."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterProfile:
    """A site's habits."""

    name: str = ""
    """Of the file, without .toml; set when it is read."""
    partition: str = ""
    """Partition that jobs go to; empty: the site's default. So with the next three."""
    account: str = ""
    """Who pays."""
    qos: str = ""
    """Quality of service."""
    constraint: str = ""
    """Features that nodes must have, as a kind of GPU."""
    exclude: tuple[str, ...] = ()
    """Nodes not to use."""
    gpus_per_node: int = 0
    """GPUs that a job takes of each node; each gets a task of its own."""
    cpus_per_gpu: int = 8
    """CPU cores for each task: of a GPU, or of a job without one."""
    memory_per_gpu: str = ""
    """Of the node's memory, for each GPU, as "28G"; empty: the site's default."""
    time: str = "24 h"
    """Time limit of a job: "90 min", "24 h", "2 d", or as SLURM writes it: "90", "90:00", "12:00:00", "2-0"."""
    signal_lead: str = "5 min"
    """So long before the time limit a run saves and is requeued: the time a checkpoint takes, and a minute, since SLURM
    looks at its clock twice a minute."""
    setup: tuple[str, ...] = ()
    """Lines of bash before the work, as `module load cuda`."""
    environment: dict[str, str] = field(default_factory=dict[str, str])
    """Variables for the work, as NCCL_SOCKET_IFNAME. $VARIABLES of the job are filled in, $$ is a dollar; with one that
    is not set on the node, the whole line is left out, and the log says so."""
    sbatch: dict[str, str] = field(default_factory=dict[str, str])
    """More options of sbatch, without their dashes."""
    srun: tuple[str, ...] = ()
    """More options of srun, as they are typed."""
    scratch: str = ""
    """Folder on the nodes' own disk for copies of shards; $VARIABLES of the job are filled in there. Where one is not
    set, nothing is copied: shards are read from the dataset, and the log says so."""
    scratch_size: str = ""
    """What all copies there may take; empty: what the disk gives."""
    scontrol: tuple[str, ...] = ("scontrol",)
    """How a job reaches scontrol: on nodes that have none, ("ssh", "login1", "scontrol"); empty: not at all."""
    successors: int = 0
    """Where jobs cannot requeue themselves: so many jobs wait in line, each takes up where the last one ended."""
    requeue: Requeue = "plain"
    """How sbatch is asked to requeue: "expedite", where SLURM 25.11 or newer takes it (`avsync doctor` tells): without
    the wait that others have, and after a node's failure before all other jobs."""
    retries: int = 3
    """Attempts in a row that may fail without a new checkpoint, before the run is given up."""
    heartbeat: str = "30 min"
    """A run that does not move for so long is ended and requeued; "0 s": never."""
    exclude_after: int = 2
    """Failures on a node after which the run avoids it; 0: never."""
    efficiency: Efficiency = field(default_factory=Efficiency)
    """What the site does to jobs that leave their GPUs idle."""
    notify: Notify = field(default_factory=Notify)
    """Who hears of a job's end."""
    pack: JobOptions = field(default_factory=JobOptions)
    train: JobOptions = field(default_factory=JobOptions)
    evaluate: JobOptions = field(default_factory=JobOptions)

    @property
    def time_s(self) -> int:
        return time_limit(self.time, "time")

    @property
    def signal_lead_s(self) -> int:
        return seconds(self.signal_lead, "signal_lead")

    @property
    def heartbeat_s(self) -> int:
        """0: never."""
        return seconds(self.heartbeat, "heartbeat")


def check_profile(profile: ClusterProfile) -> None:
    """Raises InputError for a setting that cannot be. Asked of files: what jobs keep of a profile was asked before."""
    for name in ("signal_lead", "heartbeat"):
        seconds(getattr(profile, name), name)
    if profile.signal_lead_s >= profile.time_s:
        raise InputError(f'signal_lead = "{profile.signal_lead}" must be shorter than time = "{profile.time}"')
    if profile.memory_per_gpu:
        memory_mb(profile.memory_per_gpu, "memory_per_gpu")
    if profile.scratch:
        check_full(profile.scratch, f'scratch = "{profile.scratch}"')
    if profile.scratch_size:
        size(profile.scratch_size, "scratch_size")
    counts = ("gpus_per_node", "successors", "exclude_after")
    if wrong := [name for name in counts if getattr(profile, name) < 0] + ["retries"] * (profile.retries < 1):
        raise InputError(f"{wrong[0]} = {getattr(profile, wrong[0])} is too low")
    for kind, options in (("pack", profile.pack), ("train", profile.train), ("evaluate", profile.evaluate)):
        if options.time:
            time_limit(options.time, f"{kind}.time")
        if options.memory:
            memory_mb(options.memory, f"{kind}.memory")
        node_counts(options.nodes, f"{kind}.nodes =")


def check_full(path: str, named: str) -> None:
    """Raises InputError for a folder on the nodes that would lie in whatever folder a job was submitted from."""
    if not path.startswith(("/", "~", "$")) or path.startswith("$$"):
        raise InputError(
            f"{named} is no full path: it would lie in the folder that the job is submitted from, on the disk that it "
            'is there to spare; write it like "/scratch/$USER" or "$SLURM_TMPDIR/avsync"'
        )


def of_before(profile: ClusterProfile) -> ClusterProfile:
    """A profile that a job has kept from when two numbers of a time were hours and minutes: they mean that still."""

    def kept(options: JobOptions) -> JobOptions:
        return replace(options, time=with_seconds(options.time)) if options.time else options

    return replace(
        profile,
        time=with_seconds(profile.time),
        signal_lead=with_seconds(profile.signal_lead),
        heartbeat=with_seconds(profile.heartbeat),
        efficiency=replace(profile.efficiency, averaged_over=with_seconds(profile.efficiency.averaged_over)),
        pack=kept(profile.pack),
        train=kept(profile.train),
        evaluate=kept(profile.evaluate),
    )

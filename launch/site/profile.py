"""ClusterProfile: all that avsync must know of a cluster, as a TOML file of slurm/profiles/ or of a user's own.

Adding a site needs a file, no code. The line under a field is its explanation in docs and in `avsync doctor`.
"""

import re
from dataclasses import dataclass, field
from typing import Literal

from sharding.errors import InputError

# Durations and sizes as people write them: "90 min", "1 h 30 min", "12:00:00", "64 GB".

SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86_400}
BYTES = {"MB": 10**6, "GB": 10**9, "TB": 10**12, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_AMOUNTS = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)")
_CLOCK = re.compile(r"(?:(\d+)-)?(\d+):(\d\d)(?::(\d\d))?")


def seconds(text: str, name: str) -> int:
    """A duration; `name` says in the error which setting it was.

    Also SLURM's own forms: [days-]hours:minutes[:seconds]. Raises InputError.
    """
    if clock := _CLOCK.fullmatch(text.strip()):
        days, hours, minutes, rest = (int(part or 0) for part in clock.groups())
        return days * 86_400 + hours * 3600 + minutes * 60 + rest
    return _amount(text, SECONDS, f'{name} = "{text}" is no duration; write it like "90 min", "1 h 30 min" or "2 d"')


def size(text: str, name: str) -> int:
    """Bytes. Raises InputError."""
    return _amount(text, BYTES, f'{name} = "{text}" is no size; write it like "64 GB"')


def _amount(text: str, units: dict[str, int], problem: str) -> int:
    found = _AMOUNTS.findall(text)
    if not found or _AMOUNTS.sub("", text).strip() or any(unit not in units for _, unit in found):
        raise InputError(problem)
    return round(sum(float(number) * units[unit] for number, unit in found))


def as_clock(number: int) -> str:
    """Seconds in SLURM's form, D-HH:MM:SS."""
    minutes, rest = divmod(number, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days}-{hours:02}:{minutes:02}:{rest:02}"


Occasion = Literal["done", "failed", "cancelled", "requeued", "warning"]


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
    """Time limit of a job; it is requeued at the end as long as there is work."""
    nodes: int = 1
    """Nodes of a job; of train only."""
    gpus_per_node: int | None = None
    """Each GPU gets a task of its own."""
    tasks_per_node: int | None = None
    """Without GPUs: processes that train on a node."""
    cpus_per_task: int | None = None
    """Without GPUs, or for packing."""
    memory: str | None = None
    """Of a node."""
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
    """Of the node's memory, for each GPU; empty: the site's default."""
    time: str = "24 h"
    """Time limit of a job."""
    signal_lead: str = "5 min"
    """So long before the time limit a run saves and is requeued: the time a checkpoint takes, and a minute, since SLURM
    looks at its clock twice a minute."""
    setup: tuple[str, ...] = ()
    """Lines of bash before the work, as `module load cuda`."""
    environment: dict[str, str] = field(default_factory=dict[str, str])
    """Variables for the work, as NCCL_SOCKET_IFNAME."""
    sbatch: dict[str, str] = field(default_factory=dict[str, str])
    """More options of sbatch, without their dashes."""
    srun: tuple[str, ...] = ()
    """More options of srun, as they are typed."""
    scratch: str = ""
    """Folder on the nodes' own disk for copies of shards; $VARIABLES of the job are filled in there."""
    scratch_size: str = ""
    """What all copies there may take; empty: what the disk gives."""
    scontrol: tuple[str, ...] = ("scontrol",)
    """How a job reaches scontrol: on nodes that have none, ("ssh", "login1", "scontrol"); empty: not at all."""
    successors: int = 0
    """Where jobs cannot requeue themselves: so many jobs wait in line, each takes up where the last one ended."""
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

    def __post_init__(self) -> None:
        for name in ("time", "signal_lead", "heartbeat"):
            seconds(getattr(self, name), name)
        if self.signal_lead_s >= self.time_s:
            raise InputError(f'signal_lead = "{self.signal_lead}" must be shorter than time = "{self.time}"')
        for name in ("memory_per_gpu", "scratch_size"):
            if getattr(self, name):
                size(getattr(self, name), name)
        counts = ("gpus_per_node", "successors", "exclude_after")
        if wrong := [name for name in counts if getattr(self, name) < 0] + ["retries"] * (self.retries < 1):
            raise InputError(f"{wrong[0]} = {getattr(self, wrong[0])} is too low")

    @property
    def time_s(self) -> int:
        return seconds(self.time, "time")

    @property
    def signal_lead_s(self) -> int:
        return seconds(self.signal_lead, "signal_lead")

    @property
    def heartbeat_s(self) -> int:
        """0: never."""
        return seconds(self.heartbeat, "heartbeat")

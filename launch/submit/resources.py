"""What a job asks SLURM for: what was typed, else what the profile says of this kind of job, else of the cluster."""

import os
from dataclasses import dataclass
from typing import Annotated, Protocol

from tyro.conf import arg

from launch.job.record import Resources
from launch.site.profile import ClusterProfile, JobWishes, seconds, size
from sharding.errors import InputError

MIB = 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class ResourceOptions:
    """What a person wants of one job other than its profile says."""

    nodes: int | None = None
    """Nodes of the job."""
    gpus_per_node: int | None = None
    """GPUs on each; each gets a task of its own."""
    cpus_per_task: int | None = None
    """CPU cores of each task."""
    memory: str = ""
    """Memory of each node, as "64 GB"."""
    time: str = ""
    """Time limit, as "12 h"; the job is requeued at its end as long as there is work."""
    partition: str = ""
    """Partition of the cluster."""
    account: str = ""
    """Who pays."""
    qos: str = ""
    """Quality of service."""
    constraint: str = ""
    """Features that nodes must have."""
    array: int | None = None
    """Of pack: most tasks of the job array."""
    name: Annotated[str, arg(metavar="NAME")] = ""
    """Of the job, in squeue."""
    preflight: bool = False
    """Of train: measure the loader against the network in the first minute, and say what to expect."""

    def __post_init__(self) -> None:
        for flag, number in (("nodes", self.nodes), ("cpus-per-task", self.cpus_per_task), ("array", self.array)):
            if number is not None and number < 1:
                raise InputError(f"--{flag} {number} must be at least 1")
        if self.gpus_per_node is not None and self.gpus_per_node < 0:
            raise InputError(f"--gpus-per-node {self.gpus_per_node} must not be negative")
        if self.memory:
            size(self.memory, "--memory")
        if self.time:
            seconds(self.time, "--time")


class Shape(Protocol):
    """How a kind of job uses a node."""

    @property
    def gpus(self) -> int | None:
        """Of each node; None: all that the profile gives."""
        ...

    @property
    def ranks(self) -> bool:
        """It runs as many processes, on as many nodes, as it gets."""
        ...


def resources(shape: Shape, wishes: JobWishes, profile: ClusterProfile, wanted: ResourceOptions) -> Resources:
    """Raises InputError for what contradicts itself."""
    gpus = _first(wanted.gpus_per_node, wishes.gpus_per_node, profile.gpus_per_node)
    gpus = gpus if shape.gpus is None else min(gpus, shape.gpus)
    nodes = _first(wanted.nodes, wishes.nodes)
    if not shape.ranks and (wanted.nodes or 1) > 1:
        raise InputError(f"--nodes {wanted.nodes}: only train runs on more than one node; leave it out")
    if (wanted.gpus_per_node or 0) > gpus:
        raise InputError(f"--gpus-per-node {wanted.gpus_per_node}: this job uses {gpus or 'none'}; leave it out")
    tasks = (gpus or wishes.tasks_per_node or 1) if shape.ranks else 1
    memory = wanted.memory or wishes.memory or ""
    share = size(profile.memory_per_gpu, "memory_per_gpu") * (gpus or 1) if profile.memory_per_gpu else 0
    return Resources(
        partition=_named(wanted.partition, wishes.partition, profile.partition, "SBATCH_PARTITION"),
        account=_named(wanted.account, wishes.account, profile.account, "SBATCH_ACCOUNT"),
        qos=_named(wanted.qos, wishes.qos, profile.qos, "SBATCH_QOS"),
        constraint=_named(wanted.constraint, wishes.constraint, profile.constraint, "SBATCH_CONSTRAINT"),
        exclude=profile.exclude,
        nodes=nodes if shape.ranks else 1,
        tasks_per_node=tasks,
        gpus_per_node=gpus,
        cpus_per_task=_first(wanted.cpus_per_task, wishes.cpus_per_task, profile.cpus_per_gpu),
        memory_mb=(size(memory, "memory") if memory else share) // MIB,
        time_s=_time_s(wishes, profile, wanted),
    )


def _time_s(wishes: JobWishes, profile: ClusterProfile, wanted: ResourceOptions) -> int:
    time = wanted.time or wishes.time or profile.time
    limit = seconds(time, "time")
    if limit < 60:
        raise InputError(f"a time limit of {time} is too short: SLURM counts in minutes")
    if limit <= profile.signal_lead_s:
        raise InputError(
            f'a time limit of {time} leaves no time to work: signal_lead = "{profile.signal_lead}" is to save; '
            "ask for more time, or lower signal_lead in the profile"
        )
    return limit


def _first(*numbers: int | None) -> int:
    """The first that is given."""
    return next((number for number in numbers if number is not None), 0)


def _named(typed: str, wish: str | None, profile: str, variable: str) -> str:
    """What SBATCH_... of the environment says comes last: sbatch itself would put it before what its script says."""
    return typed or (profile if wish is None else wish) or os.environ.get(variable, "")

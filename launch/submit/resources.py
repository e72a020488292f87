"""What a job asks SLURM for: what was typed, else what the profile says of this kind of job, else of the cluster."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from launch.job.record import Resources
from launch.queue.ask import odd_nodes
from launch.site.amounts import in_words, is_of_two, memory_mb, node_counts, time_limit
from launch.site.profile import ClusterProfile, JobOptions
from sharding.errors import InputError

if TYPE_CHECKING:
    from launch.submit.kinds import JobKind


@dataclass(frozen=True, kw_only=True, slots=True)
class ResourceOptions:
    """What a person wants of one job other than its profile says."""

    nodes: Annotated[str | None, arg(metavar="N|MIN-MAX")] = None
    """Nodes of the job. 2-4: each time that it starts, on as many of these as are free."""
    gpus_per_node: int | None = None
    """GPUs on each; each gets a task of its own."""
    cpus_per_task: int | None = None
    """CPU cores of each task."""
    memory: str = ""
    """Memory of each node, as sbatch reads it: 64G, 2000M; a number alone is in M."""
    time: str = ""
    """Time limit, as "12 h", or as sbatch reads it: minutes, minutes:seconds, hours:minutes:seconds, days-hours. At its
    end the job is requeued as long as there is work."""
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
        if self.nodes is not None:
            node_counts(self.nodes, "--nodes")
        for flag, number in (("cpus-per-task", self.cpus_per_task), ("array", self.array)):
            if number is not None and number < 1:
                raise InputError(f"--{flag} {number} must be at least 1")
        if self.gpus_per_node is not None and self.gpus_per_node < 0:
            raise InputError(f"--gpus-per-node {self.gpus_per_node} must not be negative")
        if self.memory:
            memory_mb(self.memory, "--memory")
        if self.time:
            time_limit(self.time, "--time")


def resources(kind: "JobKind", options: JobOptions, profile: ClusterProfile, wanted: ResourceOptions) -> Resources:
    """Raises InputError for what contradicts itself."""
    gpus = _first(wanted.gpus_per_node, options.gpus_per_node, profile.gpus_per_node)
    gpus = gpus if kind.gpus is None else min(gpus, kind.gpus)
    nodes = node_counts(options.nodes, "nodes =") if wanted.nodes is None else node_counts(wanted.nodes, "--nodes")
    if odd := odd_nodes(profile.exclude):
        raise InputError(f"exclude of profile {profile.name}: {odd}; name nodes as SLURM does: n7, or n[1-3,7]")
    if nodes.is_range and kind.ranks and (fixed := tasks_fixed_by(profile)):
        raise InputError(
            f"nodes {nodes}: how many tasks there are depends on the nodes that the job gets, and {fixed} of profile "
            f"{profile.name} fixes it; take that out, or ask for one number: --nodes {nodes.most}"
        )
    if not kind.ranks and wanted.nodes is not None and nodes.most > 1:
        raise InputError(f"--nodes {wanted.nodes}: only train runs on more than one node; leave it out")
    if (wanted.gpus_per_node or 0) > gpus:
        raise InputError(f"--gpus-per-node {wanted.gpus_per_node}: this job uses {gpus or 'none'}; leave it out")
    tasks = (gpus or options.tasks_per_node or 1) if kind.ranks else 1
    memory = wanted.memory or options.memory or ""
    share = memory_mb(profile.memory_per_gpu, "memory_per_gpu") * (gpus or 1) if profile.memory_per_gpu else 0
    return Resources(
        partition=_named(wanted.partition, options.partition, profile.partition, "SBATCH_PARTITION"),
        account=_named(wanted.account, options.account, profile.account, "SBATCH_ACCOUNT"),
        qos=_named(wanted.qos, options.qos, profile.qos, "SBATCH_QOS"),
        constraint=_named(wanted.constraint, options.constraint, profile.constraint, "SBATCH_CONSTRAINT"),
        exclude=profile.exclude,
        nodes=nodes.least if kind.ranks else 1,
        most_nodes=nodes.most if kind.ranks and nodes.is_range else 0,
        tasks_per_node=tasks,
        gpus_per_node=gpus,
        cpus_per_task=_first(wanted.cpus_per_task, options.cpus_per_task, profile.cpus_per_gpu),
        memory_mb=memory_mb(memory, "memory") if memory else share,
        time_s=_time_s(options, profile, wanted),
    )


OF_TASKS = frozenset("nodes ntasks ntasks-per-node ntasks-per-gpu".split())
"""Options of sbatch by which a profile decides itself how many tasks there are."""


def tasks_fixed_by(profile: ClusterProfile) -> str:
    """What of the profile's own options for sbatch and srun says how many tasks there are; empty: nothing does."""
    if by_sbatch := sorted(OF_TASKS & profile.sbatch.keys()):
        return f"sbatch.{by_sbatch[0]}"
    return next((f"srun {word}" for word in profile.srun if word.startswith(("-n", "-N", "--ntasks", "--nodes"))), "")


def _time_s(options: JobOptions, profile: ClusterProfile, wanted: ResourceOptions) -> int:
    time = _time(options, profile, wanted)
    limit = time_limit(time, "time")
    if limit <= profile.signal_lead_s:
        raise InputError(
            f'a time limit of {time} leaves no time to work: signal_lead = "{profile.signal_lead}" is to save; '
            "ask for more time, or lower signal_lead in the profile"
        )
    return limit


def time_note(options: JobOptions, profile: ClusterProfile, wanted: ResourceOptions) -> str:
    """A word on a time that avsync read in another way before; empty where there is none."""
    time = _time(options, profile, wanted)
    if not is_of_two(time):
        return ""
    name = "--time" if wanted.time else f"time of profile {profile.name}"
    return f"{name} {time} is a time limit of {in_words(time_limit(time, name))}: minutes:seconds, as SLURM reads it"


def _time(options: JobOptions, profile: ClusterProfile, wanted: ResourceOptions) -> str:
    return wanted.time or options.time or profile.time


def _first(*numbers: int | None) -> int:
    """The first that is given."""
    return next((number for number in numbers if number is not None), 0)


def _named(typed: str, wish: str | None, profile: str, variable: str) -> str:
    """What SBATCH_... of the environment says comes last: sbatch itself would put it before what its script says."""
    return typed or (profile if wish is None else wish) or os.environ.get(variable, "")

"""What a cluster looks like: its folder, its nodes, and how it preempts; and the error of all that goes wrong in it."""

from dataclasses import dataclass
from pathlib import Path

from sharding.errors import AvsyncError, InputError

MAX_FOLDER = 80
"""Characters. The sockets in the folder have longer names, and a Unix socket's name ends at 107."""
FAKE_GPUS = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/ptmx", "/dev/tty", "/dev/kmsg")
"""SLURM believes in a GPU that has a device file, and never opens it; a plain file sets no CUDA_VISIBLE_DEVICES."""


class ClusterError(AvsyncError):
    """A daemon did not start, a command failed, or a job did not get where it should; with what was printed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterSettings:
    """Nodes n1, n2, ...; partitions low (the default), grace, and high, which evicts jobs of the other two."""

    folder: Path
    """Where everything lies. Its content is the cluster's own: a start begins afresh."""
    nodes: int = 4
    """How many nodes."""
    cpus_per_node: int = 4
    """CPUs that each node claims to have, whatever the machine has."""
    gpus_per_node: int = 2
    """Fake GPUs of each node: SLURM hands them out, and sets CUDA_VISIBLE_DEVICES."""
    memory_mb: int = 8000
    """Memory that each node claims to have, in MiB."""
    grace_s: int = 0
    """Seconds that a preempted job of the partition low gets between the first SIGTERM and the end."""
    kill_wait_s: int = 5
    """Seconds between SIGTERM and SIGKILL at the end of a job."""
    accounting: bool = True
    """Run slurmdbd and MariaDB, so that sacct answers."""
    max_array_size: int = 1001
    """SLURM's MaxArraySize: the largest index of an array job is one less."""
    over_memory_kill: bool = False
    """Kill a step that takes more memory than it asked for."""
    extra_conf: str = ""
    """More lines for slurm.conf."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", self.folder.absolute())
        if len(str(self.folder)) > MAX_FOLDER:
            raise InputError(
                f"folder={self.folder} has {len(str(self.folder))} characters, and sockets in it may have no more than "
                f"{MAX_FOLDER}; choose a shorter path"
            )
        if not 1 <= self.nodes <= 90:
            raise InputError(f"nodes={self.nodes} must be 1 to 90")
        if not 0 <= self.gpus_per_node <= len(FAKE_GPUS):
            raise InputError(f"gpus_per_node={self.gpus_per_node} must be 0 to {len(FAKE_GPUS)}")
        for name in ("cpus_per_node", "memory_mb", "kill_wait_s", "max_array_size"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}={getattr(self, name)} must be at least 1")
        if self.grace_s < 0:
            raise InputError(f"grace_s={self.grace_s} must not be negative")

    @property
    def node_names(self) -> list[str]:
        return [f"n{number}" for number in range(1, self.nodes + 1)]

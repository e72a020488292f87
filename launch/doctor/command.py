"""`avsync doctor --cluster NAME`: as in launch/commands/data.py, the work is imported when it runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from launch.commands.parse import Parsed
from launch.site.amounts import seconds
from sharding.base.written_paths import IS_PATH
from sharding.errors import InputError


@dataclass(frozen=True, kw_only=True, slots=True)
class Doctor(Parsed):
    """Find out, by four short jobs, what a cluster does to jobs: signals, requeue, network, disks, GPUs, versions.

    Prints what to set in the profile, and what to ask the administrator for. About two minutes, once the jobs start.
    """

    cluster: Annotated[str, arg(metavar="NAME"), IS_PATH] = ""
    """Profile of the cluster: a name, or a file."""
    nodes: int = 2
    """Nodes to look at together; one of them is enough for runs that use no more."""
    quick: bool = False
    """Leave out what happens at the time limit, which takes more than a minute."""
    wait: str = "15 min"
    """So long at most; jobs that still wait then are taken back."""
    folder: Path | None = None
    """Where the probes write, on a disk that the nodes see; default: a new folder here."""
    dry_run: Annotated[bool, arg(name="dry-run")] = False
    """Print the jobs' scripts, and submit nothing."""

    def __post_init__(self) -> None:
        if self.nodes < 1:
            raise InputError(f"--nodes {self.nodes} must be at least 1")
        seconds(self.wait, "--wait")

    def execute(self) -> str:
        from launch.doctor.doctor import dry_run, examine
        from launch.doctor.scripts import Looks
        from launch.site.profiles import find_profile

        profile = find_profile(self.cluster)
        looks = Looks(nodes=self.nodes, limit=not self.quick)
        if self.dry_run:
            return dry_run(profile, self.folder, looks)
        return examine(profile, self.folder, looks, seconds(self.wait, "--wait"))

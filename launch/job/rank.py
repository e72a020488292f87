"""`python -m launch.job.rank JOBFOLDER`: one task of a job, just before it becomes the work itself.

srun starts one for each GPU. What accelerate and torch want to know of the ranks is worked out from what SLURM says,
with care for nodes whose names do not resolve, and for GPUs that SLURM has chosen.
"""

import os
import re
import signal
import socket
import sys
from collections.abc import MutableMapping
from pathlib import Path

from launch.job.attempt import OFFSET
from launch.job.interface import interface_towards
from launch.job.paths import JobPaths
from launch.job.record import SCRATCH, SHARE, JobRecord
from sharding.base.environment import GRANTED
from sharding.base.files import read_json
from sharding.base.signals import TO_SAVE

PORT, MASTER = "AVSYNC_MASTER_PORT", "AVSYNC_MASTER_NAME"
"""Where rank 0 listens, and its node: from the batch script, which runs there."""
_TASKS = re.compile(r"(\d+)(?:\(x(\d+)\))?")


def main(folder: str) -> None:
    """Never returns: the process becomes the work. Raises InputError, FormatError, OSError."""
    signal.pthread_sigmask(signal.SIG_BLOCK, TO_SAVE)  # what is blocked here stays so in all that follows
    record = read_json(JobPaths(Path(folder)).record, JobRecord)
    if cores := os.environ.get("SLURM_CPUS_PER_TASK"):
        os.environ[GRANTED] = cores
        os.environ.setdefault("OMP_NUM_THREADS", cores)
    if int(os.environ["SLURM_NTASKS"]) > 1:
        describe_rank(os.environ)
    sys.stdout.flush()
    os.chdir(record.directory)
    argv = [filled_in(word, record) for word in record.argv]
    os.execvp(argv[0], argv)


def describe_rank(environment: MutableMapping[str, str]) -> None:
    """The variables of torch.distributed's env:// method."""
    local, here = int(environment["SLURM_LOCALID"]), tasks_here(environment)
    gpus = len([gpu for gpu in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if gpu])
    environment.update(
        {
            "RANK": environment["SLURM_PROCID"],
            "WORLD_SIZE": environment["SLURM_NTASKS"],
            # a number among the GPUs that this task sees: some sites show each task its own one only
            "LOCAL_RANK": str(local % gpus if gpus else local),
            "LOCAL_WORLD_SIZE": str(here),
            "MASTER_ADDR": meeting_place(environment),
            "MASTER_PORT": environment[PORT],
        }
    )
    leads = interface_towards(environment.get("SLURM_LAUNCH_NODE_IPADDR", ""), environment["MASTER_ADDR"])
    if leads and "GLOO_SOCKET_IFNAME" not in environment:
        environment["GLOO_SOCKET_IFNAME"] = leads


def tasks_here(environment: MutableMapping[str, str]) -> int:
    """Tasks of this step on this node; SLURM writes `2(x3),1` for three nodes with two and one with one."""
    counts = environment.get("SLURM_STEP_TASKS_PER_NODE") or environment["SLURM_TASKS_PER_NODE"]
    tasks = [int(count) for count, times in _TASKS.findall(counts) for _ in range(int(times or 1))]
    return tasks[int(environment["SLURM_NODEID"])]


def meeting_place(environment: MutableMapping[str, str]) -> str:
    """Rank 0's node: its name where that resolves, else its number; rank 0 lies where srun was started."""
    number = environment.get("SLURM_LAUNCH_NODE_IPADDR", "127.0.0.1")
    name = environment[MASTER]
    try:
        socket.getaddrinfo(name, None)
    except (OSError, UnicodeError):
        return number
    return name or number


def filled_in(word: str, record: JobRecord) -> str:
    """A word of the work, in this task."""
    if word == SHARE:
        return str(int(os.environ[OFFSET]) + int(os.environ["SLURM_ARRAY_TASK_ID"]))
    if word == SCRATCH:
        return os.path.expandvars(record.profile.scratch)
    return word


if __name__ == "__main__":
    main(sys.argv[1])

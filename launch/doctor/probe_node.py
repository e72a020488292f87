"""What a task finds on its node. `probe_node FOLDER [SCRATCH]` runs there, with Python's own library alone.

Each task leaves FOLDER/node-RANK.json. Task 0 waits at FOLDER/meet.json for the others; FOLDER/from-login is the
answer of who started it all.
"""

import os
import resource
import shutil
import socket
import sys
import time
from importlib import metadata
from typing import Any

from launch.doctor.meeting import Meeting, resolved, visit
from launch.doctor.on_node import CANDIDATES, OF_JOB, OF_SHELL, disk, output_of, usable, write

PACKAGES = ("avsync", "torch", "av", "numpy", "accelerate")
CUDA = "import torch; print(torch.cuda.device_count(), torch.version.cuda, torch.cuda.is_available())"


def main(folder: str, scratch: str = "") -> None:
    """Find out, and write it down."""
    rank, local = (int(os.environ.get(name, "0")) for name in ("SLURM_PROCID", "SLURM_LOCALID"))
    found: dict[str, Any] = {"rank": rank, "local": local, "began": time.time()}
    meeting = Meeting(folder, int(os.environ.get("SLURM_JOB_NUM_NODES", "1")) - 1) if rank == 0 else None
    found |= of_task()
    if local == 0:
        found |= meeting.answers() if meeting else visit(folder)  # first: others wait for it
        found |= of_node(folder, scratch)
    write(os.path.join(folder, f"node-{rank}.json"), found)
    if meeting:
        meeting.wait()


def of_task() -> dict[str, Any]:
    """What differs from task to task."""
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    return {
        "node": os.environ.get("SLURMD_NODENAME", ""),
        "host": socket.gethostname(),
        "cpus": sorted(os.sched_getaffinity(0)),
        "cpus_asked": int(os.environ.get("SLURM_CPUS_PER_TASK", "0")),
        "gpus": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
        "arrived": [name for name in (OF_JOB, OF_SHELL) if name in os.environ],
        "export": os.environ.get("SLURM_EXPORT_ENV", ""),
        "memlock": -1 if soft == resource.RLIM_INFINITY else soft,
    }


def of_node(folder: str, scratch: str) -> dict[str, Any]:
    """What all tasks of a node share."""
    return {
        "python": ".".join(map(str, sys.version_info[:3])),
        "executable": sys.executable,
        "packages": {name: version(name) for name in PACKAGES},
        "slurm": output_of("srun", "--version"),
        "nvidia": output_of("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader").splitlines(),
        "cuda": output_of(sys.executable, "-c", CUDA, timeout=90) if os.environ.get("CUDA_VISIBLE_DEVICES") else "",
        "scontrol": output_of("scontrol", "-o", "show", "job", os.environ.get("SLURM_JOB_ID", "")).startswith("JobId="),
        "squeue": shutil.which("squeue") is not None,
        "ssh_scontrol": by_ssh(),
        "scratch": [disk(name, folder) for name in dict.fromkeys([scratch, *CANDIDATES]) if usable(name)],
        "shared": disk(folder, folder),
        "shm": shutil.disk_usage("/dev/shm").free if os.path.isdir("/dev/shm") else 0,
        "own_name_is": resolved(socket.gethostname()),
    }


def version(package: str) -> str:
    """Empty: it is not installed here."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def by_ssh() -> bool:
    """Whether scontrol is to be had on the machine the job came from."""
    login = os.environ.get("SLURM_SUBMIT_HOST", "")
    options = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=5")
    return bool(
        shutil.which("scontrol") is None and login and output_of("ssh", *options, login, "scontrol", "--version")
    )


if __name__ == "__main__":
    main(*sys.argv[1:])

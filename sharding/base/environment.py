"""What a launcher and the work that it starts agree on, though neither knows the other: names, cores, the commit."""

import os
import socket
import subprocess
from pathlib import Path

JOBS = "jobs"
"""Folder in a run or dataset: scripts and logs of its SLURM jobs. No part of it, and never touched by the work."""
STOP_FILE = "AVSYNC_STOP_FILE"
"""Environment variable: the path of a file that is a wish to save and leave when it exists."""
GRANTED = "AVSYNC_CORES"
"""Set by a job for each of its tasks: not every cluster binds tasks to the cores that it gave them."""

HOME = Path(__file__).parents[2]
"""Where the packages lie: the checkout, the installation, or the copy that a job runs."""
NOTE = "COMMIT"
"""File of a copy that holds what it was copied from."""


def available_cores() -> int:
    """Cores granted to this process: on a shared node fewer than the machine has. macOS cannot tell: all of them."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    granted = os.environ.get(GRANTED, "")
    return min(bound, int(granted)) if granted.isdecimal() and int(granted) else bound


def is_first_rank() -> bool:
    """Whether this process speaks for a run of several, as torchrun, accelerate and our jobs number them."""
    return os.environ.get("RANK", "0") == "0"


def node_name() -> str:
    """This machine, as SLURM calls it in a job of its own: what --exclude takes."""
    return os.environ.get("SLURMD_NODENAME") or socket.gethostname()


def commit_of(home: Path = HOME) -> str:
    """The commit, with + when the checkout had uncommitted changes; empty when it is none."""
    if (home / NOTE).is_file():
        return (home / NOTE).read_text().strip()
    if not (home / ".git").exists():  # nor one that avsync only happens to lie in
        return ""
    try:
        described = subprocess.run(
            ["git", "-C", str(home), "describe", "--always", "--dirty=+", "--abbrev=12"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return described.stdout.strip()

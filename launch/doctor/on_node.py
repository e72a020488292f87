"""What probes share: the output of a command, word by way of a shared folder, and how good a disk is.

Runs on a node, with Python's own library alone.
"""

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

OF_JOB, OF_SHELL = "AVSYNC_DOCTOR_JOB", "AVSYNC_DOCTOR_SHELL"
"""Variables that the job's script sets, and the shell that submits it: do they reach a task?"""


def output_of(*words: str, timeout: float = 20) -> str:
    """What a command prints; empty when it fails."""
    try:
        run = subprocess.run(
            words, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return run.stdout.strip() if run.returncode == 0 else ""


# Word by way of a shared folder: whole files, and patience.

PATIENCE_S = 20.0


def write(path: str, found: dict[str, Any]) -> None:
    """Whole, or not at all."""
    with suppress(FileNotFoundError):
        os.remove(path + ".part")
    with open(path + ".part", "x") as file:  # through no link
        json.dump(found, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".part", path)


def wait_for(read: Callable[[], Any]) -> Any:
    """What is read once it is there; None when it does not come."""
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends:
        try:
            return read()
        except (OSError, ValueError):
            time.sleep(0.05)
    return None


# Disks: how much is free, how fast they are, and whether all nodes share them.

TRIAL_BYTES = 64 * 2**20
CANDIDATES = ("$SLURM_TMPDIR", "$TMPDIR", "/scratch", "/local", "/localscratch", "/local_scratch", "/tmp")


def usable(name: str) -> bool:
    """A folder here, and ours to write in."""
    return os.path.isdir(path := folder_of(name)) and os.access(path, os.W_OK)


def folder_of(name: str) -> str:
    """What is there of it on this node: a run makes what is missing below; empty where a variable is not set."""
    path = os.path.expanduser(os.path.expandvars(name))
    if "$" in path or not os.path.isabs(path):
        return ""
    while not os.path.exists(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    return path


def disk(name: str, folder: str) -> dict[str, Any]:
    """Free bytes, bytes a second, and whether it is the disk that all nodes share."""
    path = folder_of(name)
    free = shutil.disk_usage(path).free
    count = min(TRIAL_BYTES, free // 4)
    began = time.monotonic()
    try:
        with tempfile.NamedTemporaryFile(prefix=".avsync-doctor-", dir=path) as file:  # others may write there, too
            for _ in range(count // 2**20):
                file.write(os.urandom(2**20))
            file.flush()
            os.fsync(file.fileno())
            speed = count / max(time.monotonic() - began, 1e-6)
    except OSError:
        speed = 0.0
    same = os.stat(path).st_dev == os.stat(folder).st_dev
    return {"name": name, "path": path, "free": free, "bytes_per_s": speed, "shared": same, "memory": in_memory(path)}


def in_memory(path: str) -> bool:
    """A disk made of memory: what lies there is taken from the job's."""
    return output_of("stat", "--file-system", "--format=%T", path) in ("tmpfs", "ramfs")

"""Disks of a node: how much is free, how fast they are, and whether all nodes share them.

Runs on a node, with Python's own library alone.
"""

import os
import shutil
import time
from typing import Any

from launch.doctor.says import output_of

TRIAL_BYTES = 64 * 2**20
CANDIDATES = ("$SLURM_TMPDIR", "$TMPDIR", "/scratch", "/local", "/localscratch", "/local_scratch", "/tmp")


def usable(name: str) -> bool:
    """A folder here, and ours to write in."""
    path = os.path.expandvars(name)
    return "$" not in path and os.path.isdir(path) and os.access(path, os.W_OK)


def disk(name: str, folder: str) -> dict[str, Any]:
    """Free bytes, bytes a second, and whether it is the disk that all nodes share."""
    path = os.path.expandvars(name)
    free, trial = shutil.disk_usage(path).free, os.path.join(path, f".avsync-doctor-{os.getpid()}")
    count = min(TRIAL_BYTES, free // 4)
    began = time.monotonic()
    try:
        with open(trial, "wb") as file:
            for _ in range(count // 2**20):
                file.write(os.urandom(2**20))
            file.flush()
            os.fsync(file.fileno())
        speed = count / max(time.monotonic() - began, 1e-6)
    except OSError:
        speed = 0.0
    finally:
        if os.path.exists(trial):
            os.remove(trial)
    same = os.stat(path).st_dev == os.stat(folder).st_dev
    return {"name": name, "path": path, "free": free, "bytes_per_s": speed, "shared": same, "memory": in_memory(path)}


def in_memory(path: str) -> bool:
    """A disk made of memory: what lies there is taken from the job's."""
    return output_of("stat", "--file-system", "--format=%T", path) in ("tmpfs", "ramfs")

"""How many CPU cores this process may use. Anyone may import it."""

import os

GRANTED = "AVSYNC_CORES"
"""Set by a job for each of its tasks: not every cluster binds tasks to the cores that it gave them."""


def available_cores() -> int:
    """Cores granted to this process: on a shared node fewer than the machine has. macOS cannot tell: all of them."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    granted = os.environ.get(GRANTED, "")
    return min(bound, int(granted)) if granted.isdecimal() and int(granted) else bound

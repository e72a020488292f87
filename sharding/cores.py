"""How many CPU cores this process may use. Anyone may import it."""

import os


def available_cores() -> int:
    """Cores granted to this process: on a shared node fewer than the machine has. macOS cannot tell: all of them."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

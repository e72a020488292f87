"""What one process may take of the machine: memory, and CPU time between two signs of progress.

The kernel enforces both: no decoder's loop and no lock of Python gets around them. CPU time, not hours: a slow disk or
a busy machine is no fault of a video. Anyone may import this. Knows nothing of media.
"""

import resource
import signal
from pathlib import Path

OUT_OF_MEMORY = 77
"""Exit code of a process that met its limit."""
OUT_OF_TIME = -signal.SIGPROF
"""Exit code of one that used up its CPU time."""
CRASHES = tuple(-number for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL))
"""Exit codes of one that a library's fault ended."""


def limit_memory(more: int) -> None:
    """From now on this process gets at most `more` bytes; asking for more is a MemoryError. Linux only."""
    status = Path("/proc/self/status")
    if not status.exists():  # macOS takes the limit, and ignores it
        return
    held = next(line for line in status.read_text().splitlines() if line.startswith("VmData"))
    wanted = int(held.split()[1]) * 1024 + more
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def limit_cpu(seconds: float) -> None:
    """End this process when it has computed for so long; called again, it starts anew. 0 = no limit."""
    signal.setitimer(signal.ITIMER_PROF, seconds)

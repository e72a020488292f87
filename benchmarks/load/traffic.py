"""What a way of loading moves through memory for each byte that it delivers, as far as the kernel counts it.

Two of the three ways that bytes take are counted: what system calls copy into a process (files, pipes, sockets), and
pages that are handed out fresh, each written once with zeros before anybody writes to it. Copies inside a process are
seen by no counter; the report sets CPU time beside that of one copy.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes so far."""

    read: int
    """Copied in by system calls, of the processes asked about."""
    fresh: int
    """In pages handed out, of the whole machine: shared memory is nobody's own."""

    @classmethod
    def so_far(cls, processes: Iterable[psutil.Process]) -> Self:
        """Of these processes; one that has just ended counts nothing."""
        return cls(sum(map(_read, processes)), _handed_out() * PAGE)

    def since(self, before: Self) -> Self:
        return type(self)(self.read - before.read, self.fresh - before.fresh)


def _read(process: psutil.Process) -> int:
    try:
        lines = Path(f"/proc/{process.pid}/io").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("rchar:"))


def _handed_out() -> int:
    """Pages, since the machine was started."""
    lines = Path("/proc/vmstat").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("pgalloc_"))

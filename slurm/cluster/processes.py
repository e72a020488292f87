"""Processes of this machine as /proc shows them: who descends from whom, and which must go."""

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def parents() -> dict[int, int]:
    """Process -> its parent, of all that are alive; what is dead and unburied does not count."""
    found = dict[int, int]()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "stat").read_text()
            except OSError:
                continue  # it has just ended
            state, parent = text[text.rindex(")") + 2 :].split()[:2]  # a name may hold anything, ")" too
            if state not in "ZX":
                found[int(entry.name)] = int(parent)
    return found


def descendants(root: int) -> set[int]:
    """All that descend from process `root`, without it."""
    children = dict[int, list[int]]()
    for process, parent in parents().items():
        children.setdefault(parent, []).append(process)
    found, queue = set[int](), [root]
    while queue:
        for child in children.get(queue.pop(), []):
            if child not in found:
                found.add(child)
                queue.append(child)
    return found


def variable(process: int, name: str) -> str | None:
    """An environment variable that the process was started with; None without it, or without the process."""
    try:
        block = Path(f"/proc/{process}/environ").read_bytes()
    except OSError:
        return None
    prefix = name.encode() + b"="
    values = [entry[len(prefix) :] for entry in block.split(b"\0") if entry.startswith(prefix)]
    return os.fsdecode(values[0]) if values else None


def open_files(process: int) -> set[Path]:
    """Files, sockets and pipes that the process holds open; none without the process, or without the right to look."""
    found = set[Path]()
    with suppress(OSError):
        for name in os.listdir(f"/proc/{process}/fd"):
            with suppress(OSError):  # just closed
                found.add(Path(os.readlink(f"/proc/{process}/fd/{name}")))
    return found


def kill(processes: Iterable[int]) -> None:
    """SIGKILL each that is still there."""
    for process in processes:
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            continue


def wait_gone(processes: Iterable[int], timeout_s: float = 10) -> set[int]:
    """Wait until none of them is alive; what still is after `timeout_s` is returned."""
    left, end = set(processes), time.monotonic() + timeout_s
    while (left := left & parents().keys()) and time.monotonic() < end:
        time.sleep(0.02)
    return left


def node_processes(guardian: int, node: str, log: Path) -> set[int]:
    """Every process of a node, of those below `guardian`: slurmd, its stepds, and all that its tasks started.

    slurmstepd does not say whose it is, but it writes to its node's log.
    """
    alive = descendants(guardian)
    daemons = {process for process in alive if log in open_files(process)}
    tasks = {process for process in alive if variable(process, "SLURMD_NODENAME") == node}
    return daemons.union(tasks, *(descendants(process) for process in daemons | tasks))

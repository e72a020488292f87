"""What the real cluster has: its partitions and their nodes, and how large an array may be."""

import os
import re
from dataclasses import dataclass

from launch.queue.ask import ask
from launch.site.units import seconds

_GPUS = re.compile(r"(?:^|,)gpu(?::[^:,()]+)?:(\d+)")
_LIMIT = re.compile(r"^(MaxArraySize|SchedulerParameters)\s*=\s*(.*)$", re.MULTILINE)
_TASKS = re.compile(r"max_array_tasks=(\d+)")
_BETWEEN = "\x1f"  # the unit separator: no name holds it
FORM = _BETWEEN.join(("%P", "%l", "%c", "%m", "%G", "%D", "%a"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Nodes:
    """Nodes of a partition that are alike."""

    partition: str
    default: bool
    up: bool
    limit_s: int | None
    """Longest time of a job; None: no limit."""
    cpus: int
    memory_mb: int
    gpus: int
    count: int


def read_nodes() -> list[Nodes]:
    """Of all partitions. Raises InputError without SLURM, QueueError without an answer."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SINFO_")}
    return rows_of(ask(["sinfo", "--all", "--noheader", "--exact", f"--format={FORM}"], environment=environment))


def rows_of(text: str) -> list[Nodes]:
    """What sinfo printed."""
    parts = (line.split(_BETWEEN) for line in text.splitlines())
    return [_nodes(*words) for words in parts if len(words) == FORM.count(_BETWEEN) + 1]


def _nodes(partition: str, limit: str, cpus: str, memory: str, gres: str, count: str, state: str) -> Nodes:
    endless = limit.strip() in ("infinite", "UNLIMITED", "n/a", "")
    return Nodes(
        partition=partition.strip().rstrip("*"),
        default=partition.strip().endswith("*"),
        up=state.strip() == "up",
        limit_s=None if endless else clock_s(limit.strip()),
        cpus=_number(cpus),
        memory_mb=_number(memory),
        gpus=sum(map(int, _GPUS.findall(gres))),
        count=_number(count),
    )


def clock_s(text: str) -> int:
    """SLURM's [days-][hours:]minutes:seconds. Raises InputError."""
    return seconds(text if text.count(":") == 2 or "-" in text else f"0:{text}", "time limit")


def _number(text: str) -> int:
    """`16+` where nodes differ."""
    return int(found.group()) if (found := re.search(r"\d+", text)) else 0


def largest_array() -> int:
    """Tasks that one array job may have. Raises InputError, QueueError."""
    return array_limit(ask(["scontrol", "show", "config"]))


def array_limit(text: str) -> int:
    """From what scontrol printed. SLURM's MaxArraySize is the first index that is too high."""
    told = dict(_LIMIT.findall(text))
    size = _number(told.get("MaxArraySize", "")) or 1001
    tasks = _TASKS.search(told.get("SchedulerParameters", ""))
    return max(1, min(size, int(tasks.group(1)) if tasks else size))

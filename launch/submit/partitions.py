"""What the real cluster has: its partitions and their nodes."""

import re
from dataclasses import dataclass

from launch.queue.ask import ask
from launch.site.units import seconds

_GPUS = re.compile(r"(?:^|,)gpu(?::[^:,()]+)?:(\d+)")
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
    return rows_of(ask(["sinfo", "--all", "--noheader", "--exact", f"--format={FORM}"]))


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

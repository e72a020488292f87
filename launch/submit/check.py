"""What is looked at before anything is queued: the folders, and the profile against the real cluster."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from launch.commands.parse import check_links
from launch.queue.ask import ask
from launch.site.profile import as_clock, seconds
from launch.submit.kinds import WorkFolder
from launch.submit.plan import JobPlan
from sharding.base.files import broken_link
from sharding.base.text import counted, first_few
from sharding.errors import InputError

# What the real cluster has: its partitions and their nodes.

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


OF_ONE_NODE = frozenset("btrfs ext2 ext3 ext4 f2fs overlay ramfs tmpfs xfs zfs".split())
"""File systems that a machine has for itself, unless it hands them out by NFS."""


def missing_folders(plans: Sequence[JobPlan]) -> list[str]:
    """What a job reads and is not there, nor made by one before it in the chain."""
    made, missing = set[str](), list[str]()
    for plan in plans:
        missing += [
            f"{plan.record.kind}: {folder.flag} {why}"
            for folder in plan.reads
            if os.path.realpath(folder.path) not in made and (why := _missing(folder))
        ]
        made.add(os.path.realpath(plan.paths.target))
    return missing


def _missing(folder: WorkFolder) -> str:
    if why := broken_link(folder.path):
        return f"{why}; give what is there, or make it before: --then"
    if not folder.path.exists():
        return f"{folder.path} does not exist; give what is there, or make it before: --then"
    if folder.whole and not (folder.path / folder.whole).is_file():
        return f"{folder.path} has no {folder.whole}: it is none, or not finished"
    return ""


def check_writable(plans: Sequence[JobPlan]) -> None:
    """Where a job writes, there it may. Raises InputError."""
    for plan in plans:
        check_links(plan.command, made=[folder.path for folder in plan.reads])
        _check_writable(plan)


def _check_writable(plan: JobPlan) -> None:
    folder = plan.paths.root
    if why := broken_link(folder):
        raise InputError(f"{plan.record.kind}: {why}; mend the link, or name another folder")
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise InputError(f"{plan.record.kind}: {folder} is a file, and a folder is to be made there; name another one")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{plan.record.kind}: cannot write in {folder}; choose another folder or change its rights")


def warnings(plans: Sequence[JobPlan]) -> list[str]:
    """What may go wrong, but need not."""
    folders = sorted({plan.paths.target for plan in plans})
    return [
        f"{folder} lies on a disk that other machines may not see ({what}); the nodes must find it under the same name"
        for folder in folders
        if (what := _own_disk(folder))
    ]


def _own_disk(folder: Path) -> str:
    """Why the nodes might not see it; empty when nothing speaks for that."""
    if Path("/tmp") in folder.parents:
        return "/tmp"
    try:
        mounts = Path("/proc/mounts").read_text().splitlines()
    except OSError:  # no Linux
        return ""
    points = [line.split()[1:3] for line in mounts]
    above = [(point, kind) for point, kind in points if folder.is_relative_to(_unescaped(point))]
    kind = max(above, key=lambda mount: len(mount[0]), default=("", ""))[1]
    return kind if kind in OF_ONE_NODE else ""


def _unescaped(point: str) -> str:
    """/proc/mounts writes a space as backslash 040."""
    return point.encode().decode("unicode_escape")


def check_partition(plan: JobPlan, nodes: Sequence[Nodes]) -> None:
    """Whether any node of its partition has what the job wants. Raises InputError naming the setting."""
    record, asked = plan.record, plan.record.resources
    name = asked.partition or next((row.partition for row in nodes if row.default), "")
    if not name:
        return  # the site chooses by rules of its own
    for one in name.split(","):
        known = sorted({row.partition for row in nodes})
        if one not in known:
            near = get_close_matches(one, known, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise InputError(f"{record.kind}: the cluster has no partition {one}; {hint}there are {', '.join(known)}")
    rows = [row for row in nodes if row.partition in name.split(",")]
    for what, flag, wanted, most in (
        ("GPUs", "--gpus-per-node", asked.gpus_per_node, max(row.gpus for row in rows)),
        ("CPUs", "--cpus-per-task", asked.cpus_per_task * asked.tasks_per_node, max(row.cpus for row in rows)),
        ("MiB of memory", "--memory", asked.memory_mb, max(row.memory_mb for row in rows)),
        ("nodes", "--nodes", asked.nodes, sum(row.count for row in rows)),
    ):
        if wanted > most:
            per = "" if what == "nodes" else " on a node"
            raise InputError(
                f"{record.kind}: {wanted:,} {what}{per} are wanted, and partition {name} has at most {most:,}{per}; "
                f"lower {flag} or the profile {record.profile.name}"
            )
    limits = [row.limit_s for row in rows]
    if None not in limits and asked.time_s > (longest := max(limit for limit in limits if limit is not None)):
        raise InputError(
            f"{record.kind}: a time limit of {as_clock(asked.time_s)} is wanted, and partition {name} allows "
            f"{as_clock(longest)}; lower --time or the profile's time: the job is requeued at its end"
        )
    if not any(row.up for row in rows):
        raise InputError(f"{record.kind}: partition {name} is closed; choose another one: {_open(nodes)}")


def _open(nodes: Sequence[Nodes]) -> str:
    names = sorted({row.partition for row in nodes if row.up})
    return first_few(names) if names else f"all {counted(len(nodes), 'partition')} are"

"""What is looked at before anything is queued: the folders, and the profile against the real cluster."""

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from launch.commands.parse import check_links
from launch.job.record import SCRATCH
from launch.queue.ask import QUESTION_S, Unasked, ask
from launch.queue.site import WITH_DELAY, SiteConfig, read_config
from launch.queue.squeue import owner_of
from launch.site.amounts import as_clock, seconds
from launch.site.profile import check_full
from launch.submit.kinds import WorkFolder, scratch_typed
from launch.submit.plan import JobPlan
from sharding.base.environment import JOBS
from sharding.base.files import broken_link
from sharding.base.text import counted, first_few
from sharding.base.written_paths import variables_in
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
    return rows_of(ask(["sinfo", "--all", "--noheader", "--exact", f"--format={FORM}"], QUESTION_S))


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
    return seconds(text, "time limit")


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
    if why := broken_link(plan.paths.target):
        raise InputError(f"{plan.record.kind}: {why}; mend the link, or name another folder")
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise InputError(f"{plan.record.kind}: {folder} is a file, and a folder is to be made there; name another one")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{plan.record.kind}: cannot write in {folder}; {_way_in(folder)}")


def _way_in(folder: Path) -> str:
    if folder.name != JOBS:
        return "choose another folder or change its rights"
    close = shlex.join(["chmod", "g+w,+t", str(folder)])
    return f"it belongs to user {owner_of(folder)}, who lets colleagues in by {close}; or choose another folder"


OF_A_JOB = ("SLURM", "TMPDIR")
"""Beginnings of variables that a node may well set, and a login node need not."""


def check_scratch_folders(plans: Sequence[JobPlan]) -> None:
    """Copies go to the node's own disk, which only a full path can name. Raises InputError."""
    for plan in plans:
        if scratch := scratch_typed(plan.record.words):
            check_full(scratch, f"{plan.record.kind}: --runtime.scratch {scratch}")


def warnings(plans: Sequence[JobPlan], environment: Mapping[str, str] = os.environ) -> list[str]:
    """What may go wrong, but need not."""
    folders = sorted({plan.paths.target for plan in plans})
    return [
        *_unset(plans, environment),
        *(_of_disk(folders)),
    ]


def _unset(plans: Sequence[JobPlan], environment: Mapping[str, str]) -> list[str]:
    """Variables that are not set here; whether a node sets them only the node can tell."""
    texts = dict[str, str]()
    for plan in plans:
        profile = plan.record.profile
        texts |= {f"[environment] {name}": value for name, value in profile.environment.items()}
        typed = scratch_typed(plan.record.words)
        if SCRATCH in plan.record.argv or typed:
            texts[f"--runtime.scratch {typed}" if typed else "scratch"] = typed or profile.scratch
    setup = "\n".join(line for plan in plans for line in plan.record.profile.setup)
    return [
        f"{where}: the variable {name} is not set here; where a node does not set it either, "
        f"{'shards are not copied' if 'scratch' in where else 'this is left out'}"
        for where, text in texts.items()
        for name in variables_in(text)
        if not environment.get(name) and not name.startswith(OF_A_JOB) and f"{name}=" not in setup
    ]


def _of_disk(folders: Sequence[Path]) -> list[str]:
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


def check_requeue(plans: Sequence[JobPlan], unasked: Unasked) -> None:
    """Whether the cluster takes --requeue=expedite, where a profile says so. Raises InputError."""
    for plan in [plan for plan in plans if plan.record.profile.requeue == "expedite"][:1]:
        config = unasked.ask(read_config, SiteConfig({}), "whether jobs may be expedited")
        if why := not_expedited(config):
            raise InputError(
                f'requeue = "expedite" of profile {plan.record.profile.name}: this cluster refuses such jobs: {why}; '
                "take it out of the profile, and submit anew"
            )


def not_expedited(config: SiteConfig) -> str:
    """Why it does not take --requeue=expedite; empty where it does, or nobody knows."""
    if config.expedites or not config.settings:
        return ""
    if config.version and config.version < WITH_DELAY:
        return f"SLURM {config.word('SLURM_VERSION')} does not know it, 25.11 is the first that does"
    return "SlurmctldParameters has no enable_expedited_requeue"


def no_partition(plan: JobPlan, nodes: Sequence[Nodes]) -> str:
    """What to say of a partition that sinfo does not show; empty where it shows all. It may be hidden, not missing."""
    known = sorted({row.partition for row in nodes})
    missing = [one for one in plan.record.resources.partition.split(",") if one and one not in known]
    if not missing:
        return ""
    near = get_close_matches(missing[0], known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{plan.record.kind}: the cluster has no partition {missing[0]}; {hint}there are {first_few(known, 12)}"


def check_partition(plan: JobPlan, nodes: Sequence[Nodes]) -> None:
    """Whether any node of its partition, which sinfo shows, has what the job wants.

    Raises InputError naming the setting.
    """
    record, asked = plan.record, plan.record.resources
    name = asked.partition or next((row.partition for row in nodes if row.default), "")
    if not name:
        return  # the site chooses by rules of its own
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

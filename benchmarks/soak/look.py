"""What can be seen: SLURM's queue and books, what avsync says, processes, files, weights. Nothing is judged here."""

import hashlib
import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from avsync.run.paths import RunPaths
from benchmarks.soak.stage import Account
from benchmarks.soak.work import Order
from launch.job.paths import JobPaths
from launch.queue.squeue import MARK
from launch.queue.squeue import OVER as ENDED
from launch.watch.status import Standing
from sharding.base.environment import JOBS
from sharding.base.locks import LOCK_NAME
from slurm.cluster import Cluster
from slurm.cluster.processes import parents, variable

BETWEEN = "\x1f"


@dataclass(frozen=True, kw_only=True, slots=True)
class Live:
    """A job, or a task of an array, that is in SLURM's queue and not over."""

    order: Order
    kind: str
    job: str
    """As its processes know it."""
    name: str
    """As scontrol and scancel take it."""
    state: str

    @property
    def running(self) -> bool:
        return self.state == "RUNNING"

    @property
    def task(self) -> bool:
        """It is one of an array."""
        return "_" in self.name

    @property
    def target(self) -> Path:
        return self.order.target(self.kind)


def live_jobs(cluster: Cluster, orders: Sequence[Order]) -> list[Live]:
    """Of these orders. Raises ClusterError while slurmctld is away."""
    by_folder = {JobPaths.of(order.target(kind), kind).root: (order, kind) for order in orders for kind in order.kinds}
    form = BETWEEN.join(("%A", "%F", "%K", "%T", "%k"))
    rows = cluster.run("squeue", "--noheader", "--states=all", "--array", f"--format={form}").splitlines()
    found = list[Live]()
    for job, array, index, state, comment in (row.split(BETWEEN) for row in rows):
        whose = by_folder.get(Path(comment.removeprefix(MARK)))
        if whose and state not in ENDED:
            name = f"{array}_{index}" if index.isdecimal() else array
            found.append(Live(order=whose[0], kind=whose[1], job=job, name=name, state=state))
    return found


def node_names(cluster: Cluster) -> list[str]:
    """n1, n2, ..."""
    return cluster.settings.node_names


def processes_of(job: str, word: str) -> list[int]:
    """Processes of a job with this word in their command line."""
    return sorted(pid for pid in parents() if word in command_line(pid) and variable(pid, "SLURM_JOB_ID") == job)


def command_line(pid: int) -> str:
    """Words with a NUL behind each; empty for one that is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """One of an account."""

    pid: int
    account: str
    words: str


def processes_by_account(accounts: Sequence[Account]) -> list[Process]:
    """All that are alive."""
    by_uid, found = {account.uid: account.name for account in accounts}, list[Process]()
    for pid in parents():
        with suppress(OSError):
            if account := by_uid.get(os.stat(f"/proc/{pid}").st_uid):
                found.append(Process(pid=pid, account=account, words=command_line(pid).replace("\0", " ").strip()))
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """Of a job, what `avsync status --json` shows."""

    target: str
    kind: str
    ids: tuple[str, ...]
    standing: Standing
    why: str
    attempts: tuple[object, ...]


def shown(order: Order) -> tuple[list[Shown], str]:
    """Of the jobs of an order; and what was said when it could not be shown."""
    targets = [str(target) for target in order.targets if (target / JOBS).is_dir()]
    if not targets:
        return [], ""
    done = order.account.avsync("status", "--json", *targets)
    try:
        start = done.stdout.index("[")
        return msgspec.json.decode(done.stdout[start:], type=list[Shown]), ""
    except (ValueError, msgspec.DecodeError):
        return [], f"exit {done.returncode}: {done.stdout[-500:]}"


def books(cluster: Cluster, ids: Iterable[str]) -> dict[str, str]:
    """Job, or task of an array -> the last state in sacct; it may lag by seconds."""
    wanted = ",".join(ids)
    if not wanted:
        return {}
    words = ("sacct", "--duplicates", "--allocations", "--noheader", "--parsable2", "--format=JobID,State")
    lines = cluster.run(*words, f"--jobs={wanted}", check=False).splitlines()
    return {job: state.split()[0] for job, _, state in (line.partition("|") for line in lines) if state}


def curve(run: Path) -> list[tuple[int, float]]:
    """Step and loss of each point that TensorBoard draws, in order."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logging.getLogger("tensorboard").setLevel(logging.ERROR)  # it remarks on every run that was resumed
    events = EventAccumulator(str(RunPaths(run).tensorboard / "train"), size_guidance={"scalars": 0, "images": 0})
    events.Reload()
    if "loss" not in events.Tags()["scalars"]:
        return []
    return [(point.step, point.value) for point in events.Scalars("loss")]


def tensors(run: Path) -> dict[str, str]:
    """File and name -> what the newest checkpoint holds there, as a digest."""
    from avsync.run.checkpoint import load_checkpoint

    steps = RunPaths(run).saved_steps()
    if not steps:
        return {}
    saved = load_checkpoint(RunPaths(run).checkpoint(steps[0]))
    held = {"model": saved.model, "optimizer": saved.optimizer, "digest": saved.state.digest, "step": saved.state.step}
    return dict(_flat("", held))


def _flat(name: str, value: object) -> Iterator[tuple[str, str]]:
    import torch

    if isinstance(value, torch.Tensor):
        yield name, hashlib.sha256(value.contiguous().cpu().numpy().tobytes()).hexdigest()
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _flat(f"{name}/{key}", each)
    elif isinstance(value, (list, tuple)):
        for number, each in enumerate(value):
            yield from _flat(f"{name}/{number}", each)
    else:
        yield name, repr(value)


def packed(dataset: Path) -> dict[str, str]:
    """File of a dataset -> its digest; without what belongs to its jobs."""
    files = (path for path in sorted(dataset.rglob("*")) if path.is_file())
    names = {str(path.relative_to(dataset)): path for path in files if path.relative_to(dataset).parts[0] != JOBS}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in names.items() if path.name != LOCK_NAME
    }


def shape(folder: Path) -> set[str]:
    """Names of all that lies in a folder, with N for every number; no look into a job's snapshot of the code.

    Two undisturbed runs have the same shape; what a disturbed one has besides, nothing names.
    """
    found = set[str]()
    for root, folders, files in os.walk(folder):
        here = Path(root).relative_to(folder)
        found |= {re.sub(r"\d+", "N", str(here / name)) for name in (*folders, *files)}
        folders[:] = [name for name in folders if name != "code"]
    return found


def of_accounts(folder: Path, accounts: Sequence[Account]) -> list[str]:
    """What lies in a folder and belongs to one of the accounts."""
    uids = {account.uid for account in accounts}
    return sorted(str(path) for path in folder.rglob("*") if path.lstat().st_uid in uids)

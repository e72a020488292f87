"""Folders of jobs as jobs leave them, written record by record, without SLURM."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from avsync.run.progress import RunProgress
from launch.cli import main
from launch.job.attempts import Action, Event, What, note
from launch.job.paths import JobPaths
from launch.job.record import VERSION, End, JobRecord, Outcome, Queued, Resources
from launch.site.profile import ClusterProfile
from sharding.base.files import write_json


def job(target: Path, kind: str = "train", ids: Sequence[str] = ("7",), array: int = 0) -> JobPaths:
    """A job that was queued under these numbers; without any, sbatch never took it."""
    paths = JobPaths.of(target, kind)
    paths.logs.mkdir(parents=True)
    asked = Resources(
        partition="low", account="", qos="", constraint="", exclude=(), nodes=2, tasks_per_node=1, gpus_per_node=0,
        cpus_per_task=1, memory_mb=0, time_s=600,
    )  # fmt: skip
    run, dataset = (str(target), "") if kind == "train" else ("", str(target))
    record = JobRecord(
        version=VERSION, kind=kind, name=target.name, words=(kind,), argv=(), run=run, dataset=dataset,
        profile=ClusterProfile(name="test"), resources=asked,
        array=array, commit="", directory="/", submitted=time.time() - 60,
    )  # fmt: skip
    write_json(paths.record, record)
    if ids:
        write_json(paths.queued, Queued(ids=tuple(ids)))
    return paths


def progress(paths: JobPaths, age_s: float = 0.0, **told: Any) -> None:
    """progress.json of the run, so old."""
    values = {"step": 250, "steps": 1000, "phase": "training"} | told
    write_json(paths.target / "progress.json", RunProgress(updated=time.time() - age_s, **values))


def began(paths: JobPaths, attempt: int, saved: int = 0, share: int | None = None) -> None:
    note(paths.task(share).attempts, _event(What.BEGAN, attempt, saved))


def ended(
    paths: JobPaths, what: What, attempt: int, saved: int = 0, detail: str = "", share: int | None = None
) -> None:
    note(paths.task(share).attempts, _event(what, attempt, saved, detail))


def over(paths: JobPaths, end: End, reason: str = "", log_tail: str = "", share: int | None = None) -> None:
    task = paths.task(share)
    task.folder.mkdir(parents=True, exist_ok=True)
    write_json(task.outcome, Outcome(end=end, reason=reason or end.value, at=time.time(), log_tail=log_tail))


def _event(what: What, attempt: int, saved: int, detail: str = "") -> Event:
    action = Action.NONE if what in (What.BEGAN, What.DONE) else Action.REQUEUED
    return Event(
        what=what, attempt=attempt, job="7", restart=attempt - 1, nodes="n[1-2]", saved=saved, at=time.time(),
        action=action, detail=detail,
    )  # fmt: skip


def ran(*words: str) -> int:
    """The exit code of a command line."""
    try:
        return main(words)
    except SystemExit as left:
        return int(left.code or 0)

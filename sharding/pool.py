"""Shards made by several processes at once, with a progress bar."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from sharding.config import PackConfig
from sharding.errors import AvsyncError
from sharding.failures import TooManyFailures
from sharding.index import SPLITS
from sharding.part import PARTS
from sharding.plan import ShardPlan
from sharding.schedule import Schedule, Task
from sharding.tasks import RESUME, Pack, Prepare
from sharding.words import first_few
from sharding.workers import Died, Done, Told, Workers

REFRESH_S = 0.5


def make_shards(plans: Sequence[ShardPlan], dataset: Path, config: PackConfig, console: Console) -> None:
    """Pack all `plans` into `dataset`. Raises AvsyncError, OSError; what is finished stays."""
    schedule = Schedule(plans, dataset, config)
    try:
        _work_through(schedule, plans, config, console)
    except TooManyFailures as failures:
        for path in failures.records:
            path.unlink(missing_ok=True)  # they get another chance
        raise
    finally:
        _sweep(dataset)
    if schedule.given_up:
        raise AvsyncError(
            f"a packing process died again and again while it worked on {first_few(sorted(schedule.given_up))}: killed "
            f"from outside, or for want of memory (fewer --workers need less); all else is finished; {RESUME}"
        )


def _work_through(schedule: Schedule, plans: Sequence[ShardPlan], config: PackConfig, console: Console) -> None:
    prepare = Prepare(memory=config.memory)
    with _progress(console) as progress, Workers(config.processes, prepare) as workers:
        bar = _Bar(progress, schedule, plans)
        while True:
            while workers.room and (task := schedule.next()):
                workers.give(task)
            if not workers.busy:
                break
            for event in workers.news(REFRESH_S):
                bar.hear(event)
                if isinstance(event, Done):
                    schedule.done(event.task, event.result)
                elif isinstance(event, Died):
                    schedule.died(event.task, event.code)
            bar.refresh()


def _sweep(dataset: Path) -> None:
    """What killed processes leave half-written is of no use, and takes room."""
    for folder in (*SPLITS, f"{PARTS}/*"):
        for part in dataset.glob(f"{folder}/*.part"):
            with suppress(OSError):
                part.unlink()


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("packing"),
        BarColumn(),
        TextColumn("{task.fields[done]} of {task.fields[count]} videos, {task.fields[rejected]} rejected"),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
        console=console,
    )


class _Bar:
    """Progress by bytes of source, those of parts under way included."""

    def __init__(self, progress: Progress, schedule: Schedule, plans: Sequence[ShardPlan]) -> None:
        self._progress, self._schedule = progress, schedule
        count = sum(len(plan.sources) for plan in plans)
        total = sum(sum(plan.sizes) for plan in plans) + count
        self._task = progress.add_task("", total=total, done=0, count=count, rejected=0)
        self._under_way: dict[str, float] = {}

    def hear(self, event: Done[Task] | Told[Task] | Died[Task]) -> None:
        task = event.task
        if not isinstance(task, Pack):
            return
        if isinstance(event, Told):
            self._under_way[str(task.path)] = task.size * event.done / event.of
        else:
            self._under_way.pop(str(task.path), None)

    def refresh(self) -> None:
        schedule = self._schedule
        self._progress.update(
            self._task,
            completed=schedule.bytes_done + sum(self._under_way.values()),
            done=schedule.sources_done,
            rejected=schedule.sources_rejected,
        )

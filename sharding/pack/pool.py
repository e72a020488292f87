"""Shards made by several processes at once."""

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from rich import progress as rich_progress
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from sharding.base.text import duration, first_few
from sharding.base.workers import Died, Done, Progress, Workers
from sharding.config import PackConfig
from sharding.errors import AvsyncError
from sharding.format.index import PARTS, SPLITS
from sharding.pack.part import PartRecord
from sharding.pack.schedule import Schedule, Task, TooManyFailures
from sharding.pack.tasks import RESUME, PackPart, Prepare
from sharding.plan.plan import ShardPlan

# How far packing is: a live bar, or a plain line now and then where there is no terminal, as in a job's log.

LINE_EVERY_S = 20.0
"""A log file gets a line this often."""


class PackProgress:
    """Progress by bytes of source, those of parts under way included. Use as a context manager."""

    def __init__(self, schedule: Schedule, plans: Sequence[ShardPlan], console: Console) -> None:
        self._schedule, self._console = schedule, console
        self._count = sum(len(plan.sources) for plan in plans)
        self._total = sum(plan.bytes for plan in plans) + self._count
        self._bar = _bar(console)
        self._task = self._bar.add_task("", total=self._total, done=0, count=self._count, rejected=0)
        self._under_way: dict[str, float] = {}
        self._made = 0.0
        """Bytes of source of the parts that this call has finished; others were there before."""
        self._started = self._last_line = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
        if not self._console.is_terminal:
            self._say()

    def hear(self, event: Done[Task] | Progress[Task] | Died[Task]) -> None:
        """Take note of what a worker says."""
        task = event.task
        if not isinstance(task, PackPart):
            return
        if isinstance(event, Progress):
            self._under_way[str(task.path)] = task.size * event.done / event.of
            return
        self._under_way.pop(str(task.path), None)
        if isinstance(event, Done) and isinstance(event.result, PartRecord):
            self._made += task.size + 1

    def refresh(self) -> None:
        """Move the bar, or say a line when it is time for one."""
        schedule = self._schedule
        self._bar.update(
            self._task, completed=self._bytes(), done=schedule.sources_done, rejected=schedule.sources_rejected
        )
        if not self._console.is_terminal and time.monotonic() - self._last_line >= LINE_EVERY_S:
            self._say()

    def _bytes(self) -> float:
        return self._schedule.bytes_done + sum(self._under_way.values())

    def _say(self) -> None:
        self._last_line = time.monotonic()
        schedule, done = self._schedule, self._bytes()
        share = done / self._total if self._total else 1.0
        self._console.print(
            f"packing: {schedule.sources_done} of {self._count} videos ({share:.0%} of their bytes), "
            f"{schedule.sources_rejected} rejected, {self._eta(self._total - done)}",
            markup=False,
            soft_wrap=True,
        )

    def _eta(self, left: float) -> str:
        made = self._made + sum(self._under_way.values())
        if left < 1:
            return "all read"
        return f"ETA {duration((time.monotonic() - self._started) * left / made)}" if made >= 1 else "ETA unknown"


def _bar(console: Console) -> rich_progress.Progress:
    return rich_progress.Progress(
        TextColumn("packing"),
        BarColumn(),
        TextColumn("{task.fields[done]} of {task.fields[count]} videos, {task.fields[rejected]} rejected"),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


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
        _sweep(plans, dataset)
    if schedule.given_up:
        raise AvsyncError(
            f"a packing process died again and again while it worked on {first_few(sorted(schedule.given_up))}: killed "
            f"from outside, or for want of memory (fewer --workers need less); all else is finished; {RESUME}"
        )


def _work_through(schedule: Schedule, plans: Sequence[ShardPlan], config: PackConfig, console: Console) -> None:
    prepare = Prepare(memory=config.memory)
    with PackProgress(schedule, plans, console) as progress, Workers(config.processes, prepare) as workers:
        while True:
            while workers.room and (task := schedule.next()):
                workers.give(task)
            if not workers.busy:
                break
            for event in workers.news(REFRESH_S):
                progress.hear(event)
                if isinstance(event, Done):
                    schedule.done(event.task, event.result)
                elif isinstance(event, Died):
                    schedule.died(event.task, event.code)
            progress.refresh()


def _sweep(plans: Sequence[ShardPlan], dataset: Path) -> None:
    """What killed processes leave half-written is of no use, and takes room. Other calls may write other shards."""
    shards = {plan.name for plan in plans}
    folders = {f"{PARTS}/{plan.parts_folder}" for plan in plans}
    for folder in (*SPLITS, f"{PARTS}/*"):
        for part in dataset.glob(f"{folder}/*.part"):
            where = part.relative_to(dataset)
            if str(where).partition(".")[0] in shards or str(where.parent) in folders:
                with suppress(OSError):
                    part.unlink()

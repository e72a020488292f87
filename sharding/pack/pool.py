"""Shards made by several processes at once, and how far that is."""

import time
from collections.abc import Sequence
from pathlib import Path

import av
from rich.console import Console

from sharding.base.console import Bar
from sharding.base.housekeeping import below, delete, delete_file
from sharding.base.libraries import warn_of_fault
from sharding.base.share_progress import ShareTeller
from sharding.base.text import duration, first_few, percent
from sharding.base.workers import Died, Done, Progress, Workers
from sharding.config import PackConfig
from sharding.errors import AvsyncError
from sharding.format.index import PARTS, SPLITS
from sharding.pack.part import PartRecord
from sharding.pack.schedule import RESUME, PackPart, PackTask, Prepare, Schedule, TooManyFailures
from sharding.plan.plan import ShardPlan

REFRESH_S = 0.5


def make_shards(
    plans: Sequence[ShardPlan], dataset: Path, config: PackConfig, console: Console, teller: ShareTeller
) -> None:
    """Pack all `plans` into `dataset`. Raises AvsyncError, OSError; what is finished stays."""
    warn_of_fault("FFmpeg", av.ffmpeg_version_info)
    schedule = Schedule(plans, dataset, config)
    try:
        _work_through(schedule, dataset, config, PackProgress(schedule, plans, console, teller))
    except TooManyFailures as failures:
        for path in failures.records:
            delete(path)  # they get another chance
        raise
    finally:
        _sweep(plans, dataset)
    if schedule.given_up:
        raise AvsyncError(
            f"a packing process died again and again while it worked on {first_few(sorted(schedule.given_up))}: killed "
            f"from outside, or for want of memory (fewer --workers need less); all else is finished; {RESUME}"
        )


def _work_through(schedule: Schedule, dataset: Path, config: PackConfig, progress: "PackProgress") -> None:
    prepare = Prepare(memory=config.memory, dataset=dataset)
    with progress.bar, Workers(config.processes, prepare) as workers:
        while True:
            while workers.room and (task := schedule.next()):
                workers.give(task)
            if not workers.busy:
                break
            for event in workers.news(REFRESH_S):
                progress.note(event)
                if isinstance(event, Done):
                    schedule.done(event.task, event.result)
                elif isinstance(event, Died):
                    schedule.died(event.task, event.code)
            progress.refresh()
        progress.refresh()


def _sweep(plans: Sequence[ShardPlan], dataset: Path) -> None:
    """What killed processes leave half-written is of no use, and takes room. Other calls may write other shards."""
    shards = {plan.name for plan in plans}
    folders = {f"{PARTS}/{plan.parts_folder}" for plan in plans}
    for folder in (*SPLITS, f"{PARTS}/*"):
        for part in below(dataset, f"{folder}/*.part", links=True):
            where = part.relative_to(dataset)
            if str(where).partition(".")[0] in shards or str(where.parent) in folders:
                delete_file(part)


class PackProgress:
    """How far packing is, by bytes of source, those of parts under way included."""

    def __init__(self, schedule: Schedule, plans: Sequence[ShardPlan], console: Console, teller: ShareTeller) -> None:
        self._schedule, self._teller = schedule, teller
        self._count = sum(len(plan.sources) for plan in plans)
        self._total = sum(plan.bytes for plan in plans) + self._count
        self.bar = Bar("packing", self._total, unit=None, console=console, line=self._line, always_ends=True)
        self._under_way: dict[Path, float] = {}
        self._made = 0.0
        """Bytes of source of the parts that this call has finished; others were there before."""
        self._started = time.monotonic()

    def note(self, event: Done[PackTask] | Progress[PackTask] | Died[PackTask]) -> None:
        """Take what a worker reports."""
        task = event.task
        if not isinstance(task, PackPart):
            return
        if isinstance(event, Progress):
            self._under_way[task.path] = task.size * event.done / event.of
            return
        self._under_way.pop(task.path, None)
        if isinstance(event, Done) and isinstance(event.result, PartRecord):
            self._made += task.size + 1

    def refresh(self) -> None:
        """Move the bar, or log a line when it is time for one; and tell who watches from outside."""
        done, rejected = self._schedule.sources_done, self._schedule.sources_rejected
        self.bar.update(self._bytes(), state=f"{done} of {self._count} videos, {rejected} rejected")
        self._teller.tell(done, self._left_s())

    def _bytes(self) -> float:
        return self._schedule.bytes_done + sum(self._under_way.values())

    def _line(self) -> str:
        schedule, done = self._schedule, self._bytes()
        fraction = done / self._total if self._total else 1.0
        return (
            f"packing: {schedule.sources_done} of {self._count} videos ({percent(fraction, 0)} of their bytes), "
            f"{schedule.sources_rejected} rejected, {self._time_left()}"
        )

    def _time_left(self) -> str:
        left = self._left_s()
        return "ETA unknown" if left is None else f"ETA {duration(left)}" if left else "all read"

    def _left_s(self) -> float | None:
        """Until all is read, by the pace of this call; None: nobody knows yet."""
        left, made = self._total - self._bytes(), self._made + sum(self._under_way.values())
        if left < 1:
            return 0.0
        return (time.monotonic() - self._started) * left / made if made >= 1 else None

"""Shards made by several processes at once."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from rich.console import Console

from sharding.base.text import first_few
from sharding.base.workers import Died, Done, Workers
from sharding.config import PackConfig
from sharding.errors import AvsyncError
from sharding.format.index import PARTS, SPLITS
from sharding.pack.failures import TooManyFailures
from sharding.pack.progress import PackProgress
from sharding.pack.schedule import Schedule
from sharding.pack.tasks import RESUME, Prepare
from sharding.plan.plan import ShardPlan

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

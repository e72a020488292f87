"""`avsync pack VIDEOS DATASET`: videos in, a whole dataset out; run again, it does only what is missing or out of date.

What has its final name is whole: the plan first, shards, their side files, the indexes, rejects.csv, dataset.json last.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from sharding.base.files import folder_lock
from sharding.config import PackConfig, Wishes
from sharding.errors import InputError
from sharding.pack.finish import finish
from sharding.pack.pool import make_shards
from sharding.pack.report import (
    PackSummary,
    print_estimate,
    print_plan,
    print_summary,
)
from sharding.pack.sample import estimate
from sharding.pack.tasks import RESUME
from sharding.plan.agenda import agenda, listed
from sharding.plan.todo import check_folder, make_way

NO_WISHES = Wishes()


def pack(
    videos: Path, dataset: Path, config: PackConfig, console: Console | None = None, wishes: Wishes = NO_WISHES
) -> PackSummary:
    """Pack a folder or CSV of videos into `dataset`. Both progress and outcome go to `console`, where one is given.

    Raises InputError for wrong input or settings, BusyError when another process packs there.
    """
    progress = console or Console(stderr=True)
    found = listed(videos, config, wishes)
    check_folder(dataset)
    with folder_lock(dataset, "avsync pack"):
        work = agenda(found, dataset, config, wishes, progress)
        with writing(dataset):
            make_way(work.plans, work.todo, dataset, config)
            if work.todo:
                make_shards(work.todo, dataset, config, progress)
            summary = finish(work.plans, work.duplicates, dataset, config, packed=len(work.todo))
    print_summary(summary, console or Console())
    return summary


def dry_run(
    videos: Path, dataset: Path, config: PackConfig, console: Console | None = None, wishes: Wishes = NO_WISHES
) -> None:
    """Print what `pack` would do, and what that comes to, judged by a sample of the videos; nothing is written.

    Raises InputError as `pack` does, and when none of the sample can be packed.
    """
    console = console or Console()
    found = listed(videos, config, wishes)
    check_folder(dataset)
    work = agenda(found, dataset, config, wishes, console)
    print_plan(work, console)
    if work.todo:
        sources = [source for plan in work.todo for source in plan.sources]
        print_estimate(estimate(sources, config), config.processes, console)


@contextmanager
def writing(dataset: Path) -> Iterator[None]:
    """Errors of the disk as what a person can mend. Raises InputError."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"cannot write {error.filename or dataset}: {error.strerror}; mend that and {RESUME}"
        ) from error

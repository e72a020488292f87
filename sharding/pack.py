"""`avsync pack VIDEOS DATASET`: videos in, a whole dataset out; run again, it does only what is missing or out of date.

What has its final name is whole: the plan first, shards, their side files, the indexes, rejects.csv, dataset.json last.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from sharding.config import PackConfig
from sharding.duplicates import find_duplicates
from sharding.errors import InputError, RejectReason
from sharding.files import folder_lock
from sharding.find import find_sources
from sharding.finish import finish
from sharding.plan import ShardPlan, placed, plan_shards
from sharding.pool import make_shards
from sharding.rejects import Reject
from sharding.report import PackSummary, print_estimate, print_plan, print_summary
from sharding.sample import estimate
from sharding.sources import Source, SourceList
from sharding.target import check_folder, check_none_lost, check_settings, check_software, kept, make_way, old_plan
from sharding.tasks import RESUME


@dataclass(frozen=True, kw_only=True, slots=True)
class _Work:
    """All that is to be in the dataset, and what of it is missing."""

    found: SourceList
    duplicates: tuple[Reject, ...]
    plans: list[ShardPlan]
    todo: list[ShardPlan]


def pack(
    videos: Path,
    dataset: Path,
    config: PackConfig,
    console: Console | None = None,
    *,
    root: Path | None = None,
    remove: bool = False,
    retry: bool = False,
) -> PackSummary:
    """Pack a folder or CSV of videos into `dataset`; progress and outcome go to `console`.

    Files of a CSV lie below `root`, its own folder by default. Sources that are in the dataset and not in `videos` are
    taken out only if `remove` says so; `retry` tries those again that could not be read.
    Raises InputError for wrong input or settings, BusyError when another process packs there.
    """
    console = console or Console(stderr=True)
    found = _find(videos, root, config)
    check_folder(dataset)
    with folder_lock(dataset, "avsync pack"):
        work = _work(found, dataset, config, console, remove=remove, retry=retry)
        with _writing(dataset):
            make_way(work.plans, work.todo, dataset, config)
            if work.todo:
                make_shards(work.todo, dataset, config, console)
            summary = finish(work.plans, work.duplicates, dataset, config, packed=len(work.todo))
    print_summary(summary, console)
    return summary


def dry_run(
    videos: Path,
    dataset: Path,
    config: PackConfig,
    console: Console | None = None,
    *,
    root: Path | None = None,
    remove: bool = False,
    retry: bool = False,
) -> None:
    """Print what `pack` would do, and what that comes to, judged by a sample of the videos; nothing is written.

    Raises InputError as `pack` does, and when none of the sample can be packed.
    """
    console = console or Console()
    found = _find(videos, root, config)
    check_folder(dataset)
    work = _work(found, dataset, config, console, remove=remove, retry=retry)
    print_plan(work.plans, len(work.plans) - len(work.todo), found.ignored, len(work.duplicates), console)
    if work.todo:
        sources = [source for plan in work.todo for source in plan.sources]
        print_estimate(estimate(sources, config), config.processes, console)


def _find(videos: Path, root: Path | None, config: PackConfig) -> SourceList:
    found = find_sources(videos, root)
    _check_boxes(found.sources, config)
    return found


def _work(
    found: SourceList, dataset: Path, config: PackConfig, console: Console, *, remove: bool, retry: bool
) -> _Work:
    for note in found.notes:
        console.print(note, markup=False, soft_wrap=True)
    old = old_plan(dataset)
    check_settings(dataset, old, config)
    if not remove:
        check_none_lost(dataset, old, found.sources)
    with console.status("looking for copies"):
        repeats = find_duplicates(found.sources, first=placed(old))
    plans = plan_shards([source for source in found.sources if source.id not in repeats], config, old)
    todo = [plan for plan in plans if not kept(plan, dataset, retry=retry)]
    if todo:
        check_software(dataset, old)
    duplicates = tuple(
        Reject(path=source.rel, reason=RejectReason.DUPLICATE, detail=f"the same bytes as {repeats[source.id].rel}")
        for source in found.sources
        if source.id in repeats
    )
    return _Work(found=found, duplicates=duplicates, plans=plans, todo=todo)


def _check_boxes(sources: Sequence[Source], config: PackConfig) -> None:
    for source in sources:
        if source.boxes is None:
            continue
        if config.fit != "squash":
            raise InputError(f"--fit {config.fit} would move the boxes of {source.rel}; use --fit squash with boxes")
        if not source.boxes.is_file():
            raise InputError(
                f"line {source.line}: boxes file {source.boxes} does not exist; name it, or leave it empty"
            )


@contextmanager
def _writing(dataset: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"cannot write {error.filename or dataset}: {error.strerror}; mend that and {RESUME}"
        ) from error

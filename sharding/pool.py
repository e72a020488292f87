"""Shards made by several processes at once, with a progress bar; stops cleanly on Ctrl-C, names a process that dies."""

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from av import logging as av_logging
from av.error import FFmpegError
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from sharding.config import PackConfig
from sharding.errors import AvsyncError, InputError
from sharding.plan import ShardPlan
from sharding.processes import ctrl_c_held, start_worker
from sharding.sources import Source
from sharding.work import pack_shard

REFRESH_S = 0.5
RESUME = "run the same command again: finished shards are kept"


class Stopped(AvsyncError):
    """The work was told to stop."""


class Follower:
    """Counts finished sources, in memory that all processes share, and passes on the wish to stop."""

    def __init__(self, context: Any) -> None:
        self.sources: Synchronized[int] = context.Value("q", 0)
        self.bytes: Synchronized[int] = context.Value("q", 0)
        self.stop: Event = context.Event()

    def clip_done(self) -> None:
        if self.stop.is_set():
            raise Stopped("stopped")

    def source_done(self, source: Source) -> None:
        with self.sources.get_lock():
            self.sources.value += 1
            self.bytes.value += weight(source)


def weight(source: Source) -> int:
    """Share of the work in a source, for the progress bar: its bytes."""
    try:
        return source.path.stat().st_size + 1
    except OSError:
        return 1


def make_shards(plans: Sequence[ShardPlan], folder: Path, config: PackConfig, console: Console) -> None:
    """Pack all `plans` into `folder`. Raises InputError, AvsyncError; what is finished stays."""
    context = multiprocessing.get_context("spawn")
    follower = Follower(context)
    sources = [source for plan in plans for source in plan.sources]
    columns = (
        TextColumn("packing"),
        BarColumn(),
        TextColumn("{task.fields[done]} of {task.fields[count]} videos"),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=sum(map(weight, sources)), done=0, count=len(sources))
        show = _Bar(progress, task, follower)
        processes = min(config.processes, len(plans))
        if processes == 1:
            for plan in plans:
                _make(plan, folder, config, follower)
                show.refresh()
        else:
            _in_pool(plans, folder, config, context, processes, follower, show)
        show.refresh()


class _Bar:
    def __init__(self, progress: Progress, task: TaskID, follower: Follower) -> None:
        self._progress, self._task, self._follower = progress, task, follower

    def refresh(self) -> None:
        follower = self._follower
        self._progress.update(self._task, completed=follower.bytes.value, done=follower.sources.value)


def _in_pool(
    plans: Sequence[ShardPlan],
    folder: Path,
    config: PackConfig,
    context: Any,
    processes: int,
    follower: Follower,
    show: _Bar,
) -> None:
    shared = (follower.sources, follower.bytes, follower.stop)
    pool = ProcessPoolExecutor(processes, context, initializer=_start_process, initargs=shared)
    try:
        with ctrl_c_held():  # submitting starts the processes
            waiting: set[Future[None]] = {pool.submit(_make_in_process, plan, folder, config) for plan in plans}
        while waiting:
            done, waiting = wait(waiting, REFRESH_S, FIRST_COMPLETED)
            show.refresh()
            for future in done:
                future.result()
    except BrokenProcessPool:
        raise AvsyncError(_who_died(plans, folder)) from None
    finally:
        follower.stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _who_died(plans: Sequence[ShardPlan], folder: Path) -> str:
    open_shards = [plan.name for plan in plans if (folder / f"{plan.name}.tar.part").exists()]
    where = " or ".join(open_shards) or "a shard"
    return (
        f"a packing process died while it worked on {where}: killed from outside, or for want of memory "
        f"(fewer --workers need less); {RESUME}"
    )


_follower: Follower | None = None


def _start_process(*shared: Any) -> None:
    """In each worker: leave Ctrl-C to the parent, die with it, and count for it."""
    global _follower
    _follower = Follower.__new__(Follower)
    _follower.sources, _follower.bytes, _follower.stop = shared
    start_worker()


def _make_in_process(plan: ShardPlan, folder: Path, config: PackConfig) -> None:
    assert _follower is not None
    _make(plan, folder, config, _follower)


def _make(plan: ShardPlan, folder: Path, config: PackConfig, follower: Follower) -> None:
    av_logging.set_level(None)  # damaged sources are reported by their reason, not by decoder chatter
    try:
        pack_shard(plan, folder, config, follower)
    except FFmpegError as error:  # of the encoder: some of these are OSErrors too, but the disk is not to blame
        raise AvsyncError(f"FFmpeg cannot encode a clip of {plan.name}: {error.strerror}; {RESUME}") from error
    except OSError as error:
        raise InputError(f"cannot write {folder / plan.name}.tar: {error.strerror}; mend that and {RESUME}") from error

"""Workers come, die, are replaced and leave; a training run notices what it must and loses nothing."""

import re
import signal
import subprocess
import sys
import time

import psutil
import pytest
import torch
from feeds import copies, open_feed, rows_of, running, spawner_process, workers_of, workers_that

from avsync.loading.options import LoaderOptions, StoppedWaiting
from avsync.loading.worker import LEFT_TO_PARENT
from sharding.errors import AvsyncError


def gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=10)
    return not alive


def test_leaving_early_ends_all_workers(dataset):
    feed = open_feed(dataset)
    with feed.loader(LoaderOptions(workers=4)) as loader:
        next(loader.batches(rows_of(feed) * 50))
        workers = workers_of(spawner_process(), 4)
    assert gone(workers)


def test_a_killed_worker_is_replaced_and_no_row_is_lost(dataset):
    feed = open_feed(dataset)
    rows = rows_of(feed) * 4
    calm, killed = copies(feed, rows), list[psutil.Process]()
    with feed.loader(LoaderOptions(workers=3, prefetch=3)) as loader:
        for number, (batch, (yuv, audio)) in enumerate(zip(loader.batches(rows), calm, strict=True)):
            assert torch.equal(batch.yuv, yuv)
            assert torch.equal(batch.audio, audio)
            if number in (2, 5, 6):
                alive = [worker for worker in running(spawner_process()) if worker not in killed]
                alive[0].kill()
                killed.append(alive[0])
    assert loader.budget.total == 0
    assert loader.meter.replaced == 3


def test_a_clip_that_kills_its_workers_costs_one_row_and_its_name_is_told(dataset, monkeypatch):
    """A reader that ends its process stands for a decoder that crashes on a clip."""
    feed = open_feed(dataset)
    deadly = int(feed.clips[3])
    monkeypatch.setenv("AVSYNC_TEST_DEADLY", str(feed.dataset.location(deadly).offset))
    rows = rows_of(feed)
    with workers_that(DEADLY), feed.loader(LoaderOptions(workers=2)) as loader:
        for batch in loader.batches(rows):
            for row, draw in enumerate(batch.draws):
                same = feed.dataset.location(draw.clip).offset == feed.dataset.location(deadly).offset
                assert bool(batch.valid[row]) == (draw.clip >= 0 and not same)
    assert "2 worker processes ended by SIGSEGV while they read it" in loader.budget.last


DEADLY = """
import os, signal
from avsync.loading import worker
fill = worker.Fetcher.fill
def deadly(self, request, *rest):
    if str(request.location.offset) == os.environ["AVSYNC_TEST_DEADLY"]:
        os.kill(os.getpid(), signal.SIGSEGV)
    return fill(self, request, *rest)
worker.Fetcher.fill = deadly
"""


def test_a_bug_in_a_worker_reaches_the_caller(dataset):
    feed = open_feed(dataset)
    broken = "from avsync.loading import worker\nworker.Fetcher.fill = lambda *_: 1 // 0\n"
    with (
        workers_that(broken),
        pytest.raises(RuntimeError, match="ZeroDivisionError"),
        feed.loader(LoaderOptions()) as loader,
    ):
        next(loader.batches(rows_of(feed)))


TRAINER = """
import sys, time
from pathlib import Path
from avsync.config import PairConfig, ViewConfig
from avsync.data.order import batches_of_rank
from avsync.loading.feed import Feed
from avsync.loading import spawner
from avsync.loading.options import LoaderOptions, StoppedWaiting
feed = Feed.open(Path(sys.argv[1]), "train", PairConfig(window_s=2, min_shift_s=1, max_shift_s=1.9), ViewConfig())
draws = feed.fixed_draws(feed.clips, per_clip=2)
with feed.loader(LoaderOptions(workers=2)) as loader:
    for batch in loader.batches(batches_of_rank(draws * 1000, 4, 0, 1)):
        print("batch", flush=True)
        time.sleep(0.05)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_workers_leave_with_their_parent_however_it_ends(dataset, number):
    with subprocess.Popen([sys.executable, "-c", TRAINER, str(dataset)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        parent.stdout.readline()
        process = psutil.Process(parent.pid)
        (born,) = process.children()
        others = [born, *workers_of(born, 2)]
        assert len(others) == 3
        parent.send_signal(number)
        parent.stdout.read()
    assert gone(others)


def test_signals_that_stop_a_run_leave_its_workers_alone(dataset):
    """SLURM and terminals signal every process of a job; the trainer needs its workers until it has saved."""
    feed = open_feed(dataset)
    rows = rows_of(feed) * 3
    assert {signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2} < set(LEFT_TO_PARENT)
    with feed.loader(LoaderOptions(workers=2)) as loader:
        for batch in loader.batches(rows):
            for worker in [spawner_process(), *workers_of(spawner_process(), 2)]:
                for number in LEFT_TO_PARENT:
                    worker.send_signal(number)
            assert batch.valid.any()
    assert loader.meter.replaced == 0


def test_signals_to_workers_that_are_still_starting_leave_them_alone(dataset):
    feed = open_feed(dataset)
    with workers_that("import time; time.sleep(0.3)"), feed.loader(LoaderOptions(workers=2)) as loader:
        born = spawner_process()
        for number in LEFT_TO_PARENT:
            born.send_signal(number)
        assert all(batch.valid.any() for batch in loader.batches(rows_of(feed)[:2]))
        assert born.is_running()
    assert loader.meter.replaced == 0


def test_a_wait_without_end_is_told_and_then_ended(dataset, capsys):
    """A worker that sleeps stands for a read that a network disk never answers."""
    feed = open_feed(dataset)
    asleep = "import time\nfrom avsync.loading import worker\nworker.ShardReader.read = lambda *_: time.sleep(3600)\n"
    options = LoaderOptions(workers=2, rank=3, report_after_s=3, stop_after_s=6)  # workers take their time to start
    with workers_that(asleep):
        with pytest.raises(AvsyncError, match=r"no clip came in for 6 s") as raised, feed.loader(options) as loader:
            next(loader.batches(rows_of(feed)))
        workers = workers_of(spawner_process(), 2)
    told = capsys.readouterr().err
    shard = feed.dataset.shard_path(int(rows_of(feed)[0][0].clip))
    for text in (told, str(raised.value)):
        assert re.search(rf"worker \d+ has been reading for \d+ s: {shard} at byte \d+", text)
    assert "rank 3: no clip came in for" in told
    for worker in workers:
        worker.kill()


def test_workers_that_cannot_start_are_named(dataset):
    feed = open_feed(dataset)
    with (
        workers_that("raise SystemExit(3)"),
        pytest.raises(AvsyncError, match="worker process ended before it could start; is memory short"),
        feed.loader(LoaderOptions(workers=2)) as loader,
    ):
        next(loader.batches(rows_of(feed)))


def test_a_spawner_and_a_worker_killed_while_batches_stream_are_replaced(dataset):
    feed = open_feed(dataset)
    rows = rows_of(feed) * 2
    calm = copies(feed, rows)
    with feed.loader(LoaderOptions(workers=2)) as loader:
        for number, (batch, (yuv, _)) in enumerate(zip(loader.batches(rows), calm, strict=True)):
            assert torch.equal(batch.yuv, yuv)
            if number == 2:
                (worker, _) = workers_of(spawner_process(), 2)
                spawner_process().kill()
                worker.kill()
    assert loader.meter.replaced == 1
    assert loader.budget.total == 0


def test_after_a_spawner_was_killed_the_next_loader_gets_another(dataset):
    feed = open_feed(dataset)
    process = spawner_process()
    process.kill()
    process.wait()
    assert len(copies(feed, rows_of(feed))) == len(rows_of(feed))


def test_batches_that_lie_ready_are_counted(dataset):
    feed = open_feed(dataset)
    with feed.loader(LoaderOptions(workers=2, prefetch=3)) as loader:
        stream = loader.batches(rows_of(feed) * 3)
        next(stream)
        time.sleep(1)
        loader.meter.take(1)
        next(stream)
        figures = loader.meter.take(1)
    assert figures.ready == 3
    assert figures.read_ms > 0
    assert figures.decode_ms > 0


def test_a_wish_to_stop_ends_a_wait(dataset):
    feed = open_feed(dataset)
    asleep = "import time\nfrom avsync.loading import worker\nworker.ShardReader.read = lambda *_: time.sleep(3600)\n"
    with workers_that(asleep):
        options = LoaderOptions(workers=1, stopping=lambda: True)
        with pytest.raises(StoppedWaiting), feed.loader(options) as loader:
            next(loader.batches(rows_of(feed)))
        workers_of(spawner_process(), 1)[0].kill()


STOPPED = """
import signal, sys
from pathlib import Path
from avsync.loading.spawner import spawner_of
import os
process = spawner_of(os.getpid())._process
process.send_signal(signal.SIGSTOP)
"""


def test_a_process_whose_spawner_was_stopped_still_ends():
    assert subprocess.run([sys.executable, "-c", STOPPED], timeout=60, check=False).returncode == 0

"""What is the machine's fault costs no clip: it is coped with, or it stops the run and says what to do."""

import os
import resource
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from feeds import open_feed, rows_of, workers_that
from staging_data import write_noise

from avsync.loading.options import LoaderOptions
from sharding.errors import AvsyncError, SkipClip
from sharding.format.dataset import open_dataset
from sharding.format.reader import ShardReader


@contextmanager
def open_files(more: int) -> Iterator[None]:
    """No more than so many further files may be open."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as held:
        free = os.open("/", os.O_RDONLY)  # numbers below this one are taken
        held.callback(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free + more, before[1]))
        os.close(free)
        yield


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_noise(tmp_path / "data", shards=64, clips=2, clip_bytes=600)


def test_with_few_open_files_every_clip_is_read(data: Path) -> None:
    train = open_dataset(data, "train")
    with open_files(5), ShardReader() as reader:
        read = [bytes(reader.read(train.location(clip)).json) for clip in [*range(128), *range(128)]]
    assert len(read) == 256


def test_no_open_file_at_all_is_no_fault_of_the_clip(data: Path) -> None:
    train = open_dataset(data, "train")
    with ShardReader() as reader:
        with open_files(0), pytest.raises(AvsyncError, match=r"000000.tar: Too many open files; .*ulimit -n") as caught:
            reader.read(train.location(0))
        assert not isinstance(caught.value, SkipClip)
        reader.read(train.location(0))


def test_a_worker_that_may_open_no_file_ends_the_run_and_says_why(dataset: Path) -> None:
    narrow = (
        "import os, resource\nfrom avsync.loading import worker\nread = worker.ShardReader.read\n"
        "def narrowed(*rest):\n"
        "    free = os.open('/', os.O_RDONLY)\n"
        "    resource.setrlimit(resource.RLIMIT_NOFILE, (free, free))\n"
        "    os.close(free)\n"
        "    return read(*rest)\n"
        "worker.ShardReader.read = narrowed\n"
    )
    feed = open_feed(dataset)
    with workers_that(narrow), feed.loader(LoaderOptions(workers=1)) as loader:
        with pytest.raises(AvsyncError, match=r"in a worker process: cannot read .*tar: Too many open files; .*ulimit"):
            next(loader.batches(rows_of(feed)))
        assert loader.budget.total == 0

"""Memory does not grow with what has been loaded, nor with what is shuffled: ids are shuffled, not samples."""

import os
from pathlib import Path

import pytest
from feeds import rows_of, running, spawner_process

from avsync.config import PairConfig, ViewConfig
from avsync.loading.feed import Feed
from avsync.loading.options import LoaderOptions
from sharding.config import PackConfig
from sharding.format.codec import CODECS
from sharding.pack.pack import pack

BATCHES = 2_500
GROWTH = 8 << 20
"""Bytes that may come and go; a leak of one window a batch would be 13 MB over the three looks in between."""


def own_memory() -> int:
    """Bytes of this process and its workers, shared ones counted once; without files, which others may map or leave."""
    spawner = spawner_process()
    total = 0
    for pid in (os.getpid(), spawner.pid, *(worker.pid for worker in running(spawner))):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            name, _, size = line.partition(":")
            total += int(size.split()[0]) * 1024 if name in ("Pss_Anon", "Pss_Shmem") else 0
    return total


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="only Linux tells")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("codec", CODECS)
def test_memory_is_flat_over_thousands_of_batches(scenes, tmp_path, codec):
    pack(scenes / "scenes.csv", tmp_path / "d", PackConfig(
        fps="10", size=32, sample_rate=8000, min_clip_s="3", codec=codec, workers=2,
    ))  # fmt: skip
    short = PairConfig(law="symmetric", window_s=1, min_shift_s=0.5, max_shift_s=1)  # batches count, not their size
    feed = Feed.open(tmp_path / "d", "train", short, ViewConfig())
    rows = rows_of(feed, batch=1)
    after: list[int] = []
    with feed.loader(LoaderOptions(workers=2)) as loader:
        for number, _ in enumerate(loader.batches(rows[count % len(rows)] for count in range(BATCHES))):
            if number % (BATCHES // 10) == BATCHES // 10 - 1:
                after.append(own_memory())
    assert len(after) == 10
    assert min(after[7:]) < max(after[2:5]) + GROWTH, (
        after
    )  # buffers reach their size when they do, on a busy machine late

"""Batches on a GPU are those of the CPU, however the copies and the steps overlap. Skipped without a GPU."""

import pytest
import torch
from feeds import copies, open_feed, rows_of

from avsync.loading import memory
from avsync.loading.options import LoaderOptions

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"),
]
GPU = LoaderOptions(device=torch.device("cuda", 0), workers=4, prefetch=3)


def on_gpu_equals_cpu(dataset) -> None:
    feed = open_feed(dataset)
    rows = rows_of(feed) * 10
    calm, kept = copies(feed, rows), []
    with feed.loader(GPU) as loader:
        for batch in loader.batches(rows):
            torch.cuda._sleep(20_000_000)  # the step is slow: the host runs ahead, and slots are filled again
            kept.append((batch.yuv.clone(), batch.audio.clone()))
    for (yuv, audio), (there_yuv, there_audio) in zip(calm, kept, strict=True):
        assert torch.equal(yuv, there_yuv.cpu())
        assert torch.equal(audio, there_audio.cpu())


def test_batches_on_a_gpu_equal_those_on_the_cpu_under_a_slow_step(dataset):
    on_gpu_equals_cpu(dataset)


def test_slots_are_locked_so_that_copies_need_not_wait(dataset, monkeypatch):
    locked: list[bool] = []
    lock = memory._lock_pages
    monkeypatch.setattr(memory, "_lock_pages", lambda part: locked.append(lock(part)) or locked[-1])
    on_gpu_equals_cpu(dataset)
    assert locked == [True]


def test_memory_that_cannot_be_locked_still_gives_right_batches(dataset, monkeypatch):
    monkeypatch.setattr(memory, "_lock_pages", lambda part: False)
    on_gpu_equals_cpu(dataset)


def test_a_refused_lock_leaves_no_error_behind():
    part = torch.zeros(1 << 20, dtype=torch.uint8)
    assert memory._lock_pages(part)
    assert not memory._lock_pages(part)  # it is locked already
    assert torch.ones(4, device="cuda").sum().item() == 4

"""What goes wrong while batches stream: a named error, or a row that counts for nothing; never a hang, never a loss."""

import os
import signal
import threading
from pathlib import Path

import pytest
import torch
from feeds import copies, damaged, open_feed, rows_of, spawner_process, workers_of

from avsync.data.order import Draw
from avsync.loading.feed import Feed
from avsync.loading.options import LoaderOptions
from sharding.errors import AvsyncError


def shard_of(feed: Feed, draw: Draw) -> Path:
    return feed.dataset.shard_path(draw.clip)


def test_a_shard_that_is_cut_short_costs_the_clips_behind_the_cut_and_no_other(dataset, tmp_path):
    feed = damaged(open_feed(dataset), tmp_path / "copy", [])
    rows, index = rows_of(feed), feed.dataset.index
    shard = shard_of(feed, rows[0][0])
    clips = [clip for clip in feed.clips.tolist() if feed.dataset.shard_path(clip) == shard]
    cut = int(index.offset[clips[2]]) + 7
    os.truncate(shard, cut)
    with feed.loader(LoaderOptions(workers=2)) as loader:
        for batch in loader.batches(rows):
            for draw, valid in zip(batch.draws, batch.valid, strict=True):
                assert bool(valid) == (draw.clip >= 0 and draw.clip not in clips[2:])
        assert loader.budget.total > 0


def test_a_shard_that_is_replaced_or_deleted_while_it_is_read_changes_nothing(dataset, tmp_path):
    """Workers keep it open; the directory may say what it wants."""
    feed = damaged(open_feed(dataset), tmp_path / "copy", [])
    rows = rows_of(feed) * 3
    calm = copies(feed, rows)
    with feed.loader(LoaderOptions(workers=1, prefetch=1)) as loader:
        for number, (batch, (yuv, audio)) in enumerate(zip(loader.batches(rows), calm, strict=True)):
            assert torch.equal(batch.yuv, yuv)
            assert torch.equal(batch.audio, audio)
            if number == len(rows) // 3:  # every shard is open by now
                for count, shard in enumerate(sorted((tmp_path / "copy" / "train").glob("*.tar"))):
                    if count % 2:
                        shard.unlink()
                    else:
                        (tmp_path / "other").write_bytes(b"another file")
                        (tmp_path / "other").replace(shard)
    assert loader.budget.total == 0


def test_bytes_that_change_under_an_open_file_are_noticed(dataset, tmp_path):
    feed = damaged(open_feed(dataset), tmp_path / "copy", [])
    rows = rows_of(feed)
    bad = rows[0][0].clip
    seen: list[bool] = []
    with feed.loader(LoaderOptions(workers=1, prefetch=1)) as loader:
        for number, batch in enumerate(loader.batches(rows * 2)):
            seen += [bool(valid) for draw, valid in zip(batch.draws, batch.valid, strict=True) if draw.clip == bad]
            if number == len(rows) - 3:
                with shard_of(feed, rows[0][0]).open("r+b") as shard:
                    shard.seek(int(feed.dataset.index.offset[bad]) + 3)
                    shard.write(b"\0\0")
    assert seen[0]
    assert not seen[-1]


def test_a_shard_that_comes_back_is_read_again(dataset, tmp_path):
    feed = damaged(open_feed(dataset), tmp_path / "copy", [])
    rows = rows_of(feed)
    shard, away = shard_of(feed, rows[0][0]), tmp_path / "away"
    shard.rename(away)
    with feed.loader(LoaderOptions(workers=2, prefetch=1)) as loader:
        stream = loader.batches(rows * 3)
        missed = [bool(next(stream).valid.all()) for _ in rows]
        away.rename(shard)
        next(stream)  # was under way already
        assert all(bool(next(stream).valid[0]) for _ in range(len(rows) - 1))
    assert not all(missed)


def test_a_worker_that_stands_still_is_told_and_nothing_is_lost_when_it_goes_on(dataset, capsys):
    feed = open_feed(dataset)
    rows = rows_of(feed) * 2
    calm = copies(feed, rows)
    with feed.loader(LoaderOptions(workers=1, prefetch=2, report_after_s=0.3)) as loader:
        for number, (batch, (yuv, _)) in enumerate(zip(loader.batches(rows), calm, strict=True)):
            assert torch.equal(batch.yuv, yuv)
            if number == 2:
                (worker,) = workers_of(spawner_process(), 1)
                worker.send_signal(signal.SIGSTOP)
                threading.Timer(1.5, worker.send_signal, [signal.SIGCONT]).start()
    assert "no clip came in for" in capsys.readouterr().err


def test_a_flipped_bit_costs_one_row_which_then_counts_for_nothing(dataset, tmp_path):
    feed = open_feed(dataset)
    bad = int(feed.clips[2])
    feed = damaged(feed, tmp_path / "copy", [bad])
    rows = rows_of(feed)
    with feed.loader(LoaderOptions()) as loader:
        for batch in loader.batches(rows):
            for row, draw in enumerate(batch.draws):
                assert bool(batch.valid[row]) == (draw.clip >= 0 and draw.clip != bad)
                if draw.clip == bad:
                    assert not batch.yuv[row].any()
                    assert not batch.audio[row].any()
        assert loader.budget.total == sum(draw.clip == bad for part in rows for draw in part) > 0
        assert "are not those that were packed" in loader.budget.last


def test_a_broken_dataset_stops_the_run_and_says_what_to_do(dataset, tmp_path):
    feed = open_feed(dataset)
    feed = damaged(feed, tmp_path / "copy", feed.clips.tolist())
    with (
        pytest.raises(AvsyncError, match=r"3 clips in a row were unusable; the last: .* pack the dataset again"),
        feed.loader(LoaderOptions(error_budget=3)) as loader,
    ):
        list(loader.batches(rows_of(feed)))


def test_a_missing_shard_is_a_named_skip_not_a_crash(dataset, tmp_path):
    feed = open_feed(dataset)
    feed = damaged(feed, tmp_path / "copy", [])
    feed.dataset.shard_path(int(feed.clips[0])).unlink()
    with feed.loader(LoaderOptions()) as loader:
        valid = [bool(row) for batch in loader.batches(rows_of(feed)) for row in batch.valid]
    assert any(valid)
    assert not all(valid)
    assert "cannot read" in loader.budget.last

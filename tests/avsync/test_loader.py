"""What the loader hands out is what was stored, in order, whatever the workers do; faults cost one row."""

import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from media import Video, write_video

from avsync.config import PairConfig, PairsName, ViewConfig
from avsync.draw import Draw, batches_of_rank, fixed_draws
from avsync.feed import Feed
from avsync.loading import spawner
from avsync.loading.options import LoaderOptions
from avsync.pairs import Pair, Sound
from sharding.codec import CODECS
from sharding.config import PackConfig
from sharding.dataset import Dataset
from sharding.errors import AvsyncError
from sharding.pack import pack


def open_feed(dataset: Path, law: PairsName = "symmetric") -> Feed:
    pairs = PairConfig(law=law, window_s=2, min_shift_s=1, max_shift_s=1.9)
    return Feed.open(dataset, "train", pairs, ViewConfig())


def rows_of(feed: Feed, batch: int = 4) -> list[list[Draw]]:
    draws = fixed_draws(feed.dataset.index, feed.clips, feed.law, feed.view, per_clip=2)
    return batches_of_rank(draws, batch, 0, 1)


def copies(feed: Feed, rows: list[list[Draw]], every: int = 1, **options) -> list[tuple[torch.Tensor, torch.Tensor]]:
    with feed.loader(LoaderOptions(**options), every) as loader:
        return [(batch.yuv.clone(), batch.audio.clone()) for batch in loader.batches(rows)]


@pytest.mark.parametrize("law", ["symmetric", "cyclic"])
@pytest.mark.parametrize("every", [1, 4])
def test_rows_hold_exactly_the_stored_windows(dataset, law, every):
    feed = open_feed(dataset, law)
    clock, codec = feed.dataset.info.clock, feed.dataset.codec
    rows = rows_of(feed)[:3]
    for batch_rows, (yuv, audio) in zip(rows, copies(feed, rows, every), strict=True):
        for draw, pictures, sounds in zip(batch_rows, yuv, audio, strict=True):
            stored, meta = feed.dataset.read(draw.clip), feed.dataset.read(draw.clip).meta()
            whole = np.empty((meta.frames, 72, 48), np.uint8)
            codec.decode_video(stored.video, range(meta.frames), whole)
            assert (pictures.numpy() == whole[draw.pair.picture : draw.pair.picture + 20 : every]).all()
            sound = np.empty((meta.samples, 1), np.int16)
            codec.decode_audio(stored.audio, 0, sound)
            for heard, got in zip(draw.pair.sounds, sounds, strict=True):
                start = clock.sample_at(heard.frame)
                want = np.roll(sound[start : start + 16_000], clock.sample_at(heard.roll), axis=0)
                assert (got.numpy() == want).all()


def test_workers_and_prefetch_change_nothing(dataset):
    feed = open_feed(dataset)
    rows = rows_of(feed)
    calm = copies(feed, rows, workers=1, prefetch=1)
    busy = copies(feed, rows, workers=5, prefetch=6)
    assert len(calm) == len(busy) == len(rows)
    for (yuv, audio), (other_yuv, other_audio) in zip(calm, busy, strict=True):
        assert torch.equal(yuv, other_yuv)
        assert torch.equal(audio, other_audio)


@pytest.mark.parametrize("codec", CODECS)
def test_the_last_window_of_a_clip_is_readable_where_frames_are_no_whole_samples(tmp_path, codec):
    """At 30000/1001 fps and 44,100 Hz a frame is 1471.47 samples: rounding must not run over a clip's end."""
    made = Video(fps=Fraction(30000, 1001), seconds=Fraction(17, 5), width=32, height=32)
    for number in range(3):
        write_video(
            tmp_path / "videos" / "a" / f"{number}.mp4", replace(made, seconds=made.seconds + Fraction(number, 15))
        )
    config = PackConfig(
        fps="30000/1001", size=32, min_clip_s="2", codec=codec, val_percent=0, test_percent=0, workers=1
    )
    pack(tmp_path / "videos", tmp_path / "data", config)
    feed = Feed.open(tmp_path / "data", "train", PairConfig(window_s=1, min_shift_s=0.1), ViewConfig(crop=1))
    frames = feed.dataset.index.frames
    draws = [
        Draw(int(clip), Pair(start, (Sound(start, 0, True), Sound(0, 0, False))), 0, 0, False)
        for clip in feed.clips
        for start in range(int(frames[clip]) - feed.law.window + 1)
    ]
    with feed.loader(LoaderOptions()) as loader:
        for batch in loader.batches(batches_of_rank(draws, 8, 0, 1)):
            assert batch.valid.tolist() == [draw.clip >= 0 for draw in batch.draws]
        assert loader.budget.total == 0


def test_a_batch_carries_keys_labels_and_padding(dataset):
    feed = open_feed(dataset)
    rows = rows_of(feed, batch=5)
    rows[-1][-1] = replace(rows[-1][-1], clip=-1)
    with feed.loader(LoaderOptions()) as loader:
        for batch, draws in zip(loader.batches(rows), rows, strict=True):
            assert batch.draws == tuple(draws)
            assert batch.in_sync.tolist() == [[1.0, 0.0]] * 5
            assert batch.valid.tolist() == [draw.clip >= 0 for draw in draws]
            assert batch.keys == tuple(feed.dataset.key(draw.clip) if draw.clip >= 0 else "" for draw in draws)


def test_slots_are_reused_so_memory_does_not_grow(dataset):
    feed = open_feed(dataset)
    rows = rows_of(feed)[:2] * 20
    with feed.loader(LoaderOptions(prefetch=3, workers=2)) as loader:
        places = {batch.yuv.data_ptr() for batch in loader.batches(rows)}
    assert len(places) <= 3 + 1


def test_a_batch_stays_as_it_is_until_the_next_is_asked_for(dataset):
    feed = open_feed(dataset)
    with feed.loader(LoaderOptions(prefetch=1, workers=4)) as loader:
        for batch in loader.batches(rows_of(feed)):
            before = batch.yuv.clone()
            time.sleep(0.02)  # the workers have filled all other slots by now
            assert torch.equal(batch.yuv, before)


def damage(dataset: Dataset, folder: Path, clips: list[int]) -> Dataset:
    """A copy of the dataset with one byte flipped in each of the clips."""
    import shutil

    shutil.copytree(dataset.folder, folder)
    copy = replace(dataset, folder=folder)
    for clip in clips:
        with copy.shard_path(clip).open("r+b") as shard:
            shard.seek(int(dataset.index.offset[clip]) + dataset.index.layout(clip).size // 2)
            byte = shard.read(1)
            shard.seek(-1, 1)
            shard.write(bytes([byte[0] ^ 255]))
    return copy


def test_a_flipped_bit_costs_one_row_which_then_counts_for_nothing(dataset, tmp_path):
    feed = open_feed(dataset)
    bad = int(feed.clips[2])
    feed = replace(feed, dataset=damage(feed.dataset, tmp_path / "copy", [bad]))
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
    feed = replace(feed, dataset=damage(feed.dataset, tmp_path / "copy", feed.clips.tolist()))
    with (
        pytest.raises(AvsyncError, match=r"3 clips in a row were unusable; the last: .* pack the dataset again"),
        feed.loader(LoaderOptions(error_budget=3)) as loader,
    ):
        list(loader.batches(rows_of(feed)))


def test_a_missing_shard_is_a_named_skip_not_a_crash(dataset, tmp_path):
    feed = open_feed(dataset)
    copy = damage(feed.dataset, tmp_path / "copy", [])
    copy.shard_path(int(feed.clips[0])).unlink()
    feed = replace(feed, dataset=copy)
    with feed.loader(LoaderOptions()) as loader:
        valid = [bool(row) for batch in loader.batches(rows_of(feed)) for row in batch.valid]
    assert any(valid)
    assert not all(valid)
    assert "cannot read" in loader.budget.last


def workers_of(process: psutil.Process) -> list[psutil.Process]:
    """Worker processes are children of the one they are forked from."""
    return [worker for spawner in process.children() for worker in spawner.children()]


def gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=10)
    return not alive


def test_leaving_early_ends_all_workers(dataset):
    feed = open_feed(dataset)
    with feed.loader(LoaderOptions(workers=4)) as loader:
        next(loader.batches(rows_of(feed) * 50))
        workers = workers_of(psutil.Process())
        assert len(workers) == 4
    assert gone(workers)


def test_a_killed_worker_is_replaced_and_no_row_is_lost(dataset):
    feed = open_feed(dataset)
    rows = rows_of(feed) * 4
    calm = copies(feed, rows)
    with feed.loader(LoaderOptions(workers=3, prefetch=3)) as loader:
        for number, (batch, (yuv, audio)) in enumerate(zip(loader.batches(rows), calm, strict=True)):
            assert torch.equal(batch.yuv, yuv)
            assert torch.equal(batch.audio, audio)
            if number in (2, 5, 6):
                workers_of(psutil.Process())[0].kill()
    assert loader.budget.total == 0
    assert loader.meter.replaced == 3


def test_a_clip_that_kills_its_workers_costs_one_row_and_its_name_is_told(dataset, monkeypatch):
    """A reader that ends its process stands for a decoder that crashes on a clip."""
    feed = open_feed(dataset)
    deadly = int(feed.clips[3])
    monkeypatch.setenv("AVSYNC_TEST_DEADLY", str(feed.dataset.place(deadly).offset))
    rows = rows_of(feed)
    monkeypatch.setattr(spawner, "PROGRAM", DEADLY + spawner.PROGRAM)
    spawner.spawner_of.cache_clear()
    try:
        with feed.loader(LoaderOptions(workers=2)) as loader:
            for batch in loader.batches(rows):
                for row, draw in enumerate(batch.draws):
                    same = feed.dataset.place(draw.clip).offset == feed.dataset.place(deadly).offset
                    assert bool(batch.valid[row]) == (draw.clip >= 0 and not same)
    finally:
        spawner.spawner_of.cache_clear()
    assert "2 worker processes ended by SIGSEGV while they read it" in loader.budget.last


DEADLY = """
import os, signal
from avsync.loading import fetch
fill = fetch.Fetcher.fill
def deadly(self, request, *rest):
    if str(request.place.offset) == os.environ["AVSYNC_TEST_DEADLY"]:
        os.kill(os.getpid(), signal.SIGSEGV)
    return fill(self, request, *rest)
fetch.Fetcher.fill = deadly
"""


def test_a_bug_in_a_worker_reaches_the_caller(dataset, monkeypatch):
    feed = open_feed(dataset)
    broken = "from avsync.loading import fetch\nfetch.Fetcher.fill = lambda *_: 1 // 0\n"
    monkeypatch.setattr(spawner, "PROGRAM", broken + spawner.PROGRAM)
    spawner.spawner_of.cache_clear()
    try:
        with pytest.raises(RuntimeError, match="ZeroDivisionError"), feed.loader(LoaderOptions()) as loader:
            next(loader.batches(rows_of(feed)))
    finally:
        spawner.spawner_of.cache_clear()


TRAINER = """
import sys, time
from pathlib import Path
from avsync.config import PairConfig, ViewConfig
from avsync.draw import batches_of_rank, fixed_draws
from avsync.feed import Feed
from avsync.loading import spawner
from avsync.loading.options import LoaderOptions
feed = Feed.open(Path(sys.argv[1]), "train", PairConfig(window_s=2, min_shift_s=1, max_shift_s=1.9), ViewConfig())
draws = fixed_draws(feed.dataset.index, feed.clips, feed.law, feed.view, per_clip=2)
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
        others = [*process.children(), *workers_of(process)]
        assert len(others) == 3
        parent.send_signal(number)
        parent.stdout.read()
    assert gone(others)


def test_signals_that_stop_a_run_leave_its_workers_alone(dataset):
    """SLURM and terminals signal every process of a job; the trainer needs its workers until it has saved."""
    feed = open_feed(dataset)
    rows = rows_of(feed) * 3
    with feed.loader(LoaderOptions(workers=2)) as loader:
        for batch in loader.batches(rows):
            for worker in [*psutil.Process().children(), *workers_of(psutil.Process())]:
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
                    worker.send_signal(number)
            assert batch.valid.any()
    assert loader.meter.replaced == 0


def test_a_wait_without_end_is_told_and_then_ended(dataset, tmp_path, monkeypatch, capsys):
    """A worker that sleeps stands for a read that a network disk never answers."""
    feed = open_feed(dataset)
    asleep = "import time\nfrom avsync.loading import fetch\nfetch.ShardReader.read = lambda *_: time.sleep(3600)\n"
    monkeypatch.setattr(spawner, "PROGRAM", asleep + spawner.PROGRAM)
    spawner.spawner_of.cache_clear()
    options = LoaderOptions(workers=2, rank=3, report_after_s=0.5, stop_after_s=1.2)
    try:
        with pytest.raises(AvsyncError, match=r"no clip came in for 1 s") as raised, feed.loader(options) as loader:
            next(loader.batches(rows_of(feed)))
        workers = workers_of(psutil.Process())
    finally:
        spawner.spawner_of.cache_clear()
    told = capsys.readouterr().err
    shard = feed.dataset.shard_path(int(rows_of(feed)[0][0].clip))
    for text in (told, str(raised.value)):
        assert re.search(rf"worker \d+ has been reading for \d+ s: {shard} at byte \d+", text)
    assert "rank 3: no clip came in for" in told
    for worker in workers:
        worker.kill()


def test_a_spawner_that_was_killed_is_named(dataset):
    feed = open_feed(dataset)
    spawner.spawner_of.cache_clear()
    try:
        with feed.loader(LoaderOptions(workers=2)) as loader:
            for child in psutil.Process().children():
                child.kill()
                child.wait()
            with pytest.raises(AvsyncError, match="the process that starts workers has ended"):
                next(loader.batches(rows_of(feed)))
    finally:
        spawner.spawner_of.cache_clear()

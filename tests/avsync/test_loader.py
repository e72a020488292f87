"""What the loader hands out is what was stored, in order, whatever the threads do; faults cost one row."""

import threading
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from media import Video, write_video

from avsync.config import PairConfig, PairsName, ViewConfig
from avsync.draw import Draw, batches_of_rank, fixed_draws
from avsync.feed import Feed
from avsync.loader import SPARE_SLOTS, LoaderOptions
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


def test_threads_and_prefetch_change_nothing(dataset):
    feed = open_feed(dataset)
    rows = rows_of(feed)
    calm = copies(feed, rows, threads=1, prefetch=1)
    busy = copies(feed, rows, threads=8, prefetch=6)
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
    with feed.loader(LoaderOptions(prefetch=3)) as loader:
        places = {batch.yuv.data_ptr() for batch in loader.batches(rows)}
    assert len(places) <= 3 + SPARE_SLOTS


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


def test_leaving_early_ends_all_threads(dataset):
    feed = open_feed(dataset)
    with feed.loader(LoaderOptions(threads=4)) as loader:
        next(loader.batches(rows_of(feed) * 50))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("avsync-decode")]


def test_a_bug_in_a_thread_reaches_the_caller(dataset, monkeypatch):
    feed = open_feed(dataset)

    def explode(self, clip):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Dataset, "read", explode)
    with pytest.raises(ZeroDivisionError, match="a bug"), feed.loader(LoaderOptions()) as loader:
        next(loader.batches(rows_of(feed)))

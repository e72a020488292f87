"""What the loader hands out is what was stored, in order, whatever the workers do; faults cost one row."""

import time
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from feeds import copies, open_feed, rows_of
from media import Video, write_video

from avsync.config import PairConfig, ViewConfig
from avsync.data.order import Draw, batches_of_rank
from avsync.data.pairs import Pair, SoundWindow
from avsync.loading.feed import Feed
from avsync.loading.options import LoaderOptions
from sharding.config import PackConfig
from sharding.format.codec import CODECS
from sharding.pack.pack import pack


@pytest.mark.parametrize("law", ["symmetric", "cyclic"])
@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize("form", ["dataset", "raw_dataset"])
def test_rows_hold_exactly_the_stored_windows(form, request, law, every):
    feed = open_feed(request.getfixturevalue(form), law)
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
        Draw(int(clip), Pair(start, (SoundWindow(start, 0, True), SoundWindow(0, 0, False))), 0, 0, False)
        for clip in feed.clips
        for start in range(int(frames[clip]) - feed.sampler.window + 1)
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

"""Clips cover a source without loss; a group's split depends on its name alone."""

import hashlib
from dataclasses import replace
from fractions import Fraction as F
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sharding.config import PackConfig
from sharding.errors import RejectError, RejectReason
from sharding.format.clip import FORMAT_VERSION
from sharding.format.codec import codec_named
from sharding.pack.cut import cut
from sharding.plan.plan import SOFTWARE, plan_shard
from sharding.sources.source import Source, split_of

CONFIG = PackConfig()


@given(start=st.fractions(0, 100), seconds=st.fractions(0, 500), fps=st.sampled_from(["30", "30000/1001", "25"]))
def test_clips_are_equal_pieces_between_the_shortest_and_longest_allowed(start: F, seconds: F, fps: str):
    config = PackConfig(fps=fps)
    span = (start, start + seconds)
    if seconds < F(9, 2):
        with pytest.raises(RejectError, match=RejectReason.TOO_SHORT):
            cut([span], config)
        return
    assume(seconds >= F(9, 2) + 2 / config.clock.fps)  # between the two it depends on where the frames fall
    pieces = cut([span], config)
    lengths = [len(piece) for piece in pieces]
    assert min(lengths) >= config.min_clip_frames
    assert max(lengths) <= config.clip_frames
    assert max(lengths) - min(lengths) <= 1
    assert all(one.stop == next_one.start for one, next_one in pairwise(pieces))
    assert pieces[0].start / config.clock.fps >= start + config.trim
    assert pieces[-1].stop / config.clock.fps <= start + seconds - config.trim


@given(seconds=st.fractions(8, 500))
def test_with_the_default_lengths_little_but_the_trimmed_ends_is_lost(seconds: F):
    pieces = cut([(F(0), seconds)], CONFIG)
    lost = (seconds - F(1, 2)) * 30 - sum(map(len, pieces))
    assert lost <= (62 if 10 < seconds - F(1, 2) < F("12.1") else 2)


@given(seconds=st.fractions(F(13, 2) + F(1, 10), 500))
def test_no_clip_is_too_short_for_a_training_pair_where_a_longer_one_fits(seconds: F):
    assert min(map(len, cut([(F(0), seconds)], CONFIG))) >= 6 * 30


def test_two_short_halves_give_way_to_one_whole_clip():
    assert [len(piece) for piece in cut([(F(0), F(11))], CONFIG)] == [300]
    assert [len(piece) for piece in cut([(F(0), F("12.6"))], CONFIG)] == [181, 181]
    assert [len(piece) for piece in cut([(F(0), F(5))], CONFIG)] == [134]  # nothing longer fits: better than nothing


def test_the_thesis_gets_two_clips_of_four_seconds():
    config = PackConfig(clip_s="4", max_clips_per_source=2)
    assert [len(piece) for piece in cut([(F(0), F(10))], config)] == [120, 120]
    assert [len(piece) for piece in cut([(F(0), F(60))], config)] == [120, 120]


def test_wanted_clips_spread_over_a_long_source():
    pieces = cut([(F(0), F(1000))], PackConfig(max_clips_per_source=3))
    assert [round(piece.start / 30 / 100) for piece in pieces] == [2, 5, 8]


def test_a_group_stays_on_its_side_whatever_else_there_is():
    assert [split_of(group, 10, 10) for group in ("a", "b", "film/7", "bell", "x1")] == SIDES
    assert split_of("anything", 0, 0) == "train"
    assert split_of("anything", 100, 0) == "val"
    assert split_of("anything", 0, 100) == "test"


SIDES = ["train", "train", "train", "test", "test"]


@pytest.mark.parametrize("percent", [5, 10, 30])
def test_shares_of_the_splits_come_near_the_wish(percent: int):
    sides = [split_of(f"group {number}", percent, percent) for number in range(4000)]
    for split in ("val", "test"):
        assert abs(sides.count(split) / 4000 - percent / 100) < 0.02


def test_a_source_that_names_no_stream_has_the_digest_of_before_there_were_any(tmp_path: Path):
    (tmp_path / "a.mp4").write_bytes(b"12345")
    source = Source(id="a-0", path=tmp_path / "a.mp4", rel="a.mp4", action="x", group="g", span=(F(1, 3), None))
    date = source.path.stat().st_mtime_ns
    facts = [
        (FORMAT_VERSION, SOFTWARE, repr(codec_named(CONFIG.codec)), CONFIG.decides_bytes()),
        [["a-0", "a.mp4", "x", "g", ["1/3", None], [(5, date)]]],
    ]
    before = hashlib.sha256(msgspec.json.encode(facts, order="deterministic")).hexdigest()
    choices = [source, *(replace(source, **{name: at}) for name in ("video_stream", "audio_stream") for at in (0, 1))]
    digests = [plan_shard("train", 0, [one], CONFIG).digest for one in choices]
    assert digests[0] == before
    assert len(set(digests)) == len(digests)

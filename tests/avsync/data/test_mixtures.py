"""Mixtures are a function of (seed, step, clip), and nothing in one of them tells which part is the picture's."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from avsync.data.batch import Batch
from avsync.data.mixtures import AUDIBLE, LEVEL, gains_db, mixed
from avsync.data.order import Draw, Order, check_batch, partnered, share_of_rank
from avsync.data.pairs import InSync, Pair, SoundWindow
from sharding.errors import UsageError

GROUPS = st.lists(st.integers(0, 5), min_size=1, max_size=20).map(lambda half: np.array(half * 2))


def batch_of(clips: list[int], valid: list[bool] | None = None) -> Batch:
    count = len(clips)
    pair = Pair(0, (SoundWindow(0, 0, in_sync=True),))
    return Batch(
        keys=("",) * count,
        jsons=(None,) * count,
        draws=tuple(Draw(clip, pair, 0, 0, False) for clip in clips),
        yuv=torch.zeros(count, 1, 3, 2, dtype=torch.uint8),
        audio=torch.zeros(count, 1, 1, 1, dtype=torch.int16),
        in_sync=torch.ones(count, 1),
        matrix=torch.zeros(count, dtype=torch.int64),
        valid=torch.tensor(valid or [True] * count),
    )


@given(GROUPS)
def test_partners_are_of_other_groups_unless_one_has_more_than_half_of_the_clips(group: np.ndarray) -> None:
    clips = np.arange(len(group)) * 7
    got = partnered(clips, group)
    assert sorted(got.tolist()) == clips.tolist()
    one, other = group[got.reshape(-1, 2) // 7].T
    most = np.bincount(group).max()
    assert int((one == other).sum()) == max(0, most - len(group) // 2)


@given(st.integers(0, 200), st.sampled_from([(1, 1), (2, 1), (1, 2), (2, 2)]))
def test_partners_come_to_one_process_however_many_there_are(step: int, shared: tuple[int, int]) -> None:
    ranks, passes = shared
    clips = np.arange(64, dtype=np.int64)
    group = np.arange(64) // 3
    order = Order(clips=clips, shards=(clips // 9).astype(np.int32), batch=16, seed=3, partners=group)
    whole = order.step(step).clips
    pairs = {frozenset(pair) for pair in whole.reshape(-1, 2).tolist()}
    dealt = [rows for rank in range(ranks) for rows in share_of_rank(whole, rank, ranks, passes)]
    assert {frozenset(pair) for rows in dealt for pair in rows.reshape(-1, 2).tolist()} == pairs
    assert all(len(set(group[list(pair)])) == 2 for pair in pairs)
    plain = Order(clips=clips, shards=(clips // 9).astype(np.int32), batch=16, seed=3)
    assert sorted(plain.step(step).clips) == sorted(whole)


def test_a_batch_that_would_part_partners_is_refused() -> None:
    check_batch(6, 3, 1)
    with pytest.raises(UsageError, match=r"--batch 6 .*two by two.* multiple of 12"):
        check_batch(6, 3, 2, partners=True)
    check_batch(12, 3, 2, partners=True)


@given(st.integers(0, 2**32 - 1), st.integers(0, 10**6), st.floats(0, 60))
def test_gains_depend_on_seed_step_and_clip_alone_and_keep_their_bounds(seed: int, step: int, spread: float) -> None:
    clips = [5, 9, 2, -1]
    gains = gains_db(clips, seed, step, spread)
    assert gains[1:3] == gains_db(clips[1:3], seed, step, spread)
    assert all(abs(gain) <= spread / 2 for gain in gains)
    assert gains[3] == 0
    if spread > 1:
        assert gains != gains_db(clips, seed, step + 1, spread)
        assert gains != gains_db(clips, seed ^ 1, step, spread)


def test_each_part_is_once_the_pictures_own_and_once_the_other_of_the_same_mixture() -> None:
    sounds = torch.randn(6, 2, 500, generator=torch.Generator().manual_seed(0))
    got = mixed(sounds, batch_of([0, 1, 2, 3, 4, 5]), 0, 0, 6.0)
    assert torch.equal(got.others[0::2], got.parts[1::2])
    assert torch.equal(got.others[1::2], got.parts[0::2])
    assert torch.allclose(got.sounds.repeat_interleave(2, 0), got.parts + got.others)
    loud = got.parts.square().mean(dim=(1, 2)).sqrt() / LEVEL
    assert bool(((loud.log10() * 20).abs() <= 3.001).all())
    assert bool(got.counts.all())


@pytest.mark.parametrize("silent", [0, 1])
def test_a_mixture_with_a_part_that_is_silent_or_unreadable_counts_for_nothing(silent: int) -> None:
    sounds = torch.randn(4, 1, 500)
    sounds[silent] *= AUDIBLE / 10
    assert mixed(sounds, batch_of([0, 1, 2, 3]), 0, 0, 0).counts.tolist() == [False, False, True, True]
    valid = [True] * 4
    valid[2 + silent] = False
    got = mixed(torch.randn(4, 1, 500), batch_of([0, 1, 2, 3], valid), 0, 0, 0)
    assert got.counts.tolist() == [True, True, False, False]
    assert not got.parts[2 + silent].any()  # of what could not be read the memory holds anything


def test_windows_of_a_sound_and_its_picture_begin_together_anywhere() -> None:
    law = InSync(window=4)
    drawn = {law(10, np.random.default_rng(seed)) for seed in range(200)}
    assert {pair.picture for pair in drawn} == set(range(7))
    assert all(pair.shift(0) == 0 for pair in drawn)
    ways = law.ways(10)
    assert sum(Fraction(int(way), int(of)) for way, of in zip(ways.ways, ways.of, strict=True)) == 1

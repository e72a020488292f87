"""Pairs leak nothing: each law is checked for bounds, determinism, and what position alone would tell."""

from collections import Counter
from fractions import Fraction
from functools import partial
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avsync.config import PairConfig, PairsName, ViewConfig
from avsync.data.order import (
    Order,
    View,
    batches_of_rank,
    clip_rng,
    draws_of_step,
    fixed_choice,
    fixed_draws,
    usable_clips,
)
from avsync.data.pairs import PAIRS, Symmetric, Ways, build_sampler
from sharding.errors import InputError
from sharding.format.clip import Clock
from sharding.format.index import Index
from sharding.format.records import ClipRecord, ShardRecord

LAWS = {**PAIRS, "symmetric, 3 sounds": partial(Symmetric, sounds=3), "symmetric, 8": partial(Symmetric, sounds=8)}
"""Every law, and symmetric pairs of more than two sounds."""
CLOCK = Clock(fps=Fraction(30), sample_rate=44_100)


def index_of(*frames: int) -> Index:
    clips = tuple(
        ClipRecord(
            key=f"v{n}/00000008", action="a", group=f"v{n}", frames=count, offset=512 + 3072 * n, size=2049, crc32=0,
            video=(1024, 1), audio=(2048, 1), json_bytes=1,
        )
        for n, count in enumerate(frames)
    )  # fmt: skip
    shard = ShardRecord(format_version=1, plan="", tar_bytes=0, sha256="", clips=clips)
    return Index.build([(0, shard)], ("a",))


def test_every_law_has_its_name_in_the_settings():
    assert set(PAIRS) == set(get_args(PairsName))


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("seed", range(50))
def test_every_law_stays_inside_the_clip_and_repeats_itself(name, seed):
    low = 60 if name in PAIRS else 12
    law = LAWS[name](window=120, low=low, high=90)
    frames = law.shortest() + seed * 3
    pair = law(frames, np.random.default_rng(seed))
    assert pair == law(frames, np.random.default_rng(seed))
    assert len(pair.sounds) == law.sounds
    assert 0 <= pair.picture <= frames - 120
    for number, sound in enumerate(pair.sounds):
        assert 0 <= sound.frame <= frames - 120
        assert sound.in_sync == (pair.shift(number) == 0)
        assert sound.in_sync or low <= abs(pair.shift(number)) <= 90
    assert sum(sound.in_sync for sound in pair.sounds) == 1 or law.sounds == 1
    gaps = np.diff(sorted(sound.frame for sound in pair.sounds))
    assert np.all(gaps == gaps[:1])  # evenly spaced


Example = tuple[int, int, int, bool]
"""Picture, sound, roll, in sync."""


def examples(ways: Ways) -> dict[Example, Fraction]:
    """Each with its chance."""
    columns = (ways.picture, ways.sound, ways.roll, ways.in_sync, ways.ways, ways.of)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    chances = {row[:4]: Fraction(*row[4:]) for row in rows}
    assert len(chances) == len(ways.ways), "an example has two rows"
    return chances


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("frames", [6, 7, 9, 13, 20])
def test_every_law_draws_as_it_says_it_does(name, frames):
    """The support exactly; frequencies by chi-square, each label's by itself."""
    low, high = (2, 5) if name in PAIRS else (1, 8)
    law, draws, rng = LAWS[name](window=4, low=low, high=high), 20_000, np.random.default_rng(frames)
    frames, labels = max(frames, law.shortest()), {True: 1.0, False: 1.0}
    if law.sounds > 1:  # half of the chance is the one sound's in sync
        labels = {True: 2 / law.sounds, False: 2 * (law.sounds - 1) / law.sounds}
    wanted, seen = examples(law.ways(frames)), Counter[Example]()
    for _ in range(draws):
        pair = law(frames, rng)
        seen.update((pair.picture, sound.frame, sound.roll, sound.in_sync) for sound in pair.sounds)
    assert set(seen) == set(wanted)
    expected = {one: draws * law.sounds * float(chance) * labels[one[3]] for one, chance in wanted.items()}
    chi2 = sum((seen[one] - count) ** 2 / count for one, count in expected.items())
    together = max(1, law.sounds / 2)  # a draw gives its sounds together: that many times the spread, at most
    assert chi2 < together * (len(wanted) + 5 * np.sqrt(2 * len(wanted)))


LENGTHS = {"window": st.integers(3, 40), "low": st.integers(1, 30), "wide": st.integers(0, 60)}


@pytest.mark.parametrize("name", LAWS)
@given(**LENGTHS, longer=st.integers(0, 100))
def test_every_law_gives_every_clip_both_labels_half_and_half(name, window, low, wide, longer):
    """So the clip, and its length, tell nothing of the label."""
    low = min(low, window - 1)
    law = LAWS[name](window=window, low=low, high=7 * low + wide)
    chances = examples(law.ways(law.shortest() + longer))
    assert sum(chances.values()) == 1
    assert sum(chance for example, chance in chances.items() if example[3]) == Fraction(1, 2)
    assert all(ways_in >= 0 for example in chances for ways_in in example[:3])


@given(**LENGTHS, longer=st.integers(0, 300), sounds=st.integers(2, 9))
def test_symmetric_windows_lie_at_every_place_in_as_many_ways_under_both_labels(window, low, wide, longer, sounds):
    """Counts, not chances: the leak of either place is 0 bits, without rounding, whatever the lengths."""
    law = Symmetric(window=window, low=low, high=low * (sounds - 1) + wide, sounds=sounds)
    ways = law.ways(law.shortest() + longer)
    assert np.all(ways.of == ways.of[0])
    for place in (ways.sound, ways.picture):
        in_sync, out = (
            np.bincount(place[label], ways.ways[label], place.max() + 1) for label in (ways.in_sync, ~ways.in_sync)
        )
        assert in_sync.tolist() == out.tolist()


def test_symmetric_positions_have_one_law_under_both_labels():
    """All legal ordered pairs are equally likely, so picture, true sound and shifted sound start alike: 0 bits."""
    law, frames, draws = Symmetric(window=4, low=2, high=5), 12, 40_000
    rng = np.random.default_rng(0)
    pairs = [law(frames, rng) for _ in range(draws)]
    legal = [(p, q) for p in range(9) for q in range(9) if 2 <= abs(p - q) <= 5]
    seen = Counter((pair.sounds[0].frame, pair.sounds[1].frame) for pair in pairs)
    assert set(seen) == set(legal)
    expected = draws / len(legal)
    chi2 = sum((seen[pair] - expected) ** 2 / expected for pair in legal)
    assert chi2 < len(legal) + 5 * np.sqrt(2 * len(legal))
    both = {(q, p) for p, q in legal}
    assert both == set(legal)  # the set is symmetric: swapping roles changes nothing, exactly


def test_the_shift_follows_the_papers_law_uniform_over_frame_and_shift():
    law, rng = Symmetric(window=4, low=2, high=5), np.random.default_rng(1)
    distances = Counter(abs(law(12, rng).shift(1)) for _ in range(20_000))
    total = sum(8 - d + 1 for d in range(2, 6))
    for distance in range(2, 6):
        assert distances[distance] / 20_000 == pytest.approx((8 - distance + 1) / total, abs=0.015)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (PairConfig(window_s=0.01), "both must be at least one frame"),
        (PairConfig(law="cyclic", window_s=1, min_shift_s=2), "below --pairs.window-s"),
    ],
)
def test_impossible_pairs_are_refused(config, message):
    with pytest.raises(InputError, match=message):
        build_sampler(config, CLOCK)


def test_seconds_become_frames_exactly_at_ntsc_rate():
    law = build_sampler(PairConfig(window_s=4.2), Clock(fps=Fraction(30000, 1001), sample_rate=21_000))
    assert law.window == 125  # the paper's 4.2 s


def test_clips_too_short_for_the_shift_are_left_out_and_none_at_all_is_an_error():
    law = build_sampler(PairConfig(), CLOCK)  # 4 s + 2 s = 180 frames
    assert usable_clips(index_of(179, 180, 300), law, CLOCK)[:].tolist() == [1, 2]
    with pytest.raises(InputError, match=r"need 6\.00 s .* the longest clip has 5\.00 s"):
        usable_clips(index_of(150, 149), law, CLOCK)


def test_draws_are_the_same_on_any_number_of_ranks():
    index, law = index_of(*[300] * 40), build_sampler(PairConfig(), CLOCK)
    view = View.build(ViewConfig(), 256, 256)
    order = Order(clips=np.arange(40), shards=index.shard, batch=8, seed=5)

    def rows(ranks: int, accumulate: int) -> set:
        return {
            draw
            for step in range(12)
            for rank in range(ranks)
            for part in draws_of_step(order, step, law, index, view, rank, ranks, accumulate)
            for draw in part
        }

    alone = rows(1, 1)
    assert alone == rows(2, 1) == rows(4, 2) == rows(1, 8)
    assert all(draw.top % 2 == draw.left % 2 == 0 and draw.top <= 32 and draw.left <= 32 for draw in alone)
    assert {draw.flip for draw in alone} == {True, False}
    assert len({draw.pair.picture for draw in alone}) > 10, "windows must be fresh each epoch"


def test_the_fixed_clips_are_those_that_they_have_always_been():
    """Points of validation curves can be compared, whatever NumPy it is: only raw numbers of its generator are used."""
    assert fixed_choice(np.arange(1000), 8).tolist() == [33, 190, 305, 385, 728, 752, 869, 909]
    assert fixed_choice(np.arange(5), 8).tolist() == [0, 1, 2, 3, 4]


def test_fixed_draws_never_change_and_pad_to_equal_batches():
    index, law = index_of(*[300] * 11), build_sampler(PairConfig(), CLOCK)
    view = View.build(ViewConfig(), 256, 256)
    clips = fixed_choice(np.arange(11), 7)
    assert clips.tolist() == fixed_choice(np.arange(11), 7).tolist()
    draws = fixed_draws(index, clips, law, view, per_clip=2)
    assert draws == fixed_draws(index, clips, law, view, per_clip=2)
    assert len({draw.pair for draw in draws}) > 7
    assert all((draw.top, draw.left, draw.flip) == (16, 16, False) for draw in draws)
    shares = [batches_of_rank(draws, 4, rank, 2) for rank in range(2)]
    assert len(shares[0]) == len(shares[1])
    real = [draw for share in shares for batch in share for draw in batch if draw.clip >= 0]
    assert sorted(map(str, real)) == sorted(map(str, draws))


def test_two_laws_draw_with_the_clips_own_randomness():
    law = Symmetric(window=120, low=60, high=177)
    assert law(300, clip_rng(0, 0, 7)) == law(300, clip_rng(0, 0, 7))
    assert law(300, clip_rng(0, 0, 7)) != law(300, clip_rng(0, 1, 7))

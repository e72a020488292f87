"""Clips known by their shards are the clips that a list of them would name, whatever is asked of them."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from avsync.data import order
from avsync.data.clips import LongClips, UsableClips, runs_of
from avsync.data.order import FIXED_SEED, Digest, Order, fixed_choice, shuffled, usable_clips
from avsync.data.selection import Selection
from avsync.run.info import describe_run
from sharding.errors import UsageError
from sharding.format import walk
from sharding.format.clip import Clock
from sharding.format.columns import COLUMNS
from sharding.format.index import Index, MappedIndex
from tests.avsync.avsync_settings import quick_config
from tests.avsync.data.test_order import LAW, index_of, indexes

SHORTEST = LAW.shortest()


def listed(index: Index) -> NDArray[np.int64]:
    return np.flatnonzero(index.frames >= SHORTEST)


@pytest.fixture(params=[3, 50, 2**21])
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    for module in (walk, order):
        monkeypatch.setattr(module, "CHUNK", request.param)
    return request.param


@pytest.mark.usefixtures("chunk")
def test_any_slice_of_them_is_that_of_the_list():
    @settings(deadline=None, max_examples=60)
    @given(indexes(), st.integers(-3, 700), st.integers(-3, 700), st.integers(20, 61))
    def check(index: Index, start: int, stop: int, shortest: int) -> None:
        want, found = np.flatnonzero(index.frames >= shortest), LongClips.of(index, shortest)
        assert len(found) == len(want)
        assert found[start:stop].tolist() == want[start:stop].tolist()
        assert found[:].tolist() == want.tolist()
        some = np.flatnonzero(np.arange(len(want)) % 3 == 1)[::-1]
        assert found[some].tolist() == want[some].tolist()
        mine, theirs = runs_of(found, index), runs_of(want, index)
        for name in ("number", "size", "first", "rows"):
            assert np.array_equal(getattr(mine, name), getattr(theirs, name)), name

    check()


@settings(deadline=None, max_examples=60)
@given(indexes(), st.integers(1, 24), st.integers(0, 2**32 - 1), st.integers(0, 2**20))
def test_the_order_is_the_same_by_either(index: Index, batch: int, seed: int, step: int):
    want = listed(index)
    assume(len(want) >= batch)
    orders = [
        Order(clips=clips, shards=runs_of(clips, index), batch=batch, seed=seed)
        for clips in (want, LongClips.of(index, SHORTEST))
    ]
    orders.append(Order(clips=want, shards=index.shard[want], batch=batch, seed=seed))
    steps = [[one.step(step + more).clips.tolist() for more in range(5)] for one in orders]
    assert steps[0] == steps[1] == steps[2]
    states = {Digest.resumed(one, step + 1, "ab").state for one in orders}
    blocks = {tuple(next(one.blocks(step)).tolist()) for one in orders}
    assert len(states) == len(blocks) == 1


@pytest.mark.usefixtures("chunk")
@pytest.mark.parametrize("length", [0, 1, 5, 100, 173])
@pytest.mark.parametrize("count", [0, 1, 5, 99, 1000])
def test_the_fixed_choice_is_the_beginning_of_the_whole_permutation(length: int, count: int):
    clips = np.arange(length) * 7
    assert fixed_choice(clips, count).tolist() == np.sort(shuffled(clips, FIXED_SEED, 0, 0)[:count]).tolist()


def test_the_fixed_choice_of_clips_known_by_shard_is_that_of_the_list():
    @settings(deadline=None, max_examples=30)
    @given(indexes(), st.integers(1, 50))
    def check(index: Index, count: int) -> None:
        found: UsableClips = LongClips.of(index, SHORTEST)
        assert fixed_choice(found, count).tolist() == fixed_choice(listed(index), count).tolist()

    check()


def test_where_no_clip_of_a_mapped_index_is_long_enough_that_is_told():
    index = index_of([2, 1], [1, 1], [29])
    index = MappedIndex(**{name: getattr(index, name) for name in COLUMNS})
    with pytest.raises(UsageError, match="no clip is long enough"):
        usable_clips(index, LAW, Clock(fps=Fraction(30), sample_rate=16000))


def test_a_run_goes_on_where_its_split_is_mapped_from_now_on(dataset: Path, monkeypatch: pytest.MonkeyPatch):
    """Clips, order, windows and fingerprint are those that it began with."""
    config = quick_config()

    def described() -> tuple[type[Index], object, object]:
        split = Selection.of_folder(dataset, "train", config.pairs, config.view)
        begun = describe_run("", config, split, split, split.training_order(config))
        fixed = split.fixed_draws(split.fixed_clips(5)), split.sources(3)
        return type(split.dataset.index), begun, (fixed, split.clips.tolist())

    whole = described()
    monkeypatch.setattr("sharding.format.index.WHOLE", 0)
    found = described()
    assert (whole[0], found[0]) == (Index, MappedIndex)
    assert whole[1:] == found[1:]

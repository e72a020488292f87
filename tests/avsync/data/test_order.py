"""The order is a function: who asks, when, and on how many ranks changes nothing; and it is shuffled well."""

import hashlib

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from avsync.config import ViewConfig
from avsync.data.order import (
    BLOCK_SHARDS,
    Digest,
    Draw,
    Order,
    View,
    balanced,
    check_batch,
    clip_rng,
    draws_of_step,
    share_of_rank,
)
from avsync.data.pairs import Symmetric
from sharding.base.files import to_json
from sharding.errors import InputError
from sharding.format.columns import COLUMNS, Columns
from sharding.format.index import Index

LAW = Symmetric(window=20, low=10, high=25)
VIEW = View.build(ViewConfig(), 64, 48)


def index_of(sizes: list[int], gaps: list[int], frames: list[int]) -> Index:
    """A split whose shards hold `sizes` clips; shard numbers grow by `gaps`, lengths of clips repeat `frames`."""
    columns: Columns = {name: np.zeros(sum(sizes), kind) for name, kind in COLUMNS.items()}
    columns["shard"] = np.repeat(np.cumsum(gaps)[: len(sizes)], sizes).astype(np.int32)
    columns["frames"] = np.resize(np.array(frames, np.int32), sum(sizes))
    return Index(**columns)


def order_in(index: Index, batch: int, seed: int) -> Order:
    clips = np.flatnonzero(index.frames >= LAW.shortest())
    return Order(clips=clips, shards=index.shard[clips], batch=batch, seed=seed)


def order_of(count: int, shards: int, batch: int, seed: int = 0) -> Order:
    clips = np.arange(count, dtype=np.int64)
    return Order(clips=clips, shards=(clips * shards // count).astype(np.int32), batch=batch, seed=seed)


@st.composite
def indexes(draw: st.DrawFn) -> Index:
    """Shards uneven and some empty, their numbers with gaps, some clips too short to be used."""
    sizes = draw(st.lists(st.integers(0, 9), min_size=1, max_size=150))
    gaps = draw(st.lists(st.integers(1, 5), min_size=len(sizes), max_size=len(sizes)))
    return index_of(sizes, gaps, draw(st.lists(st.integers(25, 60), min_size=1, max_size=7)))


@st.composite
def orders(draw: st.DrawFn) -> tuple[Index, Order]:
    index, batch = draw(indexes()), draw(st.integers(1, 24))
    assume((index.frames >= LAW.shortest()).sum() >= batch)
    return index, order_in(index, batch, draw(st.integers(0, 2**32 - 1)))


def epoch_of(order: Order, epoch: int) -> list[int]:
    first = epoch * order.steps_per_epoch
    return np.concatenate([order.step(first + k).clips for k in range(order.steps_per_epoch)]).tolist()


@settings(deadline=None, max_examples=60)
@given(orders(), st.integers(0, 2**20))
def test_an_epoch_uses_each_usable_clip_at_most_once_and_leaves_less_than_a_batch(made, epoch):
    index, order = made
    seen = epoch_of(order, epoch)
    assert len(set(seen)) == len(seen)
    assert set(seen) <= set(np.flatnonzero(index.frames >= LAW.shortest()).tolist())
    assert len(order.clips) - len(seen) < order.batch
    first = epoch * order.steps_per_epoch
    assert {order.step(first + k).epoch for k in range(order.steps_per_epoch)} == {epoch}


@pytest.mark.parametrize("step", [2**24 * 2, 10**12, 10**15, 2**53])
def test_a_step_that_no_training_reaches_is_refused(step: int) -> None:
    order = order_of(count=20, shards=4, batch=10)
    order.step(2**24 * 2 - 1)
    for ask in (order.step, order.first_step, lambda step: Digest.resumed(order, step + 1, "")):
        with pytest.raises(InputError, match="no training has 16,777,216 epochs of 20 clips"):
            ask(step)


@settings(deadline=None, max_examples=60)
@given(orders(), st.integers(0, 2**24 - 2))
def test_a_step_is_the_same_whoever_asks_and_in_whatever_order(made, step):
    index, order = made
    fresh = order_in(index, order.batch, order.seed).step(step)
    for number in (step + 1, step, max(0, step - 3), 0, 7):
        order.step(number)
    again = order.step(step)
    assert (again.epoch, again.block) == (fresh.epoch, fresh.block)
    assert again.clips.tolist() == fresh.clips.tolist()


@settings(deadline=None, max_examples=40)
@given(indexes(), st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(0, 9), st.integers(0, 2**24 - 1))
def test_ranks_and_passes_share_the_same_clips_windows_crops_and_flips(index, ranks, accumulate, rows, seed, step):
    batch = ranks * accumulate * rows
    assume((index.frames >= LAW.shortest()).sum() >= batch)

    def rows_of(rank: int, ranks: int, accumulate: int) -> list[list[Draw]]:
        """As one rank works them out, with nothing but the index and the settings."""
        return draws_of_step(order_in(index, batch, seed), step, LAW, index, VIEW, rank, ranks, accumulate)

    (alone,) = rows_of(0, 1, 1)
    shares = [rows_of(rank, ranks, accumulate) for rank in range(ranks)]
    assert [[len(part) for part in share] for share in shares] == [[rows] * accumulate] * ranks
    together = [draw for part in range(accumulate) for share in shares for draw in share[part]]
    assert together == alone


@settings(deadline=None, max_examples=60)
@given(orders(), st.integers(0, 2**20), st.integers(1, 40))
def test_clips_come_block_by_block_in_the_order_that_is_announced(made, first, steps):
    index, order = made
    last = min(first + steps, first - first % order.steps_per_epoch + order.steps_per_epoch - 1)
    coming, passed = order.blocks(first), 0
    block = set(next(coming).tolist())
    walked = [*(order.step(step).clips for step in range(first, last)), order.step(last).clips[:1]]
    for shard in index.shard[np.concatenate(walked)].tolist():
        while shard not in block:
            block, passed = set(next(coming).tolist()), passed + 1
    assert passed == order.step(last).block - order.step(first).block


@settings(deadline=None, max_examples=40)
@given(orders(), st.integers(0, 50))
def test_the_blocks_of_an_epoch_hold_each_shard_once_and_epochs_follow_each_other(made, epoch):
    index, order = made
    shards = set(index.shard[order.clips[:]].tolist())
    coming = order.blocks(epoch * order.steps_per_epoch)
    for _ in range(3):
        got: list[int] = []
        while len(got) < len(shards):
            got += next(coming).tolist()
        assert len(got) == len(shards)
        assert set(got) == shards


def test_blocks_differ_by_one_shard_at_most():
    for shards in (1, 63, 64, 65, 129, 1000):
        order, got = order_of(shards * 2, shards, 2), list[int]()
        blocks = order.blocks(0)
        while sum(got) < shards:
            got.append(len(next(blocks)))
        assert max(got) <= BLOCK_SHARDS
        assert max(got) - min(got) <= 1


@pytest.mark.parametrize(("ranks", "accumulate"), [(1, 1), (2, 1), (4, 1), (1, 4), (2, 3), (3, 2)])
def test_ranks_and_passes_share_a_step_without_loss_or_overlap(ranks, accumulate):
    clips = order_of(100, 5, 12).step(3).clips
    shares = [part for rank in range(ranks) for part in share_of_rank(clips, rank, ranks, accumulate)]
    assert sorted(np.concatenate(shares).tolist()) == sorted(clips.tolist())
    assert len({len(part) for part in shares}) == 1


def test_a_batch_that_cannot_be_shared_evenly_is_refused():
    with pytest.raises(InputError, match=r"--batch 10 .* 4 processes .* multiple of 4"):
        check_batch(10, 4, 1)


def test_too_few_clips_for_one_batch_are_refused():
    with pytest.raises(InputError, match=r"--batch 8 needs at least 8 usable clips, the dataset has 3"):
        order_of(3, 1, 8)


@settings(deadline=None, max_examples=30)
@given(orders())
def test_what_an_epoch_leaves_out_differs_between_epochs(made):
    _, order = made
    left_over = len(order.clips) % order.batch
    assume(left_over)
    left = {frozenset(order.clips[:].tolist()) - frozenset(epoch_of(order, epoch)) for epoch in range(60)}
    assert len(left) > 1
    assert {len(clips) for clips in left} == {left_over}


def test_epochs_and_seeds_differ():
    order = order_of(103, 7, 10)
    epochs = [epoch_of(order, epoch) for epoch in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]
    assert epoch_of(order_of(103, 7, 10, seed=1), 0) != epochs[0]


def test_every_clip_comes_at_every_place_of_an_epoch_equally_often():
    """Tenths of 1,000 epochs: a tenth holds 100 visits of a clip, give or take 9.5; of 2,000 tenths none is far off."""
    order, count = order_of(200, 70, 1), np.zeros((200, 10), int)
    for epoch in range(1000):
        count[epoch_of(order, epoch), np.arange(200) // 20] += 1
    assert abs(count - 100).max() < 5 * np.sqrt(90)


def test_neighbours_are_of_one_shard_no_more_often_than_chance_in_a_block_gives():
    clips, sources = 64_000, 32
    order = order_of(clips, clips // sources, 16)
    shard = order.clips[:] // sources
    for epoch in range(3):
        told = shard[epoch_of(order, epoch)]
        share, chance = (told[1:] == told[:-1]).mean(), (sources - 1) / (BLOCK_SHARDS * sources - 1)
        assert abs(share - chance) < 5 * np.sqrt(chance / clips)
        place = np.argsort(epoch_of(order, epoch))
        assert abs(np.corrcoef(place, np.arange(clips))[0, 1]) < 0.2, "2,000 shards are in no order"


def test_shards_that_were_mixed_in_one_epoch_are_mixed_with_others_in_the_next():
    order = order_of(6400, 640, 64)
    blocks = [set(next(order.blocks(epoch * order.steps_per_epoch)).tolist()) for epoch in range(2)]
    assert len(blocks[0] & blocks[1]) < BLOCK_SHARDS / 2


def test_the_digest_tells_order_and_content_apart_and_can_be_computed_afresh():
    order = order_of(50, 3, 5)
    rolling = Digest()
    for step in range(23):
        rolling.add(order.step(step))
    assert Digest.after(order, 23).state == rolling.state
    assert Digest.after(order, 22).state != rolling.state
    assert Digest.after(order_of(50, 3, 5, seed=1), 23).state != rolling.state
    swapped = Digest()
    for step in [1, 0, *range(2, 23)]:
        swapped.add(order.step(step))
    assert swapped.state != rolling.state


@settings(deadline=None, max_examples=60)
@given(orders(), st.integers(1, 400), st.integers(1, 60))
def test_a_digest_goes_on_from_its_blocks_mark_as_if_it_had_never_stopped(made, steps, more):
    index, order = made
    whole = Digest.after(order, steps)
    resumed = Digest.resumed(order_in(index, order.batch, order.seed), steps, whole.mark)
    assert (resumed.state, resumed.mark, resumed.steps) == (whole.state, whole.mark, whole.steps)
    for step in range(steps, steps + more):
        resumed.add(order.step(step))
    assert resumed.state == Digest.after(order, steps + more).state
    assert Digest.resumed(order, steps, "00" * 16).state != whole.state


def test_a_digest_is_resumed_by_hashing_one_block_however_late_in_the_run():
    asked: list[int] = []

    class Watched(Order):
        def step(self, step: int):
            asked.append(step)
            return super().step(step)

    clips = np.arange(50_000)
    order = Watched(clips=clips, shards=(clips // 10).astype(np.int32), batch=8, seed=0)
    Digest.resumed(order, 10**9, "ab" * 16)
    assert 0 < len(asked) <= BLOCK_SHARDS * 10 / 8 + 1


def test_a_clips_randomness_depends_on_seed_epoch_and_clip_alone():
    draws = {(s, e, c): clip_rng(s, e, c).random() for s in range(3) for e in range(3) for c in range(5)}
    assert len(set(draws.values())) == len(draws)
    assert clip_rng(1, 2, 3).random() == draws[1, 2, 3]


def test_a_seed_gives_the_clips_and_windows_that_it_has_always_given():
    """A run that was begun with an older version goes on; a change here needs a line in the changelog."""
    index = index_of([5] * 200, [1] * 200, [30, 40, 60])
    order = order_in(index, 16, 7)
    assert order.step(1000).clips.tolist()[:8] == [157, 303, 561, 820, 165, 358, 955, 511]
    draws = draws_of_step(order, 1000, LAW, index, VIEW, 0, 1, 1)
    assert hashlib.blake2b(to_json(draws), digest_size=8).hexdigest() == "3461ad4fb792fe2a"


groups = st.lists(st.integers(1, 40), min_size=1, max_size=8)


@settings(deadline=None, max_examples=40)
@given(groups, st.floats(0, 1))
def test_balanced_groups_come_as_much_more_often_as_is_asked_for(sizes: list[int], balance: float) -> None:
    group = np.repeat(np.arange(len(sizes)), sizes)
    clips = balanced(np.arange(len(group)), group, balance)
    assert (np.diff(clips) >= 0).all()
    times = np.bincount(clips, minlength=len(group))
    for number, size in enumerate(sizes):
        (each,) = set(times[group == number].tolist())
        assert each == round((max(sizes) / size) ** balance)


def test_a_clip_that_comes_again_within_an_epoch_is_cut_another_way_and_all_come_as_often_as_they_should():
    index = index_of([30, 2], [1, 1], [300])
    clips = balanced(np.arange(32), index.shard, 1)
    order = Order(clips=clips, shards=index.shard[clips], batch=10, seed=4, repeats=True)
    assert (order.steps_per_epoch, sorted(epoch_of(order, 3))) == (6, sorted(clips.tolist()))
    cuts = dict[int, list[object]]()
    for step in range(order.steps_per_epoch):
        (draws,) = draws_of_step(order, step, LAW, index, VIEW, 0, 1, 1)
        assert [draws] == draws_of_step(order, step, LAW, index, VIEW, 0, 1, 1)
        for clip in {draw.clip for draw in draws}:
            cuts.setdefault(clip, []).append(next(draw.pair for draw in draws if draw.clip == clip))
    assert all(len({repr(cut) for cut in cuts[clip]}) == len(cuts[clip]) > 2 for clip in (30, 31))

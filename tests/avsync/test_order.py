"""The order is a function: who asks, when, and on how many ranks changes nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avsync.order import Digest, Order, check_batch, clip_rng, share_of_rank
from sharding.errors import InputError


def order_of(count: int, shards: int, batch: int, seed: int = 0) -> Order:
    clips = np.arange(count, dtype=np.int64)
    return Order(clips=clips, shards=(clips * shards // count).astype(np.int32), batch=batch, seed=seed)


SHAPES = st.tuples(st.integers(1, 300), st.integers(1, 150), st.integers(1, 16), st.integers(0, 2**32 - 1)).filter(
    lambda shape: shape[2] <= shape[0]
)


@settings(deadline=None, max_examples=60)
@given(SHAPES, st.integers(0, 3))
def test_an_epoch_uses_each_clip_at_most_once_and_leaves_less_than_a_batch(shape, epoch):
    count, shards, batch, seed = shape
    order = order_of(count, shards, batch, seed)
    first = epoch * order.steps_per_epoch
    seen = np.concatenate([order.step(first + k).clips for k in range(order.steps_per_epoch)])
    assert len(set(seen.tolist())) == len(seen)
    assert count - len(seen) < batch
    assert {order.step(first + k).epoch for k in range(order.steps_per_epoch)} == {epoch}


@settings(deadline=None, max_examples=40)
@given(SHAPES, st.integers(0, 400))
def test_a_step_is_the_same_whoever_asks_and_in_whatever_order(shape, step):
    count, shards, batch, seed = shape
    walked = order_of(count, shards, batch, seed)
    for number in range(0, step, 7):
        walked.step(number)
    assert (walked.step(step).clips == order_of(count, shards, batch, seed).step(step).clips).all()


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


def test_epochs_and_seeds_differ_and_leftovers_move():
    order = order_of(103, 7, 10)
    epochs = [[order.step(e * 10 + k).clips.tolist() for k in range(10)] for e in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]
    assert order_of(103, 7, 10, seed=1).step(0).clips.tolist() != epochs[0][0]
    left = [set(range(103)) - {clip for step in epoch for clip in step} for epoch in epochs]
    assert left[0] != left[1]


def test_blocks_keep_reading_near_few_shards():
    order = order_of(640 * 4, 640, 64)
    shards_of_first_block = {int(order.shards[clip]) for k in range(4) for clip in order.step(k).clips}
    assert len(shards_of_first_block) <= 64


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


def test_a_clips_randomness_depends_on_seed_epoch_and_clip_alone():
    draws = {(s, e, c): clip_rng(s, e, c).random() for s in range(3) for e in range(3) for c in range(5)}
    assert len(set(draws.values())) == len(draws)
    assert clip_rng(1, 2, 3).random() == draws[1, 2, 3]

"""What places tell about the label is worked out from the pair sampler, and is what others have measured."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avsync.audit.leak import Leak, Leakage, leak, leakage, places
from avsync.data.pairs import PAIRS, Symmetric, Uniform

FPS = 30


def in_seconds(name: str, window: float, low: float, high: float, *clips: float) -> Leak:
    sampler = PAIRS[name](window=round(window * FPS), low=round(low * FPS), high=round(high * FPS))
    return leak(sampler, np.array([round(clip * FPS) for clip in clips]))


@given(
    window=st.integers(2, 60),
    low=st.integers(1, 40),
    wide=st.integers(0, 80),
    longer=st.lists(st.integers(0, 200), min_size=1, max_size=3),
)
def test_symmetric_pairs_leak_nothing_by_place(window, low, wide, longer):
    sampler = Symmetric(window=window, low=low, high=low + wide)
    found = leak(sampler, sampler.shortest() + np.array(longer))
    for stream in (found.sound, found.picture):
        assert (stream.bits, stream.accuracy, stream.auc) == (0, 0.5, 0.5)


def test_cyclic_pairs_leak_nothing_by_place_what_they_leak_is_the_join():
    found = in_seconds("cyclic", 4, 0.5, 3.5, 10, 7)
    assert found.sound == found.picture == Leakage(bits=0, accuracy=0.5, auc=0.5)


def test_a_uniform_shift_of_up_to_2_s_lets_the_place_alone_score_54_8_percent():
    """Windows of 5 s in clips of 10 s at 30 fps, shifts of 1 to 60 frames."""
    found = in_seconds("uniform", 5, 1 / FPS, 2, 10)
    assert round(found.sound.accuracy, 3) == round(found.picture.accuracy, 3) == 0.548
    assert found.sound.bits == pytest.approx(0.0087, abs=5e-5)


def test_the_21_offsets_of_synchformer_are_told_by_the_sounds_place_to_0_32_bits():
    """Its grid of -2 to 2 s in steps of 0.2 s, each offset as likely, then any place where both windows fit."""
    last, joint = 150, np.zeros((21, 151))  # 5 s of 10
    for row, offset in zip(joint, range(-60, 61, 6), strict=True):
        row[max(0, offset) : last + 1 + min(0, offset)] = 1 / 21 / (last + 1 - abs(offset))
    found = leakage(joint)
    assert round(found.bits, 2) == 0.32
    assert found.accuracy == pytest.approx(0.079, abs=5e-4)  # blind guessing: 1/21 = 0.048


@pytest.mark.parametrize("name", PAIRS)
def test_both_places_and_the_roll_are_the_label(name):
    both = in_seconds(name, 4, 2, 5.9, 10, 8, 12.5).both
    assert (both.bits, both.accuracy, both.auc) == pytest.approx((1, 1, 1))


@pytest.mark.parametrize("name", PAIRS)
def test_a_long_clip_is_no_hurdle(name):
    assert in_seconds(name, 4, 2, 5.9, 60).clips == 1


@given(seed=st.integers(0, 2**32 - 1))
def test_what_is_told_agrees_with_its_definitions(seed):
    rng = np.random.default_rng(seed)
    joint = rng.integers(0, 5, (2, 6)).astype(float) + np.eye(2, 6)
    joint /= 2 * joint.sum(axis=1, keepdims=True)
    found, (out, in_sync) = leakage(joint), 2 * joint
    entropy = -sum(p * np.log2(p) for p in joint.sum(axis=0) if p) + sum(p * np.log2(p) for p in joint.flat if p)
    assert found.bits == pytest.approx(1 + entropy)
    assert found.accuracy == pytest.approx(0.5 + np.abs(joint[1] - joint[0]).sum() / 2)
    score = in_sync / np.maximum(in_sync + out, 1e-12)
    wins = (score[:, None] > score) + (score[:, None] == score) / 2
    assert found.auc == pytest.approx(in_sync @ wins @ out, abs=1e-9)


def test_the_mean_over_clips_counts_every_clip():
    sampler = Uniform(window=10, low=3, high=12)
    short, long = leak(sampler, np.array([20])).sound, leak(sampler, np.array([40])).sound
    mixed = leak(sampler, np.array([40, 20, 40])).sound
    assert mixed.bits == pytest.approx((short.bits + 2 * long.bits) / 3)
    assert mixed.accuracy == pytest.approx((short.accuracy + 2 * long.accuracy) / 3)


def test_knowing_the_clip_never_tells_less_than_the_place_without_it():
    """Clips of two lengths thrown together, as for a guesser who cannot tell them apart."""
    sampler, frames = Uniform(window=10, low=3, high=12), np.array([20, 40])
    joints = [np.pad(part, ((0, 0), (0, 31 - part.shape[1]))) for part in map(joint_of(sampler), frames)]
    blind = leakage(np.mean(joints, axis=0))
    assert blind.bits < leak(sampler, frames).sound.bits
    assert blind.accuracy <= leak(sampler, frames).sound.accuracy


def joint_of(sampler: Uniform):
    def joint(frames: int) -> np.ndarray:
        ways = sampler.ways(int(frames))
        return places(ways, ways.sound)

    return joint

"""Augmentation changes how a clip looks and sounds, never when; it is a function of (seed, step, clip) alone."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from avsync.config import AugmentConfig, TrainConfig, ViewConfig
from avsync.data.augment import augmented, changed_sounds, changes_of
from avsync.data.batch import Batch
from avsync.data.order import Draw, View
from avsync.data.pairs import Pair, SoundWindow
from avsync.data.transforms import prepare
from sharding.errors import InputError

RATE, FRAMES, SIDE = 8000, 6, 32
PAIR = Pair(0, (SoundWindow(0, 0, True), SoundWindow(3, 0, False)))
STRONG = AugmentConfig(zoom=0.15, turn_deg=10, drift=0.1, tremble=0.03, light=0.5, tone_db=6, hiss_db=20)
STILL = AugmentConfig(light=1e-9)
"""Wanted, and nothing to be seen or heard of it."""


def batch_of(clips: tuple[int, ...], flip: bool = False, corner: tuple[int, int] = (4, 2)) -> Batch:
    """Smooth pictures with a bright spot, and noise for sounds."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:SIDE, :SIDE]
    luma = 60 + 120 * np.exp(-((x - 20) ** 2 + (y - 12) ** 2) / 30)
    yuv = np.full((len(clips), FRAMES, SIDE * 3 // 2, SIDE), 128, np.uint8)
    yuv[:, :, :SIDE] = luma.astype(np.uint8)
    return Batch(
        keys=tuple(map(str, clips)),
        jsons=(None,) * len(clips),
        draws=tuple(Draw(clip, PAIR, *corner, flip) for clip in clips),
        yuv=torch.from_numpy(yuv),
        audio=torch.from_numpy(rng.integers(-9000, 9000, (len(clips), 2, 4800, 1)).astype(np.int16)),
        in_sync=torch.tensor([[1.0, 0.0]]).expand(len(clips), 2),
        matrix=torch.zeros(len(clips), dtype=torch.int64),
        valid=torch.ones(len(clips), dtype=torch.bool),
    )


VIEW = View.build(ViewConfig(crop=0.75), SIDE, SIDE)


def shown(batch: Batch, augment: AugmentConfig, step: int = 0, seed: int = 0, view: View = VIEW):
    return augmented(batch, view, TrainConfig(augment=augment, seed=seed), step, RATE)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("corner", [(0, 0), (4, 2), (8, 8)])
def test_no_change_shows_what_is_shown_without_it(flip, corner):
    batch = batch_of((3, 4), flip, corner)
    got, wanted = shown(batch, STILL), prepare(batch, VIEW)
    torch.testing.assert_close(got.frames, wanted.frames, atol=0.02, rtol=0)
    torch.testing.assert_close(got.sounds, wanted.sounds, atol=1e-4, rtol=0)


def test_it_is_what_seed_step_and_clip_say_whoever_else_is_in_the_batch():
    alone, beside = shown(batch_of((7,)), STRONG, 5), shown(batch_of((2, 7)), STRONG, 5)
    torch.testing.assert_close(alone.frames[0], beside.frames[1])
    changes = [
        changes_of(batch_of((clip,)).draws, FRAMES, STRONG, seed, step).turn
        for seed, step, clip in ((0, 5, 7), (1, 5, 7), (0, 6, 7), (0, 5, 8))
    ]
    assert len({float(turn[0]) for turn in changes}) == 4


@pytest.mark.parametrize("setting", [item.name for item in fields(AugmentConfig)])
def test_every_setting_changes_something_by_itself_and_keeps_the_rest(setting):
    batch, one = batch_of(tuple(range(12))), AugmentConfig(**{setting: getattr(STRONG, setting)})
    got, still = shown(batch, one), shown(batch, STILL)
    seen, heard = (float((a - b).abs().max()) > 1e-3 for a, b in zip(got, still, strict=True))
    assert (seen, heard) == ((False, True) if setting.endswith("_db") else (True, False))


@given(st.integers(0, 2**32 - 1), st.integers(0, 10**6), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_sounds_stay_where_they_are_in_time(seed, step, clip):
    """A click is loudest at the same sample, to half a millisecond: a microphone has no delay."""
    draws, where = (Draw(clip, PAIR, 0, 0, False),), 1234
    sounds = torch.zeros(1, 2, 1, 4800)
    sounds[..., where] = 0.5
    config = AugmentConfig(tone_db=6)
    heard = changed_sounds(sounds, RATE, changes_of(draws, FRAMES, config, seed, step))
    assert abs(int(heard[0, 0, 0].abs().argmax()) - where) <= RATE // 2000
    torch.testing.assert_close(heard[0, 0], heard[0, 1])  # both sounds of a picture: the same microphone


def middle_of(frames: Tensor) -> Tensor:
    """(B, T, 2) of the bright spot."""
    bright = (frames.mean(dim=1) - frames.mean(dim=(1, 3, 4), keepdim=True)[:, 0]).clamp(min=0) ** 2
    across = torch.arange(bright.shape[-1], dtype=torch.float32)
    total = bright.sum(dim=(2, 3))
    return torch.stack(((bright.sum(2) * across).sum(-1) / total, (bright.sum(3) * across).sum(-1) / total), -1)


def test_pictures_tremble_and_drift_only_where_it_is_asked_for():
    batch = batch_of(tuple(range(40)))
    steady = middle_of(shown(batch, replace(STRONG, drift=0, tremble=0, light=0)).frames)
    assert float((steady - steady[:, :1]).abs().max()) < 0.05
    trembling = middle_of(shown(batch, AugmentConfig(tremble=0.1)).frames)
    moved = (trembling - trembling[:, :1]).abs().amax(dim=(1, 2)) > 0.2
    assert 0.1 < float(moved.float().mean()) < 0.6


def test_half_of_the_clips_tremble_by_any_amount_up_to_the_largest():
    draws = [Draw(clip, PAIR, 0, 0, False) for clip in range(400)]
    amounts = changes_of(draws, 60, AugmentConfig(tremble=0.2), 0, 1).move.std(axis=(1, 2))
    moved = amounts[amounts > 0]
    assert 0.4 < len(moved) / len(draws) < 0.6
    assert moved.max() < 0.25
    assert np.quantile(moved, 0.25) == pytest.approx(0.05, abs=0.02)
    assert np.median(moved) == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("setting", [item.name for item in fields(AugmentConfig)])
@pytest.mark.parametrize("value", [-0.1, 181, float("nan")])
def test_nonsense_is_refused_by_its_flag(setting, value):
    with pytest.raises(InputError, match=f"--augment.{setting.replace('_', '-')}"):
        AugmentConfig(**{setting: value})


def test_padding_rows_do_no_harm():
    batch = replace(batch_of((1,)), draws=(Draw(-1, PAIR, 0, 0, False),))
    assert all(bool(torch.isfinite(part).all()) for part in shown(batch, STRONG))

"""The objective by which maps point: one place must tell, and nobody may speak for what belongs nowhere."""

import math
from dataclasses import replace

import pytest
import torch
from avsync_settings import one_step, quick_config
from curves import curve

from avsync.config import TrainConfig
from avsync.data.order import Draw
from avsync.data.pairs import Pair, SoundWindow
from avsync.models.parts import SyncOutput
from avsync.train.best_place import KINDS, SHARPNESS, best_place, place_logits, with_controls
from avsync.train.trainer import train
from sharding.errors import InputError

CELLS = (10, 12, 12)
VALID = torch.ones(1, dtype=torch.bool)


def draws(*clips: int) -> list[Draw]:
    return [Draw(clip, Pair(0, (SoundWindow(0, 0, True), SoundWindow(9, 9, False))), 0, 0, False) for clip in clips]


def said(*maps: torch.Tensor, bias: float = 0.0) -> SyncOutput:
    """Of one clip, with so many sounds."""
    cam = torch.stack(maps)[None]
    return SyncOutput(cam.mean(dim=(2, 3, 4)) + bias, cam)


def spot(at: tuple[int, int], height: float) -> torch.Tensor:
    cam = torch.zeros(CELLS)
    cam[:, at[0] - 1 : at[0] + 2, at[1] - 1 : at[1] + 2] = height
    return cam


def test_of_two_maps_with_the_same_logit_the_one_with_a_best_place_says_more() -> None:
    peaked = spot((4, 7), 40.0)
    even = torch.full(CELLS, float(peaked.mean()))
    sure, unsure = place_logits(said(peaked, even))[0].tolist()
    assert sure > 2 * unsure
    assert unsure > 0
    assert place_logits(said(peaked, bias=-3.0)).item() == pytest.approx(sure - 3, abs=1e-4)


def test_where_the_place_is_does_not_matter_and_two_places_say_hardly_more_than_one() -> None:
    one, other = (place_logits(said(spot(at, 40.0))).item() for at in ((4, 7), (8, 3)))
    assert one == pytest.approx(other, abs=1e-4)
    both = place_logits(said(spot((3, 3), 40.0) + spot((9, 9), 40.0))).item()
    assert one < both < one + 1.01 * SHARPNESS * math.log(2)


def test_it_falls_when_a_place_speaks_for_the_own_sound_and_rises_when_one_does_for_others() -> None:
    in_sync = torch.tensor([[1.0, 0.0]])
    nothing, good = torch.zeros(CELLS), spot((4, 7), 40.0)
    losses = {
        name: best_place(said(*maps, bias=-1.0), in_sync, VALID).item()
        for name, maps in {
            "nothing": (nothing, nothing, nothing),
            "own": (good, nothing, nothing),
            "shifted": (good, good, nothing),
            "control": (good, nothing, good),
        }.items()
    }
    assert losses["own"] < losses["nothing"]
    assert losses["own"] < min(losses["shifted"], losses["control"])
    assert losses["shifted"] == pytest.approx(losses["control"], rel=1e-4)


def test_rows_that_are_not_valid_count_for_nothing() -> None:
    torch.manual_seed(0)
    cam = torch.randn(4, 3, *CELLS)
    out = SyncOutput(cam.mean(dim=(2, 3, 4)), cam)
    in_sync = torch.tensor([[1.0, 0.0]]).expand(4, 2)
    some = torch.tensor([True, False, True, True])
    alone = best_place(SyncOutput(out.logit[some], cam[some]), in_sync[some], some[some])
    torch.testing.assert_close(best_place(out, in_sync, some), alone)
    assert best_place(out, in_sync, torch.zeros(4, dtype=torch.bool)).item() == 0


def test_controls_are_silence_noise_or_another_clips_own_sound_the_same_each_time() -> None:
    torch.manual_seed(0)
    sounds = torch.randn(8, 2, 1, 500) * torch.linspace(0.05, 0.2, 8)[:, None, None, None]
    in_sync = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).repeat(4, 1)
    own = sounds[torch.arange(8), in_sync.argmax(1)]
    kinds = dict.fromkeys(("silence", "noise", "other"), 0)
    for step in range(40):
        given = with_controls(sounds, in_sync, draws(*range(8)), 0, step)
        assert torch.equal(given[:, :2], sounds)
        assert torch.equal(given, with_controls(sounds, in_sync, draws(*range(8)), 0, step))
        for row, control in enumerate(given[:, 2]):
            assert not torch.equal(control, own[row])
            if not control.any():
                kinds["silence"] += 1
            elif torch.equal(control, own[row - 1]):
                kinds["other"] += 1
            else:
                kinds["noise"] += 1
                assert control.std().item() == pytest.approx(own[row].std().item(), rel=0.2)
    assert all(count > 40 for count in kinds.values())
    assert kinds["other"] > 1.3 * max(kinds["silence"], kinds["noise"])
    seeds = [with_controls(sounds, in_sync, draws(*range(8)), seed, 0)[:, 2] for seed in (0, 1)]
    assert not torch.equal(*seeds)


def test_a_clip_that_is_alone_gets_no_sound_of_its_own_as_anothers() -> None:
    sounds, in_sync = torch.rand(1, 2, 1, 100) + 0.1, torch.tensor([[1.0, 0.0]])
    for step in range(4 * KINDS):
        control = with_controls(sounds, in_sync, draws(3), 0, step)[0, 2]
        assert not torch.equal(control, sounds[0, 0])


@pytest.mark.parametrize("model", ["small", "embedding", "covariance"])
def test_it_trains_with_any_network_and_is_what_is_trained(model, dataset, tmp_path) -> None:
    config = replace(quick_config(), model=model, steps=3, validate_every=0)
    for name, weight in (("without", 0.0), ("with", 1.0)):
        train(dataset, tmp_path / name, replace(config, pointing=weight))
    without, pointed = (curve(tmp_path / name, "train", "loss") for name in ("without", "with"))
    assert all(0.5 < loss < 0.9 for loss in pointed.values()), "the curve shows what it always does: near ln 2 at first"
    assert without[3] != pointed[3]


@pytest.mark.parametrize(("settings", "what"), [({"pointing": -1}, "--pointing -1"), ({"pointing": 101}, "--pointing")])
def test_a_weight_that_is_none_is_refused(settings, what) -> None:
    with pytest.raises(InputError, match=what):
        replace(one_step(), **settings)
    for wrong in (-1, 101, float("nan")):
        with pytest.raises(InputError, match=rf"^--pointing {wrong:g} must lie in 0 to 100$"):
            TrainConfig(pointing=wrong)
    with pytest.raises(InputError, match="nor --pointing"):
        TrainConfig(model="separate", pointing=1)

"""The parts of the probes: what a rule measures, who is asked about what, and that chance is one half."""

import numpy as np
import pytest
import torch

from avsync.audit.evidence import folds
from avsync.audit.position import place_scores, which_is_later
from avsync.audit.probes import stump
from avsync.audit.rules import RULES, ends_meet, join, quiet_start, quietest, silence_run

RATE = 8000


def noise(count: int = 40, seconds: float = 1.0) -> torch.Tensor:
    """Sounds of a soft tone, each another one, over noise."""
    draw = torch.Generator().manual_seed(0)
    time = torch.arange(int(RATE * seconds)) / RATE
    pitch = 200 + 600 * torch.rand(count, 1, generator=draw)
    tone = torch.sin(6.2832 * pitch * time + 6.2832 * torch.rand(count, 1, generator=draw))
    return 0.1 * tone + 0.002 * torch.randn(count, len(time), generator=draw)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("kind", ["noise", "silence", "short"])
def test_every_rule_gives_one_finite_number_a_sound_whatever_it_hears(name: str, kind: str):
    sound = {"noise": noise(3), "silence": torch.zeros(3, RATE), "short": noise(3, 0.05)}[kind]
    given = RULES[name].rule(sound, RATE)
    assert given.shape == (3,)
    assert torch.isfinite(given).all()


def test_a_sound_that_was_turned_round_ends_where_it_begins_even_with_its_join_faded():
    sound = noise()
    turned = sound.roll(RATE // 3, 1)
    assert (ends_meet(turned, RATE) < ends_meet(sound, RATE)).float().mean() > 0.9
    fade = torch.ones(RATE)
    fade[RATE // 3 - 400 : RATE // 3 + 400] = (torch.arange(800) - 400).abs() / 400
    assert (ends_meet(turned * fade, RATE) < ends_meet(sound, RATE)).float().mean() > 0.9
    assert (quietest(turned * fade, RATE) < quietest(sound, RATE)).all()


def test_a_click_and_a_silence_are_found():
    sound = noise()
    clicked, silent = sound.clone(), sound.clone()
    clicked[:, RATE // 2] += 0.3
    silent[:, :300] = 0
    assert (join(clicked, RATE) > join(sound, RATE)).all()
    assert (quiet_start(silent, RATE) < quiet_start(sound, RATE)).all()
    assert (silence_run(silent, RATE) > silence_run(sound, RATE)).all()


@pytest.mark.parametrize("seed", range(10))
def test_every_source_is_asked_once_by_who_did_not_learn_from_it(seed: int):
    group = np.random.default_rng(seed).integers(0, 9, 50)
    asked = np.zeros(50, int)
    for learn, ask in folds(group, seed):
        assert not set(group[learn]) & set(group[ask])
        asked += ask
    assert (asked == 1).all()


@pytest.mark.parametrize("seed", range(40))
def test_no_threshold_does_better_on_what_it_was_learned_from(seed: int):
    rng = np.random.default_rng(seed)
    values, label = rng.integers(0, 6, 15).astype(float), rng.random(15) < 0.5
    sign, threshold = stump(values, label)
    best = max(((s * (values - t) > 0) == label).mean() for s in (1, -1) for t in np.arange(-0.5, 7))
    assert ((sign * (values - threshold) > 0) == label).mean() == best


def test_who_sees_the_same_at_both_places_guesses_and_who_sees_a_drift_knows():
    rng, group = np.random.default_rng(0), np.arange(60)
    same = [rng.normal(size=(60, 5)).astype(np.float32)]
    assert 0.2 < (which_is_later(place_scores(same, same, group, 0), 0) > 0).mean() < 0.8
    drifted = [same[0] + np.float32(1)]
    assert (which_is_later(place_scores(same, drifted, group, 0), 0) > 0).all()

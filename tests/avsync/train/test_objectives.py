"""What is trained: examples that count alike, and a choice that no bias of a person can move."""

import math
from typing import get_args

import pytest
import torch
from torch.nn import functional

from avsync.config import ObjectiveName, PairConfig, TrainConfig
from avsync.train.step import OBJECTIVES, score
from sharding.errors import InputError


def targets(clips: int, sounds: int) -> torch.Tensor:
    """The sound in sync comes first."""
    return torch.eye(sounds)[:1].expand(clips, sounds)


def test_every_objective_has_its_name_in_the_settings():
    assert set(OBJECTIVES) == set(get_args(ObjectiveName))


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("sounds", [2, 3, 8])
def test_who_knows_nothing_has_ln_2_and_half_of_the_examples_right_or_wrong(objective, sounds):
    got = score(torch.zeros(5, sounds), targets(5, sounds), torch.ones(5, dtype=torch.bool), objective)
    assert got.loss.item() == pytest.approx(math.log(2))
    assert got.examples.item() == pytest.approx(10)
    assert got.correct.item() == pytest.approx(5)  # "no" to all: right of what is not in sync


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_rows_that_are_not_valid_count_for_nothing(objective):
    torch.manual_seed(0)
    logit, in_sync = torch.randn(6, 4), targets(6, 4)
    some = torch.tensor([True, False, True, True, False, True])
    all_of_them = score(logit[some], in_sync[some], some[some], objective)
    for part, wanted in zip(score(logit, in_sync, some, objective), all_of_them, strict=True):
        torch.testing.assert_close(part, wanted)
    nothing = score(logit, in_sync, torch.zeros(6, dtype=torch.bool), objective)
    assert [part.item() for part in nothing] == [0, 0, 0, 0]


def test_binary_of_two_sounds_is_the_plain_mean():
    torch.manual_seed(0)
    logit, in_sync = torch.randn(6, 2), targets(6, 2)
    got = score(logit, in_sync, torch.ones(6, dtype=torch.bool))
    wanted = functional.binary_cross_entropy_with_logits(logit, in_sync)
    torch.testing.assert_close(got.objective, wanted)
    torch.testing.assert_close(got.loss, wanted)


def test_choice_beside_binary_is_not_moved_by_what_a_person_adds_to_all_sounds():
    torch.manual_seed(0)
    logit, in_sync, valid = torch.randn(6, 5), targets(6, 5), torch.ones(6, dtype=torch.bool)
    person = 3 * torch.randn(6, 1)
    choice = [(one := score(moved, in_sync, valid, "choice")).objective - one.loss for moved in (logit, logit + person)]
    torch.testing.assert_close(*choice)
    logit.requires_grad_()
    score(logit, in_sync, valid, "choice").objective.backward()
    assert logit.grad is not None
    assert torch.all(logit.grad[:, 0] < 0)
    assert torch.all(logit.grad[:, 1:] > 0)


@pytest.mark.parametrize("law", ["cyclic", "uniform"])
def test_a_choice_needs_pairs_that_offer_one(law):
    with pytest.raises(InputError, match="--objective choice needs"):
        TrainConfig(objective="choice", pairs=PairConfig(law=law))
    with pytest.raises(InputError, match=r"--pairs\.sounds 3"):
        PairConfig(law=law, sounds=3)

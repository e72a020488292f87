"""Settings and networks that cannot learn 8 clips by heart are told apart, and what learns raises nothing."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from avsync_settings import quick_config
from torch import Tensor, nn

from avsync.check import by_heart
from avsync.check.by_heart import HeartAttempt, judge, learn_by_heart
from avsync.check.causes import check
from avsync.config import OptimConfig, TrainConfig
from avsync.loading.feed import Feed
from avsync.models.parts import SyncNet, SyncOutput
from avsync.world import World

HEALTHY = quick_config()
SLOW = replace(HEALTHY, optim=replace(HEALTHY.optim, lr=1e-9))
WILD = replace(HEALTHY, optim=OptimConfig(name="sgd", lr=1e4, warmup_steps=2, clip_norm=0))


class Deaf(nn.Module):
    """Answers the same about every sound."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, seen: Tensor, heard: Tensor) -> SyncOutput:
        return SyncOutput(self.bias.expand(len(heard)), seen.new_zeros(len(heard), 1, 1, 1))


def of(dataset: Path, config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> by_heart.ByHeart:
    monkeypatch.setattr(by_heart, "STEPS", 60)
    feed = Feed.open(dataset, "train", config.pairs, config.view)
    return learn_by_heart(feed, config, World.alone(torch.device("cpu")), 600, lambda: None)


def test_healthy_settings_raise_nothing(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.random.get_rng_state()
    found = of(dataset, HEALTHY, monkeypatch)
    assert found.finding is None
    assert found.note.startswith("8 clips are known by heart after ")
    assert torch.random.get_rng_state().equal(before)


@pytest.mark.parametrize("config", [SLOW, WILD])
def test_a_learning_rate_at_which_nothing_is_learnt_is_named_with_one_at_which_it_is(
    dataset: Path, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding = of(dataset, config, monkeypatch).finding
    assert finding is not None
    assert finding.cause == "learning rate"
    assert f"--optim.lr {config.optim.lr:g}" in finding.line
    assert "with adamw, 0.001" in finding.line


def test_a_network_that_cannot_is_told_from_settings_that_do_not(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    see = nn.Sequential(nn.AdaptiveAvgPool3d(1))
    monkeypatch.setattr(by_heart, "build_network", lambda *_: SyncNet(see, nn.Identity(), Deaf()))
    finding = of(dataset, HEALTHY, monkeypatch).finding
    assert finding is not None
    assert finding.cause == "cannot learn 8 clips"
    assert "--model small" in finding.line


KNOWN, SLOWLY, NOT, ASTRAY = (
    HeartAttempt(outcome=outcome, steps=100, accuracy=0.6) for outcome in ("known", "too slow", "not known", "astray")
)


@pytest.mark.parametrize(
    ("own", "steady", "cause"),
    [
        (KNOWN, None, ""),
        (SLOWLY, None, ""),
        (NOT, SLOWLY, ""),
        (NOT, KNOWN, "learning rate"),
        (ASTRAY, KNOWN, "learning rate"),
        (NOT, NOT, "cannot learn 8 clips"),
        (ASTRAY, ASTRAY, "cannot learn 8 clips"),
    ],
)
def test_what_follows_from_two_attempts(own: HeartAttempt, steady: HeartAttempt | None, cause: str) -> None:
    finding = judge(own, steady, HEALTHY)
    assert (finding.cause if finding else "") == cause


def test_a_check_of_a_healthy_dataset_finds_nothing_and_says_so(
    dataset: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(by_heart, "STEPS", 70)
    assert check(str(dataset), HEALTHY).findings == []
    shown = capsys.readouterr().out
    assert "8 clips are known by heart" in shown
    assert "too few clips" in shown

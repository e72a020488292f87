"""Training as a whole learns: a handful of clips by heart, in every precision; and only because the labels are true."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from avsync_settings import quick_config
from curves import curve
from torch import Tensor

from avsync.config import ObjectiveName, OptimConfig, PairConfig, RuntimeConfig, TrainConfig, ViewConfig
from avsync.train import step
from avsync.train.step import LossSums, score
from avsync.train.trainer import train
from sharding.config import PackConfig
from sharding.pack.pack import pack
from sharding.scenes.config import SceneConfig
from sharding.scenes.generate import generate

STEPS = 60
PRECISIONS = {"fp32": {}, "bf16": {"precision": "bf16"}, "channels_last": {"channels_last": True}}


@pytest.fixture(scope="module")
def handful(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips of 3 s."""
    folder = tmp_path_factory.mktemp("handful")
    scenes = SceneConfig(count=4, seconds=3.6, size=48, fps=10, sample_rate=8000, val_share=0, test_share=0, workers=1)
    table = generate(folder / "scenes", scenes).table
    settings = PackConfig(fps="10", size=32, sample_rate=8000, min_clip_s="3", workers=1)
    pack(table, folder / "dataset", settings)
    return folder / "dataset"


def settings() -> TrainConfig:
    """Few pairs to know by heart: windows of 2 s, 1 s apart."""
    return replace(
        quick_config(), steps=STEPS, validate_every=0, view=ViewConfig(crop=1.0, flip=False),
        pairs=PairConfig(window_s=2, min_shift_s=1, max_shift_s=1),
        optim=OptimConfig(name="adamw", lr=3e-3, weight_decay=0, warmup_steps=2, schedule="constant"),
        runtime=RuntimeConfig(device="cpu", workers=1, log_every=1, checkpoint_every=STEPS),
    )  # fmt: skip


def last_loss(run: Path) -> float:
    """Mean over the last steps."""
    return float(np.mean(list(curve(run, "train", "loss").values())[-10:]))


@pytest.mark.parametrize("how", PRECISIONS)
def test_training_learns_a_handful_of_clips_by_heart(handful: Path, tmp_path: Path, how: str) -> None:
    train(handful, tmp_path / "run", replace(settings(), **PRECISIONS[how]))
    assert last_loss(tmp_path / "run") < 0.45


def test_with_labels_thrown_like_coins_it_learns_nothing(
    handful: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the test above sees is learning, not a loss that falls whatever the data say."""
    coin = torch.Generator().manual_seed(0)

    def thrown(logit: Tensor, in_sync: Tensor, valid: Tensor, objective: ObjectiveName) -> LossSums:
        return score(logit, torch.randint(2, in_sync.shape, generator=coin).float(), valid, objective)

    monkeypatch.setattr(step, "score", thrown)
    train(handful, tmp_path / "run", settings())
    assert last_loss(tmp_path / "run") > 0.6

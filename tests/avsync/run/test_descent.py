"""A run that starts from another's weights begins with those very ones, says so, and needs them no more afterwards."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from avsync_settings import quick_config

from avsync.config import TrainConfig
from avsync.run.checkpoint import MODEL
from avsync.run.info import choose_step, read_run
from avsync.run.paths import RunPaths
from avsync.run.tensor_file import load_tensors
from avsync.train.trainer import train
from sharding.errors import FormatError, InputError

QUICK = replace(quick_config(), validate_every=0)


def still(config: TrainConfig = QUICK) -> TrainConfig:
    """One step that moves nothing, so that the checkpoint shows where the run began."""
    return replace(config, steps=1, optim=replace(config.optim, lr=1e-12, weight_decay=0, warmup_steps=0))


@pytest.fixture(scope="module")
def origin(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("origin") / "run"
    train(dataset, run, replace(QUICK, steps=3))
    return run


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_tensors(RunPaths(run).checkpoint(choose_step(RunPaths(run), "last")) / MODEL)


def test_it_begins_with_the_weights_and_the_statistics_of_the_other(
    dataset: Path, origin: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    train(dataset, run, still(), origin)
    assert "starts from" in (said := capsys.readouterr().out)
    assert "tensors taken" in said
    before, now = weights(origin), weights(run)
    for name in before:
        if before[name].is_floating_point() and "running" not in name:
            assert torch.allclose(before[name], now[name], atol=1e-6), name
    descent = read_run(RunPaths(run)).descent
    assert descent is not None
    assert (descent.run, descent.step) == (str(origin), 3)
    train(dataset, tmp_path / "alone", still())
    alone = weights(tmp_path / "alone")
    assert any(not torch.allclose(before[name], alone[name], atol=1e-3) for name in before), "this test could not fail"


def test_other_windows_fit_and_what_differs_is_said(
    dataset: Path, origin: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = replace(QUICK, pairs=replace(QUICK.pairs, window_s=1.5), view=replace(QUICK.view, size=32))
    train(dataset, tmp_path / "run", still(other), origin)
    assert "pixels, now 32x32" in capsys.readouterr().out


def test_once_begun_it_goes_on_without_the_other_and_from_no_third(dataset: Path, origin: Path, tmp_path: Path) -> None:
    other, run = Path(shutil.copytree(origin, tmp_path / "other")), tmp_path / "run"
    constant = replace(QUICK, optim=replace(QUICK.optim, schedule="constant"))
    train(dataset, run, replace(constant, steps=3), other)
    with pytest.raises(InputError, match=r"was begun from .*other, not from"):
        train(dataset, run, replace(constant, steps=4), origin)
    shutil.rmtree(other)
    assert train(dataset, run, replace(constant, steps=4), other).resumed_at == 3
    assert train(dataset, run, replace(constant, steps=5)).resumed_at == 4
    with pytest.raises(InputError, match="was begun without --from"):
        train(dataset, origin, replace(QUICK, steps=3), run)


def test_before_its_first_checkpoint_it_wants_the_very_weights_it_was_begun_from(
    dataset: Path, origin: Path, tmp_path: Path
) -> None:
    other, run = Path(shutil.copytree(origin, tmp_path / "other")), tmp_path / "run"
    train(dataset, run, still(), other)
    shutil.rmtree(run / "checkpoints")  # as if it had been killed before
    train(dataset, run, still(), other)
    shutil.rmtree(run / "checkpoints")
    train(dataset, tmp_path / "third", replace(QUICK, steps=3, seed=5))
    shutil.copy(tmp_path / "third/checkpoints/00000003/model.pt", other / "checkpoints/00000003/model.pt")
    with pytest.raises(FormatError, match="is not what this run was begun from"):
        train(dataset, run, still(), other)
    shutil.rmtree(other)
    with pytest.raises(InputError, match="other is not a run"):
        train(dataset, run, still(), other)


def test_what_cannot_be_started_from_is_said_before_anything_is_written(
    dataset: Path, origin: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with pytest.raises(InputError, match=r"holds network 'small', and 'covariance' is to be trained"):
        train(dataset, run, replace(still(), model="covariance"), origin)
    with pytest.raises(InputError, match="is not a run"):
        train(dataset, run, still(), tmp_path)
    assert not run.exists()

"""A training that takes sounds apart is a run as any other: it resumes exactly, with receipts and by its own order."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from avsync_settings import quick_separation

from avsync.config import SeparateConfig, TrainConfig
from avsync.presets import PRESETS
from avsync.run.checkpoint import load_weights
from avsync.run.history import rebuild
from avsync.run.info import read_run
from avsync.run.network import load_network
from avsync.run.paths import RunPaths
from avsync.separation.learner import train_separator
from avsync.separation.loaded import load_separator
from sharding.errors import FormatError, InputError

CONFIG = quick_separation()


def weights(run: Path, step: int) -> dict[str, torch.Tensor]:
    return load_weights(RunPaths(run).checkpoint(step))


def constant(steps: int) -> TrainConfig:
    return replace(CONFIG, steps=steps, optim=replace(CONFIG.optim, schedule="constant"))


def test_it_goes_on_as_if_nothing_had_been_with_a_receipt_and_without_its_features(
    dataset: Path, features: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    once, twice, gone = tmp_path / "once", tmp_path / "twice", tmp_path / "features"
    features.rename(gone)
    try:
        train_separator(dataset, once, constant(4), features=gone)
        train_separator(dataset, twice, constant(2), features=gone)
    finally:
        gone.rename(features)
    train_separator(dataset, twice, constant(4))  # what it sees by is in its checkpoint by now
    assert "clips skipped 0, repeated 0" in capsys.readouterr().out
    one, other = weights(once, 4), weights(twice, 4)
    assert all(torch.equal(one[name], other[name]) for name in one)
    lines = [json.loads(line) for line in RunPaths(twice).receipts.read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 2]


def test_features_stay_as_they_were_unless_they_are_trained_along(
    dataset: Path, features: Path, whole: Path, tmp_path: Path
) -> None:
    own, trained = weights(features, 1), weights(whole, 4)
    assert all(torch.equal(own[name], trained[f"features.{name}"]) for name in own)
    along = replace(CONFIG, steps=2, separate=SeparateConfig(along=True), validate_every=0)
    train_separator(dataset, tmp_path / "run", along, features=features)
    moved = weights(tmp_path / "run", 2)
    assert any(not torch.equal(own[name], moved[f"features.{name}"]) for name in own)


def test_the_run_says_what_it_is_and_best_goes_by_the_error(whole: Path) -> None:
    paths = RunPaths(whole)
    info = read_run(paths)
    assert info.features
    assert (info.features.model, info.features.origin.step) == ("small", 1)
    best = json.loads(paths.best.read_text())
    assert best["loss"] < -3  # decibels: a mask of a half is at -6
    assert list(paths.tensorboard.glob("validation/*"))
    found = load_separator(whole, "last", torch.device("cpu"))
    assert found.step == 4
    assert not found.network.training
    assert rebuild(whole, 0)[0].audio.shape[1] == 1  # one sound a picture: its own


def test_blind_needs_no_features_and_takes_none(dataset: Path, features: Path, tmp_path: Path) -> None:
    blind = replace(CONFIG, steps=2, separate=SeparateConfig(task="blind"))
    with pytest.raises(InputError, match="there not for"):
        train_separator(dataset, tmp_path / "run", blind, features=features)
    train_separator(dataset, tmp_path / "run", blind)
    assert not any(name.startswith(("features", "eyes")) for name in weights(tmp_path / "run", 2))


def test_it_trains_in_half_precision_as_the_preset_for_a_gpu_does(
    dataset: Path, features: Path, tmp_path: Path
) -> None:
    """Weights stay in single precision, and masks are drawn in it."""
    assert PRESETS["separate-gpu"]().precision == "bf16"
    train_separator(dataset, tmp_path / "run", replace(CONFIG, steps=2, precision="bf16"), features=features)
    trained = weights(tmp_path / "run", 2)
    assert all(
        one.dtype == torch.float32 and one.isfinite().all() for one in trained.values() if one.is_floating_point()
    )


def test_what_cannot_work_is_said_in_a_line(dataset: Path, features: Path, whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    for config, named, words in (
        (CONFIG, None, "needs --features RUN"),
        (CONFIG, whole, "takes sounds apart itself"),
        (CONFIG, tmp_path, "no run"),
        (replace(CONFIG, view=replace(CONFIG.view, size=32)), features, "40x40 pixels, now 32x32"),
    ):
        with pytest.raises(InputError, match=words):
            train_separator(dataset, run, config, features=named)
        assert not run.exists()
    with pytest.raises(InputError, match="even --batch, not 5"):
        replace(CONFIG, batch=5)
    with pytest.raises(InputError, match="was begun with those of"):
        train_separator(dataset, whole, CONFIG, features=tmp_path)
    with pytest.raises(InputError, match="takes no sounds apart"):
        load_separator(features, "best", torch.device("cpu"))
    with pytest.raises(InputError, match="says nothing of sync"):
        load_network(whole, "last", torch.device("cpu"))


def test_features_that_were_trained_anew_are_not_taken_for_those_it_began_with(
    dataset: Path, whole: Path, tmp_path: Path
) -> None:
    record = json.loads(RunPaths(whole).info.read_text())
    record["features"]["origin"]["digest"] = "0" * 32
    RunPaths(tmp_path).info.write_text(json.dumps(record))
    with pytest.raises(FormatError, match="trained anew"):
        train_separator(dataset, tmp_path, CONFIG)

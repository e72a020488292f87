"""What is asked of the clips of val is what the network answers about them, and a training keeps what comes of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from avsync_settings import quick_config

from avsync.confidence import trust
from avsync.confidence.planted import ClipGrid, ask_clips
from avsync.confidence.trust import TrustPlan
from avsync.data.order import Draw
from avsync.data.pairs import Pair, SoundWindow
from avsync.data.transforms import prepare
from avsync.loading.feed import Feed
from avsync.loading.options import LoaderOptions
from avsync.run.network import load_network
from avsync.run.paths import RunPaths
from avsync.run.state import TrustRecord
from avsync.train.trainer import train
from avsync.world import World
from sharding.base.files import read_json

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def trained(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose val split of six clips was enough."""
    run = tmp_path_factory.mktemp("trusted") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trust, "FEWEST_CLIPS", 4)
        train(dataset, run, replace(quick_config(), steps=4, validate_every=2))
    return run


def test_a_window_and_a_sound_are_answered_as_the_network_answers_such_a_pair(trained: Path, dataset: Path) -> None:
    network = load_network(trained, "best", CPU)
    feed = Feed.open(dataset, "val", network.config.pairs, network.config.view)
    grid = ClipGrid.of(feed, network.spec.frames)
    assert grid is not None
    clips, options = feed.clips[:3].tolist(), LoaderOptions(workers=1)
    got = ask_clips(network, feed, grid, clips, World.alone(CPU), options, lambda batches: batches)
    assert [one.clip for one in got] == clips
    row, column = 2, len(grid.sounds) - 1
    pair = Pair(grid.starts[row], tuple(SoundWindow(grid.sounds[at], 0, True) for at in (column, 0)))
    draws = [[Draw(clip, pair, *feed.view.centre(), False) for clip in clips]]
    with feed.loader(options) as loader, torch.inference_mode():
        (expected,) = (network.model(*prepare(batch, feed.view)).logit.numpy() for batch in loader.batches(draws))
    found = np.array([one.logit[0, row, [column, 0]] for one in got])
    assert found == pytest.approx(expected, abs=1e-4)
    assert [bool(np.isnan(one.logit[1]).all()) for one in got] == [True, True, True], "one in three meets another sound"


def test_a_training_keeps_how_its_networks_are_to_be_read_and_asks_again_only_when_it_goes_on(
    trained: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paths, config = RunPaths(trained), replace(quick_config(), steps=4, validate_every=2)
    kept = read_json(paths.trust, TrustRecord)
    assert {one.step for one in kept.networks} == {load_network(trained, which, CPU).step for which in ("best", "last")}
    assert all(one.trust and one.low <= one.trust <= one.high for one in kept.networks)
    monkeypatch.setattr(trust, "FEWEST_CLIPS", 4)
    before = paths.trust.stat().st_mtime_ns
    train(dataset, trained, config)
    assert paths.trust.stat().st_mtime_ns == before
    paths.trust.unlink()  # as in a run of an earlier version
    train(dataset, trained, config)
    assert read_json(paths.trust, TrustRecord) == kept
    assert "found on 6 clips of 6 sources of val" in capsys.readouterr().out


def test_a_val_split_that_is_too_small_is_said_to_be(dataset: Path) -> None:
    config = quick_config()
    feed = Feed.open(dataset, "val", config.pairs, config.view)
    assert TrustPlan.of(feed, 20) == "the val split has 6 clips, 24 are needed: pack with a larger --val-percent"

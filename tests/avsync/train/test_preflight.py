"""Measured before the first step: it says what to expect, and the run is bit by bit what it would have been."""

import math
import signal
import time
from dataclasses import replace

import pytest
import torch
from curves import curve, load
from processes import command, run_ranks, start_ranks

from avsync.config import LowRateConfig
from avsync.run.checkpoint import load_checkpoint
from avsync.run.paths import RunPaths
from avsync.run.progress import read_progress
from avsync.train import preflight
from avsync.train.preflight import Forecast
from avsync.train.trainer import train


def with_preflight(config):
    return replace(config, runtime=replace(config.runtime, preflight=True))


@pytest.fixture
def quick(monkeypatch):
    """It measures for a moment only."""
    monkeypatch.setattr(preflight, "LOADER_S", 0.2)
    monkeypatch.setattr(preflight, "NETWORK_S", 0.2)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_run_with_it_ends_with_the_same_losses_weights_and_random_numbers(
    dataset, config, tmp_path, quick, accumulate
):
    config = replace(config, low_rate=LowRateConfig(steps=4, every=2))
    config = replace(config, runtime=replace(config.runtime, accumulate=accumulate))
    after = list[torch.Tensor]()
    for name, settings in (("without", config), ("with", with_preflight(config))):
        train(dataset, tmp_path / name, settings)
        after.append(torch.random.get_rng_state())
    assert after[0].equal(after[1])
    for name, tag in (("train", "loss"), ("validation", "loss")):
        assert curve(tmp_path / "with", name, tag) == curve(tmp_path / "without", name, tag)
    ends = [load_checkpoint(RunPaths(tmp_path / name).checkpoint(10)) for name in ("without", "with")]
    assert ends[0].state == ends[1].state
    assert all(weights.equal(ends[1].model[key]) for key, weights in ends[0].model.items())


def test_each_attempt_says_at_the_terminal_in_tensorboard_and_in_progress_json_what_to_expect(
    dataset, config, tmp_path, quick, capsys
):
    run = tmp_path / "run"
    train(dataset, run, with_preflight(config))
    now = read_progress(run)
    assert now is not None
    assert now.preflight.startswith("loader ")
    assert "unknown" not in now.preflight
    assert f"preflight: {now.preflight}" in capsys.readouterr().out
    assert "preflight/text_summary" in load(run, "train").Tags()["tensors"]
    train(dataset, run, with_preflight(config))
    assert "preflight" not in capsys.readouterr().out, "there is nothing left to train"


@pytest.mark.timeout(100)
def test_two_ranks_measure_together(dataset, config, tmp_path):
    said = run_ranks(command(dataset, tmp_path / "run", with_preflight(config), tmp_path), 2)
    assert said.count("preflight: loader ") == 1
    assert "unknown" not in said


@pytest.mark.timeout(60)
def test_a_wish_to_stop_ends_it(dataset, config, tmp_path):
    """With the longest possible times it would be at it for an hour."""
    run = tmp_path / "run"
    endless = "from avsync.train import preflight as p\np.LOADER_S = p.NETWORK_S = p.WHOLE_S = 3600\n"
    words = command(dataset, run, with_preflight(replace(config, steps=100_000)), tmp_path)
    words[2] = endless + words[2]
    (child,) = start_ranks(words, 1)
    while not (now := read_progress(run)) or now.phase != "starting":
        assert child.poll() is None, child.communicate()[0]
        time.sleep(0.05)
    time.sleep(3)
    child.send_signal(signal.SIGTERM)
    assert child.communicate(timeout=30)[0].rstrip().endswith("avsync.train.stop.Stopped")
    assert not RunPaths(run).saved_steps()


def forecast(loader: float, network: float, on_gpu: bool = True) -> str:
    return str(Forecast(loader=loader, network=network, on_gpu=on_gpu, compiled=False))


def test_a_loader_that_is_quicker_than_the_network_is_not_waited_for():
    assert forecast(480, 120) == "loader 480 clips/s, network 120 clips/s: the GPU will wait 0 % for data"


def test_a_loader_that_is_slower_is_waited_for_and_what_to_do_is_said():
    said = forecast(60, 120)
    assert said.startswith("loader 60 clips/s, network 120 clips/s: the GPU will wait for data about 50 % of the time.")
    assert "--runtime.scratch" in said


def test_what_could_not_be_measured_is_no_forecast():
    for pair in ((math.nan, 120), (60, math.nan), (math.nan, math.nan)):
        assert forecast(*pair).endswith(": too little for a forecast")


def test_the_pace_leaves_out_what_lay_ready_when_there_is_more():
    came = [(1.0, 4), (1.0, 4), (2.0, 4), (3.0, 4), (4.0, 4)]
    assert preflight._pace(0.0, came, skipped=2) == pytest.approx(4)
    assert preflight._pace(0.0, came[:1], skipped=2) == pytest.approx(4)
    assert math.isnan(preflight._pace(0.0, [], skipped=2))

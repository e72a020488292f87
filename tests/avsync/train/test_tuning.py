"""The form in which a CPU computes: measured once before a run, told, kept, and nothing else of the run moved by it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from curves import curve

from avsync.config import TrainConfig
from avsync.loading.feed import Feed
from avsync.models import MODELS
from avsync.run.checkpoint import load_checkpoint
from avsync.run.network import build_network
from avsync.run.paths import RunPaths
from avsync.train import tuning
from avsync.train.trainer import train
from avsync.train.tuning import Form, TuningRecord, candidates, measured, this_processor
from avsync.world import World
from sharding.base.files import read_json

PLAIN, LAST = (Form(precision="fp32", channels_last=last) for last in (False, True))
HALF = Form(precision="bf16", channels_last=True)
FITS = ("small", "embedding", "covariance")
"""Networks that see pictures of 40 pixels at 10 a second."""


def untuned(config: TrainConfig) -> TrainConfig:
    return replace(config, runtime=replace(config.runtime, tune=False))


@pytest.fixture
def feed(dataset: Path, config: TrainConfig) -> Feed:
    return Feed.open(dataset, "train", config.pairs, config.view)


@pytest.fixture
def fastest(monkeypatch: pytest.MonkeyPatch) -> Callable[[Form, float], None]:
    """Makes a form the fastest, by so much; the choice is between PLAIN, LAST and HALF."""

    def make(form: Form, gain: float) -> None:
        def found(config: TrainConfig, feed: Feed, forms: Sequence[Form]) -> list[float]:
            return [1 / gain if one == form else 1.0 for one in forms]

        monkeypatch.setattr(tuning, "candidates", lambda *_: [PLAIN, LAST, HALF])
        monkeypatch.setattr(tuning, "measured", found)

    return make


@pytest.mark.parametrize("model", [name for name in MODELS if name in FITS])
def test_forms_are_tried_that_may_be_faster_and_no_others(model, config, feed):
    own_layout = model != "covariance"
    plain = replace(config, model=model)
    assert candidates(plain, feed, frozenset({"avx2"})) == [PLAIN, *[LAST] * (not own_layout)]
    for flag in tuning.FAST_BF16:
        able = candidates(plain, feed, frozenset({"avx2", flag}))
        assert able[0] == PLAIN
        assert len(set(able)) == 2 * (2 - own_layout)
    asked = replace(plain, precision="bf16", channels_last=True)
    assert candidates(asked, feed, tuning.FAST_BF16) == [HALF], "what is asked for is given"


def test_measuring_takes_time_of_every_form_and_no_random_number(config, feed):
    before = torch.random.get_rng_state()
    times = measured(replace(config, model="covariance"), feed, [PLAIN, LAST, HALF])
    assert len(times) == 3
    assert all(0 < one < 60 for one in times)
    assert before.equal(torch.random.get_rng_state())


def test_the_slowest_rank_decides_and_a_small_gain_changes_nothing(config, feed, fastest):
    fastest(LAST, 1.5)
    alone = World.alone(torch.device("cpu"))
    chosen = tuning.choose(config, feed, alone)
    assert chosen is not None
    assert (chosen.form, chosen.gain) == (LAST, 1.5)
    other = torch.tensor([[1.0, 3.0, 1.0]], dtype=torch.float64)  # of a rank on which it is slow
    assert tuning.choose(config, feed, replace(alone, gather=lambda table: torch.cat((table, other)))) is None
    fastest(LAST, tuning.GAIN - 0.01)
    assert tuning.choose(config, feed, alone) is None


@pytest.mark.parametrize("form", [LAST, HALF], ids=str)
def test_a_run_is_told_its_form_and_goes_on_in_it_exactly(
    dataset, config, tmp_path, monkeypatch, capsys, fastest, form
):
    fastest(form, 1.23)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    config = replace(config, runtime=replace(config.runtime, keep=9))
    train(dataset, whole, config)
    assert f"tuning: computing in {form}: 1.23 times as fast as set, measured on" in capsys.readouterr().out
    train(dataset, stopped, config)
    for step in (10, 9):  # back to before them
        path = RunPaths(stopped).checkpoint(step)
        for file in path.iterdir():
            file.unlink()
        path.rmdir()
    capsys.readouterr()
    monkeypatch.setattr(tuning, "measured", lambda *_: pytest.fail("measured again"))
    train(dataset, stopped, config)
    assert f"tuning: computing in {form}" in capsys.readouterr().out
    ends = [load_checkpoint(RunPaths(run).checkpoint(10)) for run in (whole, stopped)]
    assert all(weights.equal(ends[1].model[key]) for key, weights in ends[0].model.items())
    assert curve(whole, "train", "loss") == curve(stopped, "train", "loss")


def test_in_half_precision_the_losses_are_others_and_nearly_the_same(dataset, config, tmp_path, fastest):
    fastest(HALF, 2)
    train(dataset, tmp_path / "half", config)
    train(dataset, tmp_path / "set", untuned(config))
    for name in ("train", "validation"):
        half, plain = (curve(tmp_path / run, name, "loss") for run in ("half", "set"))
        assert half != plain, "validation computes as training does"
        assert half == pytest.approx(plain, abs=0.05)


def test_where_nothing_is_faster_or_nobody_asks_the_run_is_what_it_was(dataset, config, tmp_path, fastest):
    fastest(PLAIN, 1)
    train(dataset, tmp_path / "asked", config)
    fastest(LAST, 2)
    train(dataset, tmp_path / "not", untuned(config))
    assert curve(tmp_path / "asked", "train", "loss") == curve(tmp_path / "not", "train", "loss")
    assert not any(RunPaths(tmp_path / run).tuning.exists() for run in ("asked", "not"))


def test_a_run_that_was_begun_without_goes_on_without(dataset, config, tmp_path, fastest):
    run = tmp_path / "run"
    train(dataset, run, replace(untuned(config), optim=replace(config.optim, schedule="constant"), steps=5))
    fastest(LAST, 2)
    train(dataset, run, replace(config, optim=replace(config.optim, schedule="constant")))
    assert not RunPaths(run).tuning.exists()


def test_the_choice_is_kept_with_the_run(dataset, config, tmp_path, fastest):
    fastest(LAST, 1.5)
    train(dataset, tmp_path / "run", replace(config, steps=3, validate_every=0))
    record = read_json(RunPaths(tmp_path / "run").tuning, TuningRecord)
    assert (record.form, record.gain, record.processor) == (LAST, 1.5, this_processor()[0])


def test_a_form_changes_rounding_only(config, feed):
    spec = feed.spec()
    frames = torch.rand(2, 3, spec.frames, spec.height, spec.width) * 2 - 1
    sounds = torch.rand(2, 2, spec.channels, spec.samples) * 2 - 1
    for model in FITS:
        given = replace(config, model=model)
        plain, last = (build_network(form.of(given), feed).eval() for form in (PLAIN, LAST))
        with torch.no_grad():
            there = last(frames.contiguous(memory_format=torch.channels_last_3d), sounds).logit
            assert torch.allclose(plain(frames, sounds).logit, there, atol=1e-4)


def test_a_processor_that_nobody_describes_can_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(tuning, "CPUINFO", tmp_path / "none")
    assert this_processor() == ("this processor", frozenset())
    (tmp_path / "told").write_text("processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: fpu avx512_bf16\n")
    monkeypatch.setattr(tuning, "CPUINFO", tmp_path / "told")
    assert this_processor() == ("Some CPU", frozenset({"fpu", "avx512_bf16"}))

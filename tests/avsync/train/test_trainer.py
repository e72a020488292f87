"""Training: what a run leaves behind, and what settings do."""

import json
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from avsync_settings import one_step
from curves import curve, load
from seen import keys, ordered, trained, watched

from avsync.config import LowRateConfig, OptimConfig, OptimizerName, PairConfig, RuntimeConfig, TrainConfig, ViewConfig
from avsync.data.batch import Batch
from avsync.data.transforms import NetworkInput
from avsync.run.network import load_network
from avsync.run.paths import RunPaths
from avsync.train import pictures
from avsync.train.reporter import CLIPS, TrainReporter
from avsync.train.step import OPTIMIZERS, learning_rate
from avsync.train.tracking import PLATEAU_LOSS
from avsync.train.trainer import train
from sharding.base.locks import folder_lock
from sharding.errors import BusyError, InputError


def test_a_run_leaves_curves_pictures_settings_and_checkpoints(dataset, config, tmp_path, capsys):
    run = tmp_path / "run"
    summary = train(dataset, run, config)
    opening, *said = capsys.readouterr().out.splitlines()
    assert opening.startswith(f"training {config.model} on the CPU (")
    assert f"{config.batch} clips a step, steps 0 to {config.steps}; log: {run}" in opening
    assert any(line.startswith("step 1/10 ") for line in said), "a log file hears of the first step at once"
    assert (summary.steps, summary.resumed_at) == (10, 0)
    assert sorted(curve(run, "train", "loss")) == list(range(1, 11))
    assert sorted(curve(run, "validation", "accuracy")) == [5, 10]
    assert set(curve(run, "chance", "accuracy").values()) == {0.5}
    assert curve(run, "chance", "loss")[3] == pytest.approx(PLATEAU_LOSS)
    tags = load(run, "train").Tags()["scalars"]
    assert {"learning_rate", "speed/clips_per_s", "speed/share_of_time_waiting_for_data"} <= set(tags)
    assert set(load(run, "validation").Tags()["images"]) == {"where_it_listens"}
    assert load(run, "train").Tags()["images"] == ["first_batch"]
    assert RunPaths(run).saved_steps()[0] == 10
    assert len(RunPaths(run).saved_steps()) <= config.runtime.keep + 1
    assert json.loads((run / "best.json").read_text())["step"] in RunPaths(run).saved_steps()


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_first_step_does_not_wait_for_the_picture_of_what_it_was_shown(
    dataset, tmp_path, monkeypatch, capsys, accumulate
):
    said, drawn = list[str](), list[tuple[Batch, NetworkInput]]()
    sheet, shown = pictures.batch_sheet, list[Batch]()
    first_batch = TrainReporter.first_batch

    def seen(self: TrainReporter, batch: Batch, *rest: Any) -> None:
        shown.append(batch.first(len(batch.keys)))
        first_batch(self, batch, *rest)

    def drawing(given: NetworkInput, batch: Batch) -> Any:
        said.append(capsys.readouterr().out)
        drawn.append((batch, given))
        return sheet(given, batch)

    monkeypatch.setattr(TrainReporter, "first_batch", seen)
    monkeypatch.setattr(pictures, "batch_sheet", drawing)
    config = replace(one_step(), batch=8)
    train(dataset, tmp_path / "run", replace(config, runtime=replace(config.runtime, accumulate=accumulate)))
    assert "step 1/1 " in said[0]
    (batch, given), (whole,) = *drawn, shown
    assert batch.keys == whole.keys[:CLIPS]
    assert torch.equal(batch.yuv, whole.yuv[:CLIPS])  # its slot has other clips by now
    assert len(given.frames) == len(batch.keys) == min(CLIPS, 8 // accumulate)


def test_the_finished_run_is_left_alone_by_the_same_command(dataset, config, tmp_path):
    train(dataset, tmp_path / "run", config)
    before = (tmp_path / "run/checkpoints/00000010/model.pt").read_bytes()
    summary = train(dataset, tmp_path / "run", config)
    assert (summary.steps, summary.resumed_at) == (10, 10)
    assert (tmp_path / "run/checkpoints/00000010/model.pt").read_bytes() == before


def test_a_run_with_a_constant_rate_is_made_longer_and_is_then_the_long_one(dataset, config, tmp_path):
    config = replace(config, optim=replace(config.optim, schedule="constant"))
    short = replace(config, steps=5)
    train(dataset, tmp_path / "grown", short)
    for other, why in (
        (replace(config, seed=3), "--seed was 0, is 3"),
        (replace(config, steps=4), "--steps was 5, is 4"),
        (replace(config, optim=replace(config.optim, schedule="cosine")), "schedule was constant"),
    ):
        with pytest.raises(InputError, match=why):
            train(dataset, tmp_path / "grown", other)
    summary = train(dataset, tmp_path / "grown", config)
    assert (summary.steps, summary.resumed_at) == (10, 5)
    train(dataset, tmp_path / "long", config)
    for name in ("model.pt", "optimizer.pt", "state.json"):
        ends = [(tmp_path / run / "checkpoints/00000010" / name).read_bytes() for run in ("grown", "long")]
        assert ends[0] == ends[1], name
    with pytest.raises(InputError, match="--steps was 10, is 5"):
        train(dataset, tmp_path / "grown", short)


def test_a_run_whose_rate_falls_to_its_end_says_why_it_cannot_be_longer(dataset, config, tmp_path):
    train(dataset, tmp_path / "run", replace(config, steps=5))
    with pytest.raises(InputError, match=r"--steps was 5, is 10.* only a constant one can be made longer"):
        train(dataset, tmp_path / "run", config)


def test_the_same_settings_give_the_same_run_and_another_seed_another(dataset, config, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(dataset, tmp_path / name, replace(config, seed=seed))
    losses = [curve(tmp_path / name, "train", "loss") for name in "abc"]
    assert losses[0] == losses[1] != losses[2]


def test_a_loss_that_is_no_number_ends_the_run_at_once(dataset, config, tmp_path):
    optim = replace(config.optim, name="sgd", lr=1e6, warmup_steps=0, clip_norm=0, schedule="constant")
    with pytest.raises(InputError, match=r"the loss is (nan|inf) at step \d+: .*lower --optim.lr"):
        train(dataset, tmp_path / "run", replace(config, steps=200, optim=optim))
    assert RunPaths(tmp_path / "run").saved_steps()[0] < 200


def passes_of(config: TrainConfig, passes: int) -> TrainConfig:
    return replace(config, runtime=replace(config.runtime, accumulate=passes))


def test_accumulation_changes_memory_not_data(dataset, config, tmp_path):
    for passes in (1, 2):
        with watched(tmp_path / str(passes)):
            train(dataset, tmp_path / f"run-{passes}", passes_of(config, passes))
    whole, parts = (trained(tmp_path / str(passes), 0, passes=passes) for passes in (1, 2))
    assert [len(step) for step in parts] == [2] * 10
    assert [keys(step) for step in parts] == [keys(step) for step in whole] == ordered(tmp_path / "run-1", range(10))
    assert [one.draws + other.draws for one, other in parts] == [batch.draws for (batch,) in whole]


def test_a_resumed_run_may_take_its_batch_in_other_passes_and_sees_the_same_clips(dataset, config, tmp_path):
    run = tmp_path / "run"
    for number, (passes, start) in enumerate(((1, 0), (4, 9), (2, 9))):
        with watched(tmp_path / str(number)):
            assert train(dataset, run, passes_of(config, passes)).resumed_at == start
        steps = trained(tmp_path / str(number), start, passes=passes)
        assert {len(step) for step in steps} == {passes}
        assert [keys(step) for step in steps] == ordered(run, range(start, 10))
        shutil.rmtree(RunPaths(run).checkpoint(10))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimiser_moves_the_weights(dataset, config, tmp_path, name):
    run = tmp_path / "run"
    optim = OptimConfig(name=name, lr=1e-3, warmup_steps=0, schedule="constant")
    train(dataset, run, replace(config, steps=2, optim=optim, validate_every=0))
    trained = load_network(run, "last", torch.device("cpu"))
    torch.manual_seed(0)
    from avsync.models import build_model

    fresh = build_model("small", trained.spec).state_dict()
    moved = [not torch.equal(weights, fresh[key]) for key, weights in trained.model.named_parameters()]
    assert all(moved)


def test_the_optimisers_are_those_of_the_settings():
    assert set(OPTIMIZERS) == set(get_args(OptimizerName))


def test_the_learning_rate_rises_then_falls_to_zero_or_stays():
    cosine = OptimConfig(lr=1.0, warmup_steps=10)
    rates = [learning_rate(step, 100, cosine) for step in range(100)]
    assert rates[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert max(rates) == pytest.approx(1.0)
    assert all(after <= before for before, after in pairwise(rates[10:]))
    assert 0 < rates[-1] < 0.01
    constant = OptimConfig(lr=1.0, warmup_steps=10, schedule="constant")
    assert [learning_rate(step, 100, constant) for step in (10, 50, 99)] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    "change",
    [
        {"precision": "bf16"},
        {"channels_last": True},
        {"low_rate": LowRateConfig(steps=5, every=2)},
        {"pairs": PairConfig(law="cyclic", window_s=2, min_shift_s=0.5, max_shift_s=1.5, mute_samples=1000)},
        {"view": ViewConfig(crop=1, size=32, flip=False)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_way_to_train_runs_and_validates(dataset, config, tmp_path, change):
    train(dataset, tmp_path / "run", replace(config, steps=6, **change))
    losses = curve(tmp_path / "run", "train", "loss")
    assert len(losses) == 6
    assert all(0 < loss < 5 for loss in losses.values())
    assert len(curve(tmp_path / "run", "validation", "loss")) == 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # torch's compiler warns about itself
def test_a_compiled_network_trains_and_its_checkpoint_is_a_plain_one(dataset, config, tmp_path):
    train(dataset, tmp_path / "run", replace(config, steps=3, compile=True, validate_every=0))
    load_network(tmp_path / "run", "last", torch.device("cpu"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch": 500}, r"--batch 500 needs at least 500 usable clips"),
        ({"batch": 6, "runtime": RuntimeConfig(accumulate=4)}, r"--runtime\.accumulate 4 passes: .* multiple of 4"),
        ({"pairs": PairConfig(window_s=4, min_shift_s=3, max_shift_s=4)}, r"no clip is long enough: .* need 7\.00 s"),
        ({"model": "thesis"}, r"at least 97 frames.*--pairs\.window-s.*at least 185 pixels.*--view\.size 185"),
    ],
    ids=["batch", "accumulate", "window", "size"],
)
def test_impossible_settings_are_refused_before_anything_is_written(dataset, config, tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        train(dataset, tmp_path / "run", replace(config, **change))
    assert not (tmp_path / "run").exists()


def test_a_dataset_without_validation_clips_says_how_to_go_on(dataset, config, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    text = json.loads((copy / "dataset.json").read_text())
    text["clips"]["val"] = 0
    (copy / "dataset.json").write_text(json.dumps(text))
    with pytest.raises(InputError, match=r"--val-percent.*--validate-every 0"):
        train(copy, tmp_path / "run", config)
    train(copy, tmp_path / "run", replace(config, steps=3, validate_every=0))


def test_a_run_folder_in_use_is_refused_and_named(dataset, config, tmp_path):
    import subprocess
    import sys

    run = tmp_path / "run"
    holder = (
        "import sys, time; from pathlib import Path; from sharding.base.locks import folder_lock\n"
        "with folder_lock(Path(sys.argv[1]), 'avsync train'): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", holder, str(run)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == "held"
        with pytest.raises(BusyError, match=rf"in use by avsync train \(process {other.pid} on "):
            train(dataset, run, config)
        other.kill()
    train(dataset, run, replace(config, steps=3, validate_every=0))  # a killed holder leaves no lock behind


def test_the_lock_is_free_again_after_a_run(dataset, config, tmp_path):
    train(dataset, tmp_path / "run", replace(config, steps=3, validate_every=0))
    with folder_lock(tmp_path / "run", "a test"):
        pass


def test_a_missing_shard_is_told_before_training_begins(dataset, config, tmp_path):
    copy = Path(shutil.copytree(dataset, tmp_path / "copy"))
    (copy / "train" / "000001.tar").unlink()
    with pytest.raises(InputError, match=r"1 of \d+ shards are missing: .*000001\.tar; run the same avsync pack again"):
        train(copy, tmp_path / "run", config)
    assert not (tmp_path / "run").exists()

"""A network that turns to cheating while it trains: the alarm, the checkpoint that is kept, and what is told where."""

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from avsync_settings import quick_config
from curves import curve, load
from processes import command, run_ranks
from turncoat import AGE, CHILD, turning

from avsync.config import TrainConfig
from avsync.run.alarm import Alarm
from avsync.run.checkpoint import load_checkpoint
from avsync.run.network import load_network
from avsync.run.paths import RunPaths
from avsync.run.progress import read_progress
from avsync.run.state import Best, State
from avsync.train.tracking import PAGE
from avsync.train.trainer import train
from sharding.base.files import from_json, read_json, to_json
from sharding.config import PackConfig
from sharding.pack.pack import pack
from sharding.scenes.config import SceneConfig
from sharding.scenes.generate import generate

pytestmark = pytest.mark.timeout(200)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset with 24 clips to validate on: fewer could not tell a cheat from luck."""
    folder = tmp_path_factory.mktemp("many")
    generate(folder, SceneConfig(count=40, seconds=4, size=48, fps=10, sample_rate=8000, val_share=0.6, test_share=0.1))
    settings = PackConfig(fps="10", size=48, sample_rate=8000, min_clip_s="3", sources_per_shard=9, workers=2)
    pack(folder / "scenes.csv", folder / "dataset", settings)
    return folder / "dataset"


def settings() -> TrainConfig:
    config = quick_config()
    runtime = replace(config.runtime, checkpoint_every=2, keep=2)
    return replace(config, steps=10, validate_every=2, validate_clips=24, runtime=runtime)


@pytest.fixture(scope="module")
def turned(many: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose network cheats from step 6 on. Beside it lie its states."""
    folder = tmp_path_factory.mktemp("turned")
    with turning(folder):
        train(many, folder / "run", settings())
    return folder / "run"


def test_the_last_honest_checkpoint_is_kept_as_best_when_the_network_turns_to_cheating(turned: Path) -> None:
    best = read_json(turned / "best.json", Best)
    assert best.step <= AGE, "accuracy is higher from there on"
    assert not best.cheats
    assert best.audited == pytest.approx(best.accuracy, abs=0.1)
    accuracy = curve(turned, "validation", "accuracy")
    assert accuracy[10] == 1 > accuracy[best.step]
    assert curve(turned, "validation", "honesty/audited_accuracy")[10] == pytest.approx(0.5)
    assert best.step in RunPaths(turned).saved_steps(), "though 2 newer ones are kept"


def test_the_alarm_is_in_state_progress_and_tensorboard_with_the_honest_step(turned: Path) -> None:
    alarm = load_checkpoint(RunPaths(turned).checkpoint(10)).state.alarm
    assert alarm is not None
    best = read_json(turned / "best.json", Best)
    assert (alarm.stream, alarm.since, alarm.step, alarm.honest) == ("sound", 6, 10, best.step)
    assert alarm.low > 0.5
    progress = read_progress(turned)
    assert progress is not None
    assert progress.alarm == alarm
    assert progress.validation is not None
    assert progress.validation.audited == pytest.approx(0.5)
    texts = load(turned, "train")
    (text,) = texts.Tensors("alarm/text_summary")
    assert text.step == 6, "once, when it began"
    assert f"Step {best.step} is honest and kept as best" in text.tensor_proto.string_val[0].decode()


def test_its_curves_lie_beside_chance_and_its_maps_in_a_table(turned: Path) -> None:
    other = curve(turned, "validation", "honesty/accuracy_with_another_picture")
    assert sorted(other) == [2, 4, 6, 8, 10]
    assert other[10] == 1
    assert set(curve(turned, "validation", "honesty/accuracy_with_muted_sound").values()) == {0.5}
    assert set(curve(turned, "chance", "honesty/accuracy_with_another_picture").values()) == {0.5}
    assert curve(turned, "validation", "honesty/maps_spatial")[10] == 0, "whole frames are lit"
    assert "honesty/map_listened" in load(turned, "validation").Tags()["histograms"]
    with (turned / "maps.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len({row["clip"] for row in rows}) == 24
    assert {row["spatial"] for row in rows} == {"0.0000"}


def test_a_page_of_tensorboard_asks_whether_it_cheats_with_curves_that_are_there(turned: Path) -> None:
    tags = set(load(turned, "validation").Tags()["scalars"])
    charts = PAGE["Does it cheat?"].values()
    wanted = [pattern for _, patterns in charts for pattern in patterns]
    for pattern in wanted:
        assert [tag for tag in tags if re.match(pattern, tag)] == [pattern.removesuffix("$")]
    assert "custom_scalars__config__" in load(turned, "train").Tags()["tensors"]


def test_the_log_is_told_when_it_begins_and_not_again(
    many: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with turning(tmp_path):
        train(many, tmp_path / "run", settings())
    shown = capsys.readouterr().out
    assert shown.count("alarm: CHEATING since step 6: the sound alone tells the network the label") == 1
    assert shown.count("audited 50.0 % (another picture 100.0 %, muted 50.0 %") == 3
    assert "avsync audit DATASET" in shown


def test_a_run_that_was_stopped_in_between_raises_the_same_alarm_at_the_same_step(
    many: Path, turned: Path, tmp_path: Path
) -> None:
    """Once it goes on from before the alarm, once from where it stands already."""
    run = tmp_path / "run"
    shutil.copytree(turned, run)
    whole = load_checkpoint(RunPaths(turned).checkpoint(10)).state
    assert whole.best is not None
    with turning(tmp_path):
        shutil.rmtree(RunPaths(run).checkpoint(10))
        assert train(many, run, settings()).resumed_at == 8
        assert load_checkpoint(RunPaths(run).checkpoint(10)).state == whole
        for step in (8, 10):
            shutil.rmtree(RunPaths(run).checkpoint(step))
        assert train(many, run, settings()).resumed_at == whole.best.step
    assert load_checkpoint(RunPaths(run).checkpoint(10)).state == whole
    progress = read_progress(run)
    assert progress is not None
    assert progress.alarm == whole.alarm


def test_two_ranks_come_to_the_same_verdict(many: Path, tmp_path: Path) -> None:
    run_ranks(command(many, tmp_path / "run", settings(), tmp_path, CHILD), 2)
    for step in (2, 4, 6, 8, 10):
        mine, other = (json.loads((tmp_path / f"state-{rank}-{step}.json").read_text()) for rank in range(2))
        assert mine == other
        assert bool(mine["alarm"]) == (step > AGE)
    assert read_json(tmp_path / "run" / "best.json", Best).step <= AGE


def test_who_uses_a_network_that_cheats_is_told_and_who_uses_the_honest_one_is_not(
    turned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with turning(turned.parent):
        assert load_network(turned, "best", torch.device("cpu")).step <= AGE
        assert not capsys.readouterr().err
        assert load_network(turned, "last", torch.device("cpu")).step == 10
    shown = " ".join(capsys.readouterr().err.split())
    assert "this checkpoint CHEATS: the sound alone tells it the label in 100.0 %" in shown
    assert f"step {read_json(turned / 'best.json', Best).step} is honest" in shown


def test_files_of_before_the_audit_are_read(tmp_path: Path) -> None:
    old = from_json(b'{"step": 4, "accuracy": 0.9, "loss": 0.2}', Best, "best.json")
    assert (old.audited, old.cheats, old.worth) == (None, False, 0.9)
    state = from_json(b'{"step": 4, "model": "small", "digest": "", "skipped": 0}', State, "state.json")
    assert state.alarm is None


def test_what_is_written_is_read_again() -> None:
    alarm = Alarm(since=2, step=4, stream="picture", accuracy=0.9, low=0.7, told=0.8)
    state = State(step=4, model="small", digest="", skipped=0, best=Best(2, 0.8, 0.5, 0.6, True), alarm=alarm)
    assert from_json(to_json(state), State, "state.json") == state


def test_an_honest_checkpoint_beats_a_cheat_with_more_accuracy_and_of_two_cheats_the_smaller_one_wins() -> None:
    honest, cheat = Best(1, 0.7, 0.6, 0.7), Best(2, 0.99, 0.01, 0.5, True)
    assert honest.beats(cheat)
    assert not cheat.beats(honest)
    assert Best(3, 0.6, 0.9, 0.5, True).beats(cheat), "both know nothing: this one owes less to one stream"
    assert not cheat.beats(Best(3, 0.5, 0.69, 0.5))
    assert not Best(3, 0.9, 0.3, 0.54, True).beats(Best(1, 0.5, 0.69, 0.5)), "luck among those that know nothing"
    assert Best(3, 0.9, 0.3, 0.85, True).beats(Best(1, 0.6, 0.69, 0.6)), "a small cue does not make it worthless"

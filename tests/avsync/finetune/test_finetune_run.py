"""A whole comparison: it stops and goes on at the exact step, judges once, and says what does not fit."""

import csv
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from avsync_settings import quick_config

from avsync.config import OptimConfig
from avsync.finetune.arms import build_arms
from avsync.finetune.compare import Comparison
from avsync.finetune.config import FinetuneConfig
from avsync.finetune.finetune import finetune
from avsync.finetune.place import LearningPoint, OutPaths
from avsync.run.checkpoint import load_checkpoint
from avsync.run.network import load_network
from avsync.train.stop import Stopped
from avsync.train.trainer import train
from launch.cli import STOPPED
from sharding.base.environment import STOP_FILE
from sharding.base.files import read_json
from sharding.errors import InputError

STEPS = 12
CONFIG = FinetuneConfig(
    frozen=True, steps=STEPS, batch=4, validate_every=4, validate_clips=4, log_every=3, checkpoint_every=100,
    optim=OptimConfig(name="adamw", lr=1e-3, warmup_steps=2), device="cpu", workers=1, test_windows=2,
)  # fmt: skip
FLAGS = (
    "--preset small --frozen --steps 12 --batch 4 --validate-every 4 --validate-clips 4 --log-every 3 "
    "--checkpoint-every 100 --optim.lr 1e-3 --optim.weight-decay 1e-4 --optim.warmup-steps 2 --device cpu --workers 1"
).split()
"""CONFIG, as typed."""


@pytest.fixture(scope="module")
def run(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("learned") / "run"
    train(dataset, folder, replace(quick_config(), steps=4, validate_every=4))
    return folder


@pytest.fixture(scope="module")
def whole(run: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[OutPaths, Comparison]:
    """A comparison that nobody stopped."""
    out = tmp_path_factory.mktemp("whole") / "out"
    return OutPaths(out), finetune(run, dataset, out, CONFIG)


def test_all_arms_are_judged_on_the_same_clips_and_the_files_agree(whole, capsys):
    out, found = whole
    assert [arm.name for arm in found.arms] == ["learned", "scratch", "frozen"]
    assert len({arm.top1.count for arm in found.arms} | {found.clips}) == 1
    with out.predictions.open() as file:
        rows = list(csv.DictReader(file))
    for arm in found.arms:
        assert arm.top1.value == pytest.approx(sum(row[arm.name] == row["class"] for row in rows) / len(rows))
    with out.table.open() as file:
        table = {(row["arm"], row["measure"]): float(row["value"]) for row in csv.DictReader(file)}
    assert table["learned", "top1"] == found.arms[0].top1.value
    assert table["chance", "top1"] == 1 / len(found.begun.classes)
    assert out.plot.stat().st_size > 1000
    assert {path.name for path in out.run.tensorboard.iterdir()} == {"learned", "scratch", "frozen"}


def test_val_picks_the_checkpoint_by_accuracy_then_loss(whole):
    out, found = whole
    points = [point for point in read_json(out.curves, list[LearningPoint]) if point.split == "val"]
    assert {point.step for point in points} == {4, 8, 12}
    for arm in found.arms:
        own = [point for point in points if point.arm == arm.name]
        best = max(own, key=lambda point: (point.accuracy, -point.loss))
        assert (arm.picked_step, arm.val_accuracy) == (best.step, best.accuracy)


def test_a_second_call_shows_the_result_without_a_second_look_at_the_test_split(whole, run, dataset, capsys):
    out, found = whole
    before = out.predictions.stat().st_mtime_ns
    assert finetune(run, dataset, out.root, CONFIG) == found
    assert out.predictions.stat().st_mtime_ns == before
    assert found.differences[0].verdict in capsys.readouterr().out


def test_a_comparison_that_was_ended_by_a_signal_goes_on_to_the_same_weights_and_curves(whole, run, dataset, tmp_path):
    out = OutPaths(tmp_path / "out")
    words = [sys.executable, "-m", "launch", "finetune", str(run), str(dataset), str(out.root), *FLAGS]
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads()), "PYTHONUNBUFFERED": "1"}
    child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    assert child.stdout
    said = list[str]()
    for line in child.stdout:
        said.append(line)
        if line.startswith("step 4: accuracy on val"):
            child.send_signal(signal.SIGTERM)
            break
    rest = child.communicate(timeout=120)[0]
    assert child.returncode == STOPPED, "".join(said) + rest
    assert "the same avsync finetune command again goes on" in rest
    (step,) = out.run.saved_steps()
    assert 4 <= step < STEPS
    assert not out.result.exists()
    again = subprocess.run(words, capture_output=True, text=True, timeout=200, check=True, env=environment)
    assert f"steps {step} to {STEPS}" in again.stdout
    assert again.stdout.splitlines()[-1].startswith("Next: avsync board ")
    expected = whole[0]
    ends = [load_checkpoint(paths.run.checkpoint(STEPS)) for paths in (out, expected)]
    assert ends[0].state == ends[1].state
    for arm in ("learned", "scratch", "frozen"):
        for which in ("now", "best"):
            pair = [end.model[arm][which] for end in ends]
            assert all(torch.equal(value, pair[1][name]) for name, value in pair[0].items()), (arm, which)
    assert read_json(out.curves, list[LearningPoint]) == read_json(expected.curves, list[LearningPoint])
    assert read_json(out.result, Comparison).arms == whole[1].arms


def test_a_wish_to_stop_before_the_first_step_leaves_nothing_half_done(run, dataset, tmp_path, monkeypatch):
    wish = tmp_path / "stop"
    wish.touch()
    monkeypatch.setenv(STOP_FILE, str(wish))
    with pytest.raises(Stopped):
        finetune(run, dataset, tmp_path / "out", CONFIG)
    assert OutPaths(tmp_path / "out").run.saved_steps() == []


def test_learned_and_scratch_differ_only_in_the_weights_they_begin_with(run):
    loaded = load_network(run, "best", torch.device("cpu"))
    learned, scratch, frozen = build_arms(CONFIG, loaded, 4, torch.device("cpu"))
    last = [arm.network.linear.weight for arm in (learned, scratch, frozen)]
    assert torch.equal(last[0], last[1])
    assert torch.equal(last[0], last[2])
    trained = loaded.model.video.state_dict()
    for arm, same in ((learned, True), (frozen, True), (scratch, False)):
        own = arm.network.trunk.video.state_dict()
        assert all(torch.equal(value, trained[name]) for name, value in own.items()) == same


def test_other_settings_do_not_go_on_with_what_was_begun(whole, run, dataset):
    out, _ = whole
    other = replace(CONFIG, batch=6, optim=replace(CONFIG.optim, lr=0.5))
    with pytest.raises(InputError, match=r"with other settings: --batch was 4, is 6; --optim.lr was 0.001, is 0.5\."):
        finetune(run, dataset, out.root, other)
    finetune(run, dataset, out.root, replace(CONFIG, workers=2, log_every=7))


def test_a_folder_of_something_else_is_left_alone(run, dataset, tmp_path):
    with pytest.raises(InputError, match="is a run; give avsync finetune another folder"):
        finetune(run, dataset, run, CONFIG)
    with pytest.raises(InputError, match="is a dataset; give avsync finetune another folder"):
        finetune(run, dataset, dataset, CONFIG)
    (tmp_path / "letter.txt").touch()
    with pytest.raises(InputError, match=r"holds other files \(letter.txt\)"):
        finetune(run, dataset, tmp_path, CONFIG)

"""Killed anywhere, the same command goes on at the exact step: bit-equal losses on CPU, each step drawn once."""

import random
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
from avsync_settings import quick_config
from curves import curve
from processes import CHILD, command, finish

from avsync.config import TrainConfig
from avsync.run.checkpoint import load_checkpoint
from avsync.run.paths import RunPaths
from avsync.run.receipt import read_receipts
from avsync.train.trainer import train

STEPS = 24
CURVES = (("train", "loss"), ("train", "accuracy"), ("validation", "loss"), ("train", "learning_rate"))
KILLED_WHILE_SAVING = (
    """
import os, signal, sys
left = int(sys.argv[4])
def at_change(event, arguments):  # of any file below checkpoints/
    global left
    if event in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir") and "checkpoints" in str(arguments[0]):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(at_change)
"""
    + CHILD
)


def long_config() -> TrainConfig:
    config = quick_config()
    runtime = replace(config.runtime, checkpoint_every=4, workers=2)
    return replace(config, steps=STEPS, validate_every=8, runtime=runtime)


@pytest.fixture(scope="module")
def whole(dataset, tmp_path_factory) -> Path:
    """A run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    train(dataset, folder / "run", long_config())
    return folder / "run"


def assert_same(run: Path, whole: Path) -> None:
    for name, tag in CURVES:
        assert curve(run, name, tag) == curve(whole, name, tag)
    ends = [load_checkpoint(RunPaths(folder).checkpoint(STEPS)) for folder in (whole, run)]
    assert ends[0].state == ends[1].state
    assert all(weights.equal(ends[1].model[key]) for key, weights in ends[0].model.items())


def kill_while_running(words: list[str], run: Path, rng: random.Random) -> bool:
    """Start, let it save at least one checkpoint, kill -9 at a random moment. False when it was done before."""
    before = max(RunPaths(run).saved_steps(), default=0)
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        while child.poll() is None and max(RunPaths(run).saved_steps(), default=0) <= before:
            time.sleep(0.005)
        time.sleep(rng.random() * 0.3)
        done = child.poll() is not None
        child.send_signal(signal.SIGKILL)
        _, errors = child.communicate()
        assert not done or child.returncode == 0, errors.decode()
    return not done


@pytest.mark.timeout(300)
def test_kill_dash_nine_at_random_steps_twice_in_a_row_changes_nothing(dataset, whole, tmp_path):
    rng, run = random.Random(1), tmp_path / "run"
    words = command(dataset, run, long_config(), tmp_path)
    kills = sum(kill_while_running(words, run, rng) for _ in range(2))
    said = finish(words)
    assert kills >= 1, "the run was over before it could be killed: the test saw nothing"
    assert "clips skipped 0, repeated 0, digest of" in said
    assert_same(run, whole)
    receipts = read_receipts(RunPaths(run))
    assert [receipt.attempt for receipt in receipts] == [1, 2, 3]
    assert receipts[0].step == 0 < receipts[-1].step
    assert [(receipt.skipped, receipt.repeated) for receipt in receipts] == [(0, 0)] * 3


@pytest.mark.timeout(300)
def test_killed_again_and_again_while_a_checkpoint_is_written_it_ends_as_if_undisturbed(dataset, whole, tmp_path):
    """The numbers: which use of a file below checkpoints/ an attempt does not live to see: its second save."""
    run = tmp_path / "run"
    words = command(dataset, run, long_config(), tmp_path, KILLED_WHILE_SAVING)
    for change in ("20", "24"):
        killed = subprocess.run([*words, change], capture_output=True, text=True, timeout=200, check=False)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert list(RunPaths(run).checkpoints.glob("*.*")), "it was killed at a moment when nothing was half done"
    finish([*words, "0"])
    assert_same(run, whole)
    assert not list(RunPaths(run).checkpoints.glob("*.*"))


@pytest.mark.timeout(200)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_wish_to_stop_is_granted_at_the_next_step_and_nothing_is_lost(dataset, tmp_path, number):
    run, paths = tmp_path / "run", RunPaths(tmp_path / "run")
    config = replace(long_config(), steps=4000, validate_every=0)
    with subprocess.Popen(
        command(dataset, run, config, tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        while child.poll() is None and not paths.saved_steps():
            time.sleep(0.01)
        child.send_signal(number)
        _, errors = child.communicate(timeout=60)
    assert b"avsync.train.stop.Stopped" in errors
    drawn = curve(run, "train", "loss")
    assert paths.saved_steps()[0] == max(drawn), "it went on from the step it stood at"


def test_a_validation_that_could_read_nothing_is_no_score_and_the_run_can_be_resumed(dataset, config, tmp_path):
    copy, run = Path(shutil.copytree(dataset, tmp_path / "copy")), tmp_path / "run"
    for shard in (copy / "val").glob("*.tar"):
        shard.write_bytes(bytes(shard.stat().st_size))
    first = train(copy, run, replace(config, steps=6))
    assert first.best is None
    shutil.rmtree(RunPaths(run).checkpoint(6))
    assert train(copy, run, replace(config, steps=6)).resumed_at > 0


def test_an_attempt_that_died_before_its_first_checkpoint_leaves_no_trace_in_the_curves(dataset, config, tmp_path):
    run = tmp_path / "run"
    config = replace(config, validate_every=0)
    train(dataset, run, replace(config, steps=5, optim=replace(config.optim, warmup_steps=4)))
    for name in ("checkpoints", "run.json", "receipts.jsonl"):  # what the dead attempt had not written yet
        path = run / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    train(dataset, run, config)
    assert sorted(curve(run, "train", "loss")) == list(range(1, 11))
    train(dataset, tmp_path / "clean", config)
    assert curve(run, "train", "loss") == curve(tmp_path / "clean", "train", "loss")

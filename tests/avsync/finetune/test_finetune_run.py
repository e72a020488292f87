"""A whole comparison: it stops and goes on at the exact step, judges once, and says what does not fit."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from avsync_settings import quick_config
from curves import curve

from avsync.config import OptimConfig
from avsync.finetune.arms import build_arms
from avsync.finetune.compare import Comparison
from avsync.finetune.config import FinetuneConfig
from avsync.finetune.finetune import finetune
from avsync.finetune.out_folder import LearningPoint, OutPaths
from avsync.run.checkpoint import load_checkpoint
from avsync.run.network import load_network
from avsync.run.progress import RunProgress, read_progress
from avsync.run.receipt import read_receipts
from avsync.train.stop import Stopped
from avsync.train.trainer import train
from launch.cli import STOPPED
from sharding.base.environment import STOP_FILE
from sharding.base.files import read_json, write_json
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


WORDS = [sys.executable, "-m", "launch", "finetune"]
STALL = """
import os, time
from avsync.loading.worker import Fetcher
fill = Fetcher.fill
def held_up(self, request, *rest):
    while os.path.exists(os.environ["AVSYNC_TEST_STALL"] + str(request.location.path).split("/")[-2]):
        time.sleep(0.02)
    return fill(self, request, *rest)
Fetcher.fill = held_up
"""
STALLED = [
    sys.executable,
    "-c",
    f"import sys\nfrom avsync.loading import spawner\nspawner.PROGRAM = {STALL!r} + spawner.PROGRAM\n"
    "from launch.cli import main\nsys.exit(main(['finetune', *sys.argv[1:]]))",
]
"""Workers for a split wait while there is a file: $AVSYNC_TEST_STALL with its name behind it."""


def start(words: list[str], run: Path, dataset: Path, out: Path, **environment: str) -> subprocess.Popen[str]:
    """The comparison in another process."""
    inherited = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads()), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [*words, str(run), str(dataset), str(out), *FLAGS],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=inherited | environment,
    )


def wait_until(true: Callable[[RunProgress], bool], out: Path, child: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 100
    while not ((now := read_progress(out)) and true(now)):
        assert child.poll() is None, child.communicate()[0]
        assert time.monotonic() < until, "it never came"
        time.sleep(0.01)


def stopped_at(out: OutPaths, child: subprocess.Popen[str], *stalls: Path, code: int = STOPPED) -> int:
    """The step that is saved, when the wish to stop was granted; then `stalls` go, and with them who waits for that."""
    child.wait(120)
    for stall in stalls:
        stall.unlink()
    text = child.communicate(timeout=120)[0]
    assert child.returncode == code, text
    assert "the same avsync finetune command again goes on" in text
    assert not out.result.exists()
    now = read_progress(out.root)
    assert now is not None
    assert now.phase == "stopped"
    assert out.run.saved_steps()[:1] == [now.step] * (now.step > 0)
    return now.step


def goes_on_as(whole: tuple[OutPaths, Comparison], out: OutPaths, run: Path, dataset: Path, step: int) -> None:
    """From `step` to what nobody stopped has come to, bit by bit."""
    child = start(WORDS, run, dataset, out.root)
    text = child.communicate(timeout=200)[0]
    assert child.returncode == 0, text
    assert (f"resumed at step {step} to {STEPS}" if step else f"steps 0 to {STEPS}") in text
    assert f"resumed at step {step} of {STEPS}: clips skipped 0, repeated 0, digest of" in text
    assert text.splitlines()[-1].startswith("Next: avsync board ")
    expected = whole[0]
    ends = [load_checkpoint(paths.run.checkpoint(STEPS)) for paths in (out, expected)]
    assert ends[0].state == ends[1].state
    for arm in ("learned", "scratch", "frozen"):
        for which in ("now", "best"):
            pair = [end.model[arm][which] for end in ends]
            assert all(torch.equal(value, pair[1][name]) for name, value in pair[0].items()), (arm, which)
    assert read_json(out.curves, list[LearningPoint]) == read_json(expected.curves, list[LearningPoint])
    for arm in ("learned", "scratch", "frozen"):
        for tag in ("train/loss", "train/accuracy", "val/loss", "val/accuracy"):
            assert curve(out.root, arm, tag) == curve(expected.root, arm, tag)
    assert read_json(out.result, Comparison).arms == whole[1].arms
    receipts = read_receipts(out.run)
    assert [(receipt.attempt, receipt.step) for receipt in receipts] == [(1, 0), (2, step)]
    now = read_progress(out.root)
    assert now is not None
    assert (now.phase, now.step, now.steps, now.attempt) == ("done", STEPS, STEPS, 2)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("wish", [signal.SIGTERM, signal.SIGUSR2, "file"], ids=str)
def test_a_comparison_that_was_stopped_goes_on_to_the_same_weights_and_curves(whole, run, dataset, tmp_path, wish):
    out, file = OutPaths(tmp_path / "out"), tmp_path / "stop"
    child = start(WORDS, run, dataset, out.root, **{STOP_FILE: str(file)})
    wait_until(lambda now: now.phase == "training" and now.step > 0, out.root, child)
    file.touch() if wish == "file" else child.send_signal(wish)
    step = stopped_at(out, child, code=STOPPED if wish == "file" else 128 + wish)
    assert 0 < step < STEPS, "it was over before it could be stopped: the test saw nothing"
    goes_on_as(whole, out, run, dataset, step)


@pytest.mark.timeout(300)
def test_a_validation_that_was_left_is_made_up_for(whole, run, dataset, tmp_path):
    out, stall = OutPaths(tmp_path / "out"), tmp_path / "stall-"
    Path(f"{stall}val").touch()
    child = start(STALLED, run, dataset, out.root, AVSYNC_TEST_STALL=str(stall))
    wait_until(lambda now: now.phase == "validating", out.root, child)
    child.send_signal(signal.SIGTERM)
    assert stopped_at(out, child, Path(f"{stall}val"), code=128 + signal.SIGTERM) == 4
    assert load_checkpoint(out.run.checkpoint(4)).state.unscored
    goes_on_as(whole, out, run, dataset, 4)


@pytest.mark.timeout(300)
def test_a_comparison_that_was_killed_goes_on_from_its_checkpoint(whole, run, dataset, tmp_path):
    """Its points after the checkpoint are forgotten, and sums of before it are not."""
    out = OutPaths(tmp_path / "out")
    child = start(WORDS, run, dataset, out.root)
    wait_until(lambda now: now.step >= 1, out.root, child)
    child.send_signal(signal.SIGTERM)
    step = stopped_at(out, child, code=128 + signal.SIGTERM)
    child = start(WORDS, run, dataset, out.root)
    wait_until(lambda now: now.phase == "training" and now.step > step, out.root, child)
    child.kill()
    child.communicate()
    again = start(WORDS, run, dataset, out.root)
    text = again.communicate(timeout=200)[0]
    assert again.returncode == 0, text
    assert read_json(out.curves, list[LearningPoint]) == read_json(whole[0].curves, list[LearningPoint])
    assert read_json(out.result, Comparison).arms == whole[1].arms


def test_a_wish_to_stop_before_the_first_step_leaves_nothing_half_done(run, dataset, tmp_path, monkeypatch):
    wish = tmp_path / "stop"
    wish.touch()
    monkeypatch.setenv(STOP_FILE, str(wish))
    with pytest.raises(Stopped):
        finetune(run, dataset, tmp_path / "out", CONFIG)
    assert OutPaths(tmp_path / "out").run.saved_steps() == []
    now = read_progress(tmp_path / "out")
    assert now is not None
    assert (now.phase, now.step) == ("stopped", 0)


def test_a_checkpoint_of_before_validations_were_noted_is_scored_first(whole, run, dataset, tmp_path):
    """Its curves tell that the validation of its step was left out."""
    out = OutPaths(Path(shutil.copytree(whole[0].root, tmp_path / "out")))
    out.result.unlink()
    points = read_json(out.curves, list[LearningPoint])
    write_json(out.curves, [point for point in points if (point.split, point.step) != ("val", STEPS)])
    assert finetune(run, dataset, out.root, CONFIG).arms == whole[1].arms
    assert {(point.split, point.step) for point in read_json(out.curves, list[LearningPoint])} == {
        (point.split, point.step) for point in points
    }


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

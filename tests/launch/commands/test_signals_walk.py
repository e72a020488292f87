"""Every signal that asks to stop, at every moment of a training: what there is to save is saved, and nothing is lost.

One process imports torch once and forks a training for each stop; all of them train one run, which must end as one that
nobody has stopped.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from avsync.run.paths import RunPaths
from avsync.run.progress import read_progress
from sharding.base import signals
from sharding.base.signals import LEFT_TO_PARENT, STOPS, TO_SAVE
from sharding.config import PackConfig
from sharding.pack.pack import pack
from sharding.scenes.config import SceneConfig
from sharding.scenes.generate import generate

STEPS = 24
FLAGS = shlex.split(
    f"--preset small --steps {STEPS} --batch 4 --validate-every 2 --validate-clips 4 --pairs.window-s 2 "
    "--pairs.min-shift-s 1 --pairs.max-shift-s 2.5 --runtime.device cpu --runtime.workers 1 --runtime.log-every 1 "
    "--runtime.checkpoint-every 3 --runtime.keep 2"
)
WALK = """
import json, os, signal, sys, time
import avsync.run.checkpoint as checkpoint
import avsync.train.loop as loop
import avsync.train.trainer as trainer
from launch.cli import main

def sends(owner, name, numbers, at=1):
    # the signals come when that is called for the `at`-th time
    real, calls = getattr(owner, name), [0]
    def called(*args, **keywords):
        calls[0] += 1
        if calls[0] == at:
            for number in numbers:
                os.kill(os.getpid(), number)
                time.sleep(0.1)  # sent from a thread, all at once they would come in the order of their numbers
        return real(*args, **keywords)
    setattr(owner, name, called)

MOMENTS = {
    "start-up": (trainer, "open_run", 1),
    "before the first step": (trainer, "keep_ahead", 1),
    "step": (trainer.Stepper, "step", 2),
    "validation": (trainer.Trainer, "validate", 1),
    "checkpoint": (checkpoint, "save_tensors", 1),
    "shutdown": (trainer.Accelerator, "end_training", 1),
}
arguments, stops = sys.argv[2:], json.loads(sys.argv[1])
for moment, numbers in stops:
    child = os.fork()
    if not child:
        if moment:
            owner, name, at = MOMENTS[moment]
            sends(owner, name, numbers, at)
        code = main(arguments)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    print(json.dumps([moment, numbers, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])]), flush=True)
"""
"""The trainer's own functions run; only the moment is chosen."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("walk")
    generate(folder / "scenes", SceneConfig(count=12, seconds=5, size=48, fps=10, sample_rate=8000, val_share=0.3))
    config = PackConfig(fps="10", size=48, sample_rate=8000, min_clip_s="3", sources_per_shard=6, workers=1)
    pack(folder / "scenes/scenes.csv", folder / "dataset", config)
    return folder / "dataset"


def walk(dataset: Path, run: Path, stops: list[tuple[str, list[int]]]) -> tuple[list[list], str]:
    import json

    words = [sys.executable, "-c", WALK, json.dumps(stops), "train", str(dataset), str(run), *FLAGS]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=350, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")], done.stderr


HUP, INT, TERM, USR1, USR2 = map(int, (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, *TO_SAVE))
MOMENTS = ("start-up", "before the first step", "step", "validation", "checkpoint")


@pytest.mark.timeout(400)
def test_every_signal_at_every_moment_saves_and_leaves_and_the_run_ends_as_if_nothing_had_been(dataset, tmp_path):
    stops = [(moment, [int(number)]) for moment, number in zip(MOMENTS, STOPS, strict=True)]
    stops += [("checkpoint", [TERM, USR1, HUP, TERM]), ("checkpoint", [INT, TERM, USR2]), ("shutdown", [TERM])]
    ends, said = walk(dataset, tmp_path / "run", [*stops[:-1], ("", []), stops[-1]])
    for moment, numbers, code in ends:
        assert code == (128 + numbers[0] if moment else 0), (moment, numbers, code, said)
    assert len(ends) == len(stops) + 1
    assert "Traceback" not in said
    lines = [line for line in said.splitlines() if "stopped" in line]
    assert len(lines) == len(stops)
    assert all(line.endswith("the same avsync train command again goes on there") for line in lines[2:-1]), lines
    saved = [int(match[1]) for line in lines if (match := re.search(r"stopped: step (\d+) is saved", line))]
    assert saved == sorted(saved)
    assert saved[-1] > saved[0]
    walk(dataset, tmp_path / "alone", [("", [])])
    assert end_of(tmp_path / "run") == end_of(tmp_path / "alone")


def end_of(run: Path) -> tuple[object, ...]:
    """Weights, state and what is told of the run at its end."""
    from avsync.run.checkpoint import load_checkpoint
    from avsync.run.receipt import read_receipts

    paths = RunPaths(run)
    assert paths.saved_steps()[0] == STEPS
    assert {(receipt.skipped, receipt.repeated) for receipt in read_receipts(paths)} == {(0, 0)}
    kept = load_checkpoint(paths.checkpoint(STEPS))
    return kept.state, {name: weights.tolist() for name, weights in kept.model.items()}


@pytest.mark.timeout(100)
def test_a_terminal_that_is_closed_saves_and_leaves_without_a_traceback(dataset, tmp_path):
    ours, theirs = os.openpty()
    # the first terminal that a session opens is its own: it gets SIGHUP when that is closed
    shell = ("sh", "-c", 'exec 0<>"$0" 1>&0; exec "$@"', os.ttyname(theirs))
    run = tmp_path / "run"
    words = [*shell, sys.executable, "-m", "launch", "train", str(dataset), str(run), *FLAGS, "--steps", "100000"]
    child = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, start_new_session=True)
    os.close(theirs)
    while not ((now := read_progress(run)) and now.step > 1):
        assert child.poll() is None, child.communicate()[1]
        time.sleep(0.05)
    os.close(ours)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 128 + signal.SIGHUP, said
    assert "Traceback" not in said
    (step,) = RunPaths(run).saved_steps()[:1]
    assert f"stopped: step {step} is saved; the same avsync train command again goes on there" in said


def handlers() -> dict[int, object]:
    return {number: signal.getsignal(number) for number in STOPS}


def test_whoever_answers_signals_answers_all_of_them(monkeypatch):
    """Trainer, command line and batch script; and workers leave all of them to who started them."""
    from avsync.loading.worker import LEFT_TO_PARENT as OF_LOADERS
    from avsync.train.stop import StopFlag
    from launch.cli import SignalEnd
    from launch.job.signals import JobSignals

    before = handlers()
    for answers in (SignalEnd, StopFlag, JobSignals):
        for number in STOPS:
            with answers() as here:
                assert handlers()[number] not in (signal.SIG_DFL, signal.SIG_IGN), (answers, number)
                if isinstance(here, (StopFlag, JobSignals)):
                    os.kill(os.getpid(), number)
                if isinstance(here, StopFlag):
                    assert here.asked
                    assert signals.exit_code() == 128 + number
                if isinstance(here, JobSignals):
                    assert (here.to_save, here.to_end) == (number in TO_SAVE, number not in TO_SAVE)
            assert handlers() == before
    assert set(OF_LOADERS) == set(STOPS)
    assert set(LEFT_TO_PARENT) == set(STOPS) - {signal.SIGTERM}, "which ends a worker of a pool by itself"


@pytest.mark.parametrize("number", TO_SAVE)
def test_what_asks_to_save_waits_in_a_rank_until_it_trains(number, monkeypatch):
    from avsync.train.stop import StopFlag
    from launch.cli import SignalEnd

    monkeypatch.setenv("WORLD_SIZE", "2")
    with SignalEnd() as ending:
        signal.pthread_kill(threading.get_ident(), number)  # a thread of others, which began before, does not wait
        with StopFlag() as stop:
            assert stop.asked
            assert ending.code == 128 + number
    assert not signal.sigpending()
    assert number not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_the_batch_script_is_not_ended_by_what_asks_to_save():
    from launch.submit import script

    text = Path(script.__file__).read_text()
    assert f"trap '' {' '.join(number.name.removeprefix('SIG') for number in TO_SAVE)}" in text

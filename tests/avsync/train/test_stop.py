"""A wish to stop: by any signal, at any rank, at any moment; all ranks leave at one step, saved, nothing is lost."""

import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from avsync_settings import quick_config
from curves import curve
from processes import CHILD, command, run_ranks, start_ranks

from avsync.config import RuntimeConfig, TrainConfig
from avsync.loading.options import StoppedWaiting
from avsync.run.checkpoint import load_checkpoint
from avsync.run.paths import RunPaths
from avsync.run.progress import read_progress
from avsync.run.receipt import read_receipts
from avsync.train.stop import StopFlag, agreed
from sharding.base.environment import STOP_FILE
from sharding.errors import AvsyncError

STEPS = 16
ENDLESS = 100_000
BLOCKED = "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})\n" + CHILD
STALL = """
import os, time
from avsync.loading.worker import Fetcher
fill = Fetcher.fill
def held_up(self, request, *rest):
    names = os.environ["RANK"], str(request.location.path).split("/")[-2]
    while any(os.path.exists(os.environ["AVSYNC_TEST_STALL"] + name) for name in names):
        time.sleep(0.02)
    return fill(self, request, *rest)
Fetcher.fill = held_up
"""
STALLED = f"from avsync.loading import spawner\nspawner.PROGRAM = {STALL!r} + spawner.PROGRAM\n{CHILD}"
"""Workers of a rank, or for a split, wait while there is a file: $AVSYNC_TEST_STALL with number or name behind it."""
SLOW_SAVE = (
    """
import sys, time
def at_change(event, arguments):
    if event == "open" and str(arguments[0]).startswith("optimizer.pt"):
        print("saving", flush=True)
        time.sleep(2)
sys.addaudithook(at_change)
"""
    + CHILD
)


def stop_config(steps: int = STEPS, **changes) -> TrainConfig:
    runtime = RuntimeConfig(device="cpu", workers=1, log_every=3, checkpoint_every=ENDLESS, keep=9)
    return replace(quick_config(), **{"steps": steps, "validate_every": 0, "runtime": runtime} | changes)


def wait_until(true: Callable[[], object], children: list[subprocess.Popen[str]]) -> None:
    until = time.monotonic() + 60
    while not true():
        ended = [child for child in children if child.poll() is not None]
        assert not ended, ended[0].communicate()[0]
        assert time.monotonic() < until, "it never came"
        time.sleep(0.01)


def is_training(run: Path) -> bool:
    now = read_progress(run)
    return now is not None and now.phase == "training" and now.step > now.first_step


def ended(children: list[subprocess.Popen[str]], *stalls: Path) -> list[str]:
    """What they said, once all have ended, by the wish; then `stalls` go, and with them workers that still hold on."""
    for child in children:
        child.wait(60)
    for stall in stalls:
        stall.unlink()
    said = [child.communicate(timeout=60)[0] for child in children]
    for text in said:
        assert text.rstrip().endswith("avsync.train.stop.Stopped"), text
    return said


def saved_step(run: Path) -> int:
    """The only checkpoint's; it is also where progress.json says that the run stands."""
    (step,) = RunPaths(run).saved_steps()
    now = read_progress(run)
    assert now is not None
    assert (now.phase, now.step) == ("stopped", step)
    return step


@pytest.fixture(scope="module")
def undisturbed(dataset, tmp_path_factory) -> dict[int, Path]:
    """By number of ranks: a run that nobody stopped."""
    folder = tmp_path_factory.mktemp("undisturbed")
    for ranks in (1, 2):
        run_ranks(command(dataset, folder / str(ranks), stop_config(), folder), ranks)
    return {ranks: folder / str(ranks) for ranks in (1, 2)}


def end_as(undisturbed: Path, run: Path) -> None:
    assert [(receipt.skipped, receipt.repeated) for receipt in read_receipts(RunPaths(run))] == [(0, 0)] * 2
    ends = [load_checkpoint(RunPaths(folder).checkpoint(STEPS)) for folder in (run, undisturbed)]
    assert ends[0].state == ends[1].state
    assert all(weights.equal(ends[1].model[key]) for key, weights in ends[0].model.items())
    drawn, wanted = (curve(folder, "train", "loss") for folder in (run, undisturbed))
    assert drawn == pytest.approx(wanted, rel=1e-6)
    assert len(read_receipts(RunPaths(undisturbed))) == 1


@pytest.mark.timeout(200)
@pytest.mark.parametrize(
    ("ranks", "numbers", "script", "to_all"),
    [
        (1, (signal.SIGINT,), CHILD, True),
        (1, (signal.SIGUSR2,), BLOCKED, True),
        (2, (signal.SIGTERM, signal.SIGCONT, signal.SIGTERM), CHILD, True),
        (2, (signal.SIGUSR2,), CHILD, True),
        (2, (signal.SIGUSR2,), BLOCKED, False),
        (2, (signal.SIGTERM,), CHILD, False),
    ],
    ids=["Ctrl-C", "USR2, blocked", "as SLURM ends a job", "USR2", "USR2, blocked, one rank", "TERM, one rank"],
)
def test_any_signal_stops_all_ranks_at_one_step_and_they_go_on_as_if_nothing_had_been(
    dataset, undisturbed, tmp_path, ranks, numbers, script, to_all
):
    run = tmp_path / "run"
    children = start_ranks(command(dataset, run, stop_config(), tmp_path, script), ranks)
    wait_until(lambda: is_training(run), children)
    for number in numbers:
        os.killpg(children[0].pid, number) if to_all else children[-1].send_signal(number)
    ended(children)
    assert saved_step(run) < STEPS, "it was over before it could be stopped: the test saw nothing"
    run_ranks(command(dataset, run, stop_config(), tmp_path), ranks)
    end_as(undisturbed[ranks], run)


@pytest.mark.timeout(100)
def test_a_file_that_appears_stops_all_ranks(dataset, tmp_path):
    run, file = tmp_path / "run", tmp_path / "stop"
    children = start_ranks(command(dataset, run, stop_config(ENDLESS), tmp_path), 2, **{STOP_FILE: str(file)})
    wait_until(lambda: is_training(run), children)
    file.touch()
    ended(children)
    assert saved_step(run) > 0


@pytest.mark.timeout(100)
@pytest.mark.parametrize(
    ("accumulate", "wish"),
    [(1, "file"), (2, "signal")],
    ids=["between steps, a file", "perhaps in the middle of a step, a signal"],
)
def test_ranks_stop_and_save_also_while_the_batch_of_one_does_not_come(dataset, tmp_path, accumulate, wish):
    run, stall, file = tmp_path / "run", tmp_path / "stall-", tmp_path / "stop"
    config = stop_config(ENDLESS)
    config = replace(config, runtime=replace(config.runtime, accumulate=accumulate, prefetch=1))
    words = command(dataset, run, config, tmp_path, STALLED)
    children = start_ranks(words, 2, AVSYNC_TEST_STALL=str(stall), **{STOP_FILE: str(file)})
    wait_until(lambda: is_training(run), children)
    Path(f"{stall}1").touch()
    time.sleep(1)  # the stalled rank's batches are used up; if not, it must stop all the same
    os.killpg(children[0].pid, signal.SIGTERM) if wish == "signal" else file.touch()
    ended(children, Path(f"{stall}1"))
    step = saved_step(run)
    file.unlink(missing_ok=True)
    done = replace(config, steps=ENDLESS)
    children = start_ranks(command(dataset, run, done, tmp_path, STALLED), 2, AVSYNC_TEST_STALL=str(stall))
    wait_until(lambda: is_training(run), children)
    os.killpg(children[0].pid, signal.SIGTERM)
    said = ended(children)
    assert re.search(rf"resumed at step {step} of .* skipped 0, repeated 0", said[0])


@pytest.mark.timeout(100)
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_validation_that_was_left_is_made_up_for_and_the_curves_are_the_same(dataset, tmp_path, ranks):
    config = stop_config(8, validate_every=4, validate_clips=6)
    run_ranks(command(dataset, tmp_path / "whole", config, tmp_path), ranks)
    run, stall = tmp_path / "run", tmp_path / "stall-"
    Path(f"{stall}val").touch()
    words = command(dataset, run, config, tmp_path, STALLED)
    children = start_ranks(words, ranks, AVSYNC_TEST_STALL=str(stall))
    wait_until(lambda: (now := read_progress(run)) and now.phase == "validating", children)
    os.killpg(children[0].pid, signal.SIGTERM)
    ended(children, Path(f"{stall}val"))
    assert saved_step(run) == 4
    run_ranks(command(dataset, run, config, tmp_path), ranks)
    for tag in ("loss", "accuracy", "roc_auc"):
        assert curve(run, "validation", tag) == curve(tmp_path / "whole", "validation", tag)
    assert sorted(curve(run, "validation", "loss")) == [4, 8]
    ends = [load_checkpoint(RunPaths(folder).checkpoint(8)).state for folder in (run, tmp_path / "whole")]
    assert ends[0] == ends[1]


@pytest.mark.timeout(60)
def test_a_second_sigterm_changes_nothing_while_it_saves(dataset, tmp_path):
    run = tmp_path / "run"
    (child,) = start_ranks(command(dataset, run, stop_config(ENDLESS), tmp_path, SLOW_SAVE), 1)
    wait_until(lambda: is_training(run), [child])
    child.send_signal(signal.SIGTERM)
    assert child.stdout
    assert any(line == "saving\n" for line in iter(child.stdout.readline, ""))
    for number in (signal.SIGTERM, signal.SIGCONT, signal.SIGUSR2, signal.SIGTERM):
        child.send_signal(number)
        time.sleep(0.1)
    ended([child])
    assert load_checkpoint(RunPaths(run).checkpoint(saved_step(run))).state.step


@pytest.mark.timeout(60)
def test_a_second_ctrl_c_acts_at_once(dataset, tmp_path):
    run = tmp_path / "run"
    (child,) = start_ranks(command(dataset, run, stop_config(ENDLESS), tmp_path, SLOW_SAVE), 1)
    wait_until(lambda: is_training(run), [child])
    child.send_signal(signal.SIGINT)
    assert child.stdout
    assert any(line == "saving\n" for line in iter(child.stdout.readline, ""))
    child.send_signal(signal.SIGINT)
    assert child.communicate(timeout=30)[0].rstrip().endswith("KeyboardInterrupt")
    assert not RunPaths(run).saved_steps()


@pytest.mark.timeout(60)
def test_a_wish_that_is_older_than_the_run_ends_it_before_its_first_step(dataset, tmp_path):
    run, file = tmp_path / "run", tmp_path / "stop"
    file.touch()
    ended(start_ranks(command(dataset, run, stop_config(ENDLESS), tmp_path), 2, **{STOP_FILE: str(file)}))
    assert not RunPaths(run).saved_steps()
    now = read_progress(run)
    assert now is not None
    assert (now.phase, now.step) == ("stopped", 0)


@pytest.mark.timeout(60)
def test_all_workers_leave_when_the_ranks_have_stopped(dataset, tmp_path):
    run = tmp_path / "run"
    children = start_ranks(command(dataset, run, stop_config(ENDLESS), tmp_path), 2)
    wait_until(lambda: is_training(run), children)
    helpers = [helper for child in children for helper in psutil.Process(child.pid).children(recursive=True)]
    assert len(helpers) >= 4, "a spawner and a worker each"
    for number in (signal.SIGTERM, signal.SIGCONT, signal.SIGTERM, signal.SIGUSR2):
        os.killpg(children[0].pid, number)
    ended(children)
    _, alive = psutil.wait_procs(helpers, timeout=10)
    assert not alive


@pytest.mark.timeout(100)
def test_a_reader_that_the_same_signal_ends_is_no_failure(dataset, tmp_path):
    """SLURM finds every process of a step, also those in a session of their own."""
    run, config = tmp_path / "run", stop_config(ENDLESS)
    config = replace(config, runtime=replace(config.runtime, scratch=str(tmp_path / "scratch")))
    words = command(dataset, run, config, tmp_path)
    words[3] = f"pipe:case {{}} in *.tar) sleep 3;; esac; cat {shlex.quote(str(dataset))}/{{}}"
    words[2] = words[2].replace("Path(sys.argv[1])", "sys.argv[1]")
    (child,) = start_ranks(words, 1)
    wait_until(lambda: read_progress(run), [child])

    def readers() -> list[psutil.Process]:
        return [one for one in psutil.Process(child.pid).children(recursive=True) if one.name() == "sleep"]

    wait_until(readers, [child])
    for process in [*readers(), psutil.Process(child.pid)]:
        process.send_signal(signal.SIGTERM)
    ended([child])
    assert not RunPaths(run).saved_steps()


def failing(error: Exception):
    yield 1
    raise error


@pytest.mark.parametrize("error", [StoppedWaiting(), AvsyncError("a worker has ended")], ids=str)
def test_what_fails_while_a_stop_is_wished_is_a_stop(error, tmp_path, monkeypatch):
    monkeypatch.setenv(STOP_FILE, str(tmp_path / "stop"))
    stop = StopFlag()
    things = agreed(failing(error), stop, bool)
    assert next(things) == 1
    monkeypatch.setattr(stop, "_looked", float("inf"))  # not seen before the next thing is asked for
    stop.waiting = lambda: True
    with pytest.raises(StoppedWaiting):
        next(things)


def test_what_fails_while_nobody_wishes_to_stop_is_a_failure():
    things = agreed(failing(AvsyncError("a worker has ended")), StopFlag(), bool)
    next(things)
    with pytest.raises(AvsyncError, match="a worker has ended"):
        next(things)


def test_the_wish_of_another_rank_is_a_wish():
    with pytest.raises(StoppedWaiting):
        next(agreed(iter([1]), StopFlag(), lambda mine: True))


def test_a_signal_that_was_ignored_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopFlag() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert not stop.asked
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.asked
    finally:
        signal.signal(signal.SIGINT, before)


def test_after_it_signals_act_as_before():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)]
    with StopFlag() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.asked
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)] == before

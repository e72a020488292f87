"""RUN/progress.json: what a watcher reads; it beats with steps, not with time, and never ends a run."""

import errno
import math
import signal
import subprocess
import sys
import time
from dataclasses import fields, replace

import pytest
from curves import curve
from processes import command, start_ranks

from avsync.run import progress
from avsync.run.paths import RunPaths
from avsync.run.progress import Pulse, RunProgress, ValidationScore, finite, read_progress
from avsync.train.trainer import train
from sharding.errors import InputError


def test_a_finished_run_says_where_it_ended_and_how(dataset, config, tmp_path):
    run = tmp_path / "run"
    before = time.time()
    summary = train(dataset, run, config)
    now = read_progress(run)
    assert now is not None
    assert (now.phase, now.step, now.steps, now.first_step, now.attempt, now.eta_s) == ("done", 10, 10, 0, 1, 0)
    assert before < now.updated <= time.time()
    assert now.clips_per_s > 0
    assert now.step_s > 0
    assert 0 <= now.data_wait <= 1
    assert now.gpu_busy is None
    assert now.loss == pytest.approx(curve(run, "train", "loss")[10])
    assert now.validation is not None
    assert now.validation.step == 10
    assert now.validation.accuracy == pytest.approx(curve(run, "validation", "accuracy")[10])
    assert summary.best is not None
    assert now.best == ValidationScore(
        summary.best.step, summary.best.accuracy, summary.best.loss, summary.best.audited
    )


def test_an_attempt_that_goes_on_says_where_it_began(dataset, config, tmp_path):
    run = tmp_path / "run"
    train(dataset, run, config)
    steps = RunPaths(run).saved_steps()
    import shutil

    shutil.rmtree(RunPaths(run).checkpoint(10))
    train(dataset, run, config)
    now = read_progress(run)
    assert now is not None
    assert (now.attempt, now.first_step) == (2, steps[1])


def test_a_run_may_begin_in_a_folder_that_holds_what_its_launcher_left(dataset, config, tmp_path):
    run = tmp_path / "run"
    (run / "jobs" / "1").mkdir(parents=True)
    (run / "progress.json").write_text("{}")
    (run / "tensorboard").mkdir()
    train(dataset, run, replace(config, steps=3, validate_every=0))
    assert read_progress(run) is not None
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").touch()
    with pytest.raises(InputError, match=r"holds other files \(notes.txt\)"):
        train(dataset, other, config)


def test_a_disk_that_takes_no_more_does_not_end_a_run(dataset, config, tmp_path, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(progress, "write_json", full)
    assert train(dataset, tmp_path / "run", replace(config, steps=3, validate_every=0)).steps == 3
    assert read_progress(tmp_path / "run") is None


@pytest.mark.parametrize("text", ["", "{", "{}", '{"steps": "many"}', "[1]"])
def test_what_cannot_be_understood_is_no_progress(tmp_path, text):
    assert read_progress(tmp_path) is None
    (tmp_path / "progress.json").write_text(text)
    assert read_progress(tmp_path) is None


def test_what_is_written_is_what_is_read(tmp_path):
    changes = {
        "phase": "validating",
        "step": 7,
        "eta_s": 12.5,
        "validation": ValidationScore(5, 0.5, None),
        "advice": "more workers",
        "best": ValidationScore(5, 0.5, 0.7),
    }
    pulse = Pulse(tmp_path / "progress.json", RunProgress(steps=9))
    pulse.write(**changes)
    got = read_progress(tmp_path)
    assert got == pulse.now
    assert {name: getattr(got, name) for name in changes} == changes


def test_a_loss_that_is_no_number_is_written_as_unknown(tmp_path):
    assert [finite(number) for number in (math.nan, math.inf, None, 0.5)] == [None, None, None, 0.5]


def test_steps_write_only_now_and_then_but_the_last_step_is_always_known(tmp_path, monkeypatch):
    written = list[int]()
    monkeypatch.setattr(progress, "write_json", lambda path, now, lasting: written.append(now.step))
    pulse = Pulse(tmp_path / "progress.json", RunProgress(steps=1000))
    for step in range(1, 500):
        pulse.beat(step)
    assert written == [1], "the first step ends the start"
    pulse.write(phase="stopped")
    assert written == [1, 499]


def test_the_time_to_the_end_follows_the_pace_of_the_attempt_without_its_start(monkeypatch):
    clock = iter([100.0, 100.0, 110.0, 110.0]).__next__
    monkeypatch.setattr(progress.time, "monotonic", clock)
    pulse = Pulse(None, RunProgress(steps=100))
    pulse.point(10, step_s=0.5)
    assert pulse.now.eta_s == pytest.approx(90 * 0.5), "one point: its own pace"
    pulse.point(20, step_s=0.5)
    assert pulse.now.eta_s == pytest.approx(80 * 1.0), "10 steps in 10 s, validation included"


@pytest.mark.timeout(60)
def test_it_tells_of_the_start_before_the_first_step_and_grows_old_while_data_does_not_come(dataset, config, tmp_path):
    run = tmp_path / "run"
    asleep = (
        "from avsync.loading import spawner\n"
        "spawner.PROGRAM = 'import time\\nfrom avsync.loading import worker\\n'"
        "'worker.Fetcher.fill = lambda *_: time.sleep(20)\\n' + spawner.PROGRAM\n"
    )
    words = command(dataset, run, config, tmp_path)
    words[2] = asleep + words[2]
    (child,) = start_ranks(words, 1)
    while not (first := read_progress(run)):
        assert child.poll() is None, child.communicate()[0]
        time.sleep(0.05)
    time.sleep(2)
    assert read_progress(run) == first, "nothing was done, so nothing is told"
    assert (first.phase, first.step, first.attempt) == ("starting", 0, 0)
    child.send_signal(signal.SIGKILL)
    child.communicate()


def test_reading_it_needs_no_torch():
    code = "import sys, avsync.run.progress; sys.exit(bool({'torch', 'numpy', 'av'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_each_field_but_the_number_of_steps_may_be_missing():
    assert RunProgress(steps=3).steps == 3
    assert [item.name for item in fields(RunProgress)][:3] == ["updated", "phase", "step"]

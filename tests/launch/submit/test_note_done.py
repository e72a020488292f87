"""Work that somebody else has finished is done: `resubmit` must get past it to what waited behind."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from launch.job.record import End, JobRecord, Outcome
from launch.submit.live import note_done
from launch.submit.plan import JobPlan
from launch.submit.submit import _note_done  # pyright: ignore[reportPrivateUsage] # what a submission says of the rest
from launch.watch.status import Standing, ask_queue, read_status
from sharding.base.files import read_json, write_json
from tests.launch import made


@pytest.mark.parametrize("array", [0, 3])
def test_what_was_cancelled_and_is_there_all_the_same_is_done(array: int, tmp_path: Path) -> None:
    paths = made.job(tmp_path / "data", "pack", array=array)
    for number in range(array) if array else (None,):
        end = Outcome(end=End.CANCELLED if number in (None, 2) else End.DONE, reason="avsync cancel", at=time.time())
        paths.task(number).folder.mkdir(parents=True, exist_ok=True)
        write_json(paths.task(number).outcome, end)
    paths.cancelled.touch()
    assert read_status(paths, ask_queue([paths])).standing is Standing.CANCELLED
    note_done(paths)
    found = read_status(paths, ask_queue([paths]))
    assert (found.standing, found.why) == (Standing.DONE, "nothing of its work is missing any more")
    assert not paths.cancelled.exists()


def test_only_of_jobs_that_were_submitted_something_is_noted(tmp_path: Path) -> None:
    paths = made.job(tmp_path / "data", "pack", array=2)
    record = replace(read_json(paths.record, JobRecord), array=2)
    never = made.job(tmp_path / "other", "pack")
    never.record.unlink()
    _note_done([JobPlan(paths=one, record=record, command=None, reads=()) for one in (paths, never)])
    assert paths.task(None).outcome.exists()
    assert not never.task(None).outcome.exists()

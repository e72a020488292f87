"""What a run warns of while its job runs is told to whoever the profile names: each kind once in an attempt."""

import json
import time
from dataclasses import replace
from pathlib import Path

import made
import pytest

from avsync.run.alarm import Alarm
from launch.job.attempt import ThisAttempt
from launch.job.record import JobRecord
from launch.job.signals import JobSignals
from launch.job.supervise import Supervisor
from launch.site.profile import ClusterProfile, Notify
from sharding.base.files import read_json, write_json

ALARM = Alarm(since=100, step=200, stream="sound", accuracy=0.93, low=0.81, told=0.9, honest=80)


def test_advice_and_alarm_are_each_told_once_in_an_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = tmp_path / "told.txt"
    paths = made.job(tmp_path / "run")
    record = read_json(paths.record, JobRecord)
    profile = ClusterProfile(notify=Notify(command=f"cat >> {told}; echo >> {told}", on=("warning",)))
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    write_json(paths.record, replace(record, profile=profile))
    supervisor = Supervisor(ThisAttempt.of(paths, read_json(paths.record, JobRecord)), JobSignals())
    time.sleep(0.01)
    for words in ({}, {"advice": "the GPUs are idle"}, {"alarm": ALARM}, {"alarm": ALARM, "advice": "more"}):
        made.progress(paths, age_s=0, **words)
        supervisor._pass_advice_on()
        supervisor._pass_advice_on()
    reasons = [json.loads(line)["reason"] for line in told.read_text().splitlines()]
    assert reasons == ["the GPUs are idle", ALARM.text]


def test_what_an_earlier_attempt_left_is_no_news(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = made.job(tmp_path / "run")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    made.progress(paths, age_s=60, alarm=ALARM)
    supervisor = Supervisor(ThisAttempt.of(paths, read_json(paths.record, JobRecord)), JobSignals())
    supervisor._pass_advice_on()
    assert not supervisor._warned

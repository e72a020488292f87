"""launch/queue/ask.py: whatever a folder, a profile or SLURM calls a job or a node, no word of it does something."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from launch.job.attempt import ThisAttempt
from launch.job.attempts import Action, Event, What, note, read_attempts
from launch.job.ending import Ending, over_already
from launch.job.paths import JobPaths
from launch.job.progress_on_disk import Past
from launch.job.record import End, Outcome, Queued
from launch.job.requeue import Decision, Do
from launch.queue.ask import QueueError, is_job, is_nodes, is_partition, odd_nodes
from launch.queue.scontrol import Scontrol
from launch.submit.kinds import KINDS
from launch.submit.resources import ResourceOptions, resources
from sharding.base.files import from_json, write_json
from sharding.errors import FormatError, InputError
from tests.slurm.jobs import asked, profile, record

JOBS = ("7", "1234567", "12_3", "12_[3-7]", "12_[0-99%8]", "12+1")
NODES = ("n1", "gpu-07.site.example", "n[1-3,7]", "rack[1-2]n[01-16]", "_x")
PAYLOADS = (
    "", " ", "--me", "-h", "n1;touch x", "n1 n2", "$(touch x)", "`touch x`", "n1\ntouch x", "n1|touch x", "n1&touch x",
    "n1>x", "*", "~", "n1'", 'n1"', "12;touch x", "12 --me", "\u0661\u0662",
    "7\n", "n1\n", "../n1", "/etc/passwd", "n1\\",
)  # fmt: skip
SSH = '#!/bin/sh\nshift\nexec sh -c "$*"\n'
"""As ssh does it: the words behind the host are joined, and a shell there reads them."""
ASKED = """#!/bin/sh
(for word; do printf '%s|' "$word"; done; echo) >> "$ASKED"
echo TotalNodes=9
"""


def test_names_are_names_and_nothing_else_is_one() -> None:
    assert all(map(is_job, JOBS))
    assert all(map(is_nodes, NODES))
    assert is_partition("gpu-low_2.a")
    for payload in PAYLOADS:
        assert not is_job(payload)
        assert not is_nodes(payload)
        assert not is_partition(payload)
    assert not odd_nodes(NODES)
    assert "'--me'" in odd_nodes(("n1", "--me"))


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[list[str]]]:
    """An ssh that leads to a scontrol; what that was asked."""
    for name, text in (("ssh", SSH), ("scontrol", ASKED)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name in ("ExcNodeList=n1", "JobId=1"):  # what a shell could fill in for n[1-3]
        Path(name).touch()

    def asked() -> list[list[str]]:
        path = tmp_path / "asked"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [line.rstrip("|").split("|") for line in lines]

    return asked


def test_words_arrive_behind_ssh_as_they_are_or_not_at_all(remote: Callable[[], list[list[str]]]) -> None:
    before = sorted(Path().iterdir())
    for words in (("ssh", "login1", "scontrol"), ("env", "ssh", "login1", "scontrol"), ("scontrol",)):
        scontrol = Scontrol(words)
        for node in NODES:
            scontrol.exclude("12_[3-7]", [node, "n9"])
            assert remote() == [["update", "JobId=12_[3-7]", f"ExcNodeList={node},n9"]]
        for job in JOBS:
            scontrol.requeue(job)
            scontrol.job(job)
            scontrol.forbid_requeue(job)
            assert remote() == [["requeue", job], ["-o", "show", "job", job], ["update", f"JobId={job}", "Requeue=0"]]
        for payload in PAYLOADS:
            with pytest.raises(QueueError, match="is no name of a node"):
                scontrol.exclude("7", ["n1", payload])
            with pytest.raises(QueueError, match="is no number of a job"):
                scontrol.exclude(payload, ["n1"])
            with pytest.raises(QueueError, match="is no number of a job"):
                scontrol.requeue(payload)
            with pytest.raises(QueueError, match="is no number of a job"):
                scontrol.forbid_requeue(payload)
            assert scontrol.job(payload) is None
            assert scontrol.nodes_of(payload) == 0
            assert remote() == []
    assert sorted(Path().iterdir()) == before


def test_a_record_with_something_else_for_a_job_is_damaged() -> None:
    for payload in PAYLOADS:
        for value in ({"ids": ["7", payload]}, {"ids": ["7"], "depends_on": [payload]}):
            with pytest.raises(FormatError, match="is damaged"):
                from_json(json.dumps(value).encode(), Queued, "queued.json")
    assert from_json(json.dumps({"ids": JOBS}).encode(), Queued, "queued.json").ids == JOBS


def test_a_profile_names_nodes(remote: Callable[[], list[list[str]]]) -> None:
    train = KINDS["train"]
    good = replace(profile(), exclude=NODES)
    assert resources(train, good.train, good, ResourceOptions()).exclude == NODES
    for payload in PAYLOADS:
        bad = replace(good, exclude=("n1", payload))
        with pytest.raises(InputError, match="exclude of profile"):
            resources(train, bad.train, bad, ResourceOptions())


def test_a_node_that_is_none_is_not_avoided_and_that_is_said(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    remote: Callable[[], list[list[str]]],
) -> None:
    """The record of attempts lies in a folder that others may have written; so does what was kept of the profile."""
    monkeypatch.setenv("SLURM_JOB_PARTITION", "low")
    paths = JobPaths.of(tmp_path, "train")
    paths.root.mkdir(parents=True)
    paths.log.write_text("srun: error: n1: task 0: Killed\n")
    for number, node in enumerate(("n1;touch x", "n2"), 1):
        began = Event(what=What.BEGAN, attempt=number, job="7", restart=0, nodes=node, saved=0, at=1.0)
        note(paths.task(None).attempts, began)
        note(paths.task(None).attempts, replace(began, what=What.CRASHED, action=Action.REQUEUED, failed_node=node))
    site = profile(scontrol=("ssh", "login1", "scontrol"), exclude_after=1, exclude=("n5", "n6;touch x"))
    this = ThisAttempt(
        paths=paths, record=record(tmp_path, (), site, asked()), share=None, job="7", restart=0, nodes="n1",
        past=Past(read_attempts(paths.task(None).attempts)), had=0, log=paths.log, log_begins=0,
    )  # fmt: skip
    Ending(this, Scontrol(site.scontrol)).carry_out(Decision(what=What.CRASHED, do=Do.REQUEUE), 1)
    assert ["update", "JobId=7", "ExcNodeList=n1,n2,n5"] in remote()
    assert not Path("x").exists()
    said = capsys.readouterr().out
    assert "'n1;touch x', 'n6;touch x' are no names of nodes: not avoided" in said
    assert "the next attempt avoids n1, n2" in said


@pytest.mark.parametrize("requeue", ["plain", "expedite"])
@pytest.mark.parametrize("end", [*End, None])
def test_an_expedited_job_that_is_over_says_so_for_it_would_be_held_in_the_queue(
    tmp_path: Path, remote: Callable[[], list[list[str]]], requeue: str, end: End | None
) -> None:
    """By whatever it is over, but not when all is done: then it ends with 0."""
    paths = JobPaths.of(tmp_path, "train")
    paths.root.mkdir(parents=True)
    if end is None or end is End.CANCELLED:
        paths.cancelled.touch()
    if end is not None:
        write_json(paths.task(None).outcome, Outcome(end=end, reason="so", at=1.0))
    site = profile(scontrol=("ssh", "login1", "scontrol"), requeue=requeue)
    this = ThisAttempt(
        paths=paths, record=record(tmp_path, (), site, asked()), share=None, job="7", restart=1, nodes="n1",
        past=Past(()), had=0, log=paths.log, log_begins=0,
    )  # fmt: skip
    assert over_already(this, Scontrol(site.scontrol)) == (0 if end is End.DONE else 1)
    told = [["update", "JobId=7", "Requeue=0"]] if requeue == "expedite" and end is not End.DONE else []
    assert remote() == told
    for do, what in ((Do.GIVE_UP, What.CRASHED), (Do.CANCEL, What.CANCELLED), (Do.FINISH, What.DONE)):
        Ending(this, Scontrol(site.scontrol)).carry_out(Decision(what=what, do=do), 1)
        assert bool(remote()) == (requeue == "expedite" and do is not Do.FINISH)

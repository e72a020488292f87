"""The parts of a job that need no SLURM: what scontrol's lines mean, what is noted, who is which rank."""

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launch.job.attempts import Attempt, Event, What, note, read_attempts, read_events
from launch.job.launcher import describe_rank, tasks_here
from launch.job.progress_on_disk import Heartbeat, Past, saved
from launch.job.rank import MASTER, PORT, meeting_place
from launch.queue.scontrol import Scontrol, fields_of, read_facts
from sharding.base.guarded import claim
from tests.slurm.jobs import asked, profile, record

LINE = (
    "JobId=7 JobName=train a=b UserId=me(1000) GroupId=me(1000) MCS_label=N/A Priority=4294901758 JobState=RUNNING "
    "Reason=None Dependency=(null) Requeue=1 Restarts=2 BatchFlag=1 Reboot=0 ExitCode=0:0 RunTime=00:00:01 "
    "TimeLimit=00:10:00 EndTime=2026-11-22T22:17:24 PreemptEligibleTime=2026-11-22T22:07:24 PreemptTime=None "
    "NodeList=n[1-2] BatchHost=n1 ReqB:S:C:T=0:0:*:* TRES=cpu=1,mem=400M,node=1 Comment=avsync:/a run/jobs/train Power="
)
"""As SLURM 22.05 prints it."""


def test_a_line_of_scontrol_is_read_with_all_its_oddities():
    facts = read_facts(LINE)
    assert facts is not None
    assert (facts.state, facts.reason, facts.restarts, facts.preempted) == ("RUNNING", "", 2, False)
    assert facts.end_time == time.mktime((2026, 11, 22, 22, 17, 24, 0, 0, -1))
    assert (facts.nodes, facts.exit_code, facts.requeue) == ("n[1-2]", "0:0", True)
    assert fields_of(LINE)["Comment"] == "avsync:/a run/jobs/train", "a value may hold spaces"


@pytest.mark.parametrize(
    ("was", "then", "name", "value"),
    [
        ("JobState=RUNNING", "JobState=COMPLETING Reason", "state", "COMPLETING"),
        ("Reason=None", "Reason=TimeLimit", "reason", "TimeLimit"),
        ("PreemptTime=None", "PreemptTime=2026-11-22T22:07:30", "preempted", True),
        ("PreemptTime=None", "PreemptTime=Unknown", "preempted", False),
        ("EndTime=2026-11-22T22:17:24", "EndTime=Unknown", "end_time", None),
        ("NodeList=n[1-2]", "NodeList=(null)", "nodes", ""),
        ("Requeue=1", "Requeue=0", "requeue", False),
    ],
)
def test_what_differs_from_case_to_case_is_seen(was: str, then: str, name: str, value: object):
    facts = read_facts(LINE.replace(was, then, 1))
    assert getattr(facts, name) == value


@pytest.mark.parametrize("line", ["", "slurm_load_jobs error: Invalid job id specified", "JobId=7 JobName=x"])
def test_where_scontrol_tells_nothing_nothing_is_known(line: str):
    assert read_facts(line) is None


def test_an_array_is_told_task_by_task_and_the_first_line_counts():
    facts = read_facts(LINE + "\n" + LINE.replace("RUNNING", "PENDING"))
    assert facts is not None
    assert facts.state == "RUNNING"


@given(st.text(max_size=200))
def test_no_line_makes_the_reader_fail(line: str):
    read_facts(line)
    read_facts("JobState=" + line)


def test_scontrol_that_is_not_there_knows_nothing():
    for words in ((), ("/nowhere/scontrol",)):
        assert not Scontrol(words).works
        assert Scontrol(words).job("1") is None
        assert Scontrol(words).job_once("1", lambda facts: True) is None
    assert Scontrol(("false",)).job("1") is None, "it is there, and fails"


def event(what: What, attempt: int, saved: int = 0) -> Event:
    return Event(what=what, attempt=attempt, job="1", restart=0, nodes="n1", saved=saved, at=1.0)


def test_a_line_that_a_kill_cut_short_harms_no_other(tmp_path: Path):
    path = tmp_path / "tasks/attempts.jsonl"
    note(path, event(What.BEGAN, 1))
    with path.open("ab") as file:
        file.write(b'{"what":"crash')
    note(path, event(What.BEGAN, 2))
    note(path, event(What.DONE, 2, 40))
    assert [(one.what, one.attempt) for one in read_events(path)] == [("began", 1), ("began", 2), ("done", 2)]
    assert read_attempts(path) == [
        Attempt(began=event(What.BEGAN, 1), ended=None),
        Attempt(began=event(What.BEGAN, 2), ended=event(What.DONE, 2, 40)),
    ]
    assert read_attempts(path)[1].gained == 40


def test_the_last_word_about_an_attempt_counts_and_words_of_others_do_not(tmp_path: Path):
    path = tmp_path / "attempts.jsonl"
    for one in (event(What.BEGAN, 2), event(What.LOST, 1), event(What.PREEMPTED, 2), event(What.DONE, 2, 9)):
        note(path, one)
    assert read_attempts(path) == [Attempt(began=event(What.BEGAN, 2), ended=event(What.DONE, 2, 9))]
    assert read_attempts(tmp_path / "nothing") == []


@given(st.binary(max_size=60))
def test_whatever_lies_in_the_file_what_is_noted_is_found(tmp_path_factory: pytest.TempPathFactory, rubbish: bytes):
    path = tmp_path_factory.mktemp("attempts") / "attempts.jsonl"
    path.write_bytes(rubbish)
    note(path, event(What.BEGAN, 5))
    assert event(What.BEGAN, 5) in list(read_events(path))


def task(**changes: str) -> dict[str, str]:
    """Variables of a task: the second of two on the second of two nodes."""
    return {
        "SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_NTASKS": "4", "SLURM_NODEID": "1",
        "SLURM_STEP_TASKS_PER_NODE": "2(x2)", "SLURM_LAUNCH_NODE_IPADDR": "10.0.0.7", MASTER: "localhost",
        PORT: "20001",
    } | changes  # fmt: skip


def test_ranks_are_described_as_torch_wants_it():
    environment = task()
    describe_rank(environment, "localhost", "20001")
    assert {name: environment[name] for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")} == {
        "RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2",
    }  # fmt: skip
    assert (environment["MASTER_ADDR"], environment["MASTER_PORT"]) == ("localhost", "20001")


@pytest.mark.parametrize(
    ("gpus", "local"), [("", "1"), ("0,1", "1"), ("3", "0"), ("1,2,3", "1"), ("GPU-8a,GPU-9b", "1")]
)
def test_the_local_rank_is_a_number_among_the_gpus_that_the_task_sees(gpus: str, local: str):
    environment = task(CUDA_VISIBLE_DEVICES=gpus)
    describe_rank(environment, "localhost", "20001")
    assert environment["LOCAL_RANK"] == local


@pytest.mark.parametrize(
    ("told", "node", "tasks"),
    [("2(x3),1", 0, 2), ("2(x3),1", 3, 1), ("4", 0, 4), ("1,2,8(x2)", 1, 2), ("1,2,8(x2)", 3, 8)],
)
def test_tasks_of_a_node_are_counted_as_slurm_writes_them(told: str, node: int, tasks: int):
    assert tasks_here(task(SLURM_STEP_TASKS_PER_NODE=told, SLURM_NODEID=str(node))) == tasks


def test_a_node_whose_name_does_not_resolve_is_met_by_its_number():
    for name in ("no-such-node.invalid", "", "a" * 70, "ü" * 80):
        assert meeting_place(task(**{MASTER: name})) == "10.0.0.7", name
    assert meeting_place(task(**{MASTER: "localhost"})) == "localhost"


def test_a_heart_beats_from_the_attempts_begin_and_only_a_watched_run_can_lose_it(tmp_path: Path):
    old = {"updated": time.time() - 500, "phase": "training", "step": 3, "steps": 9}
    (tmp_path / "progress.json").write_text(json.dumps(old))
    os.utime(tmp_path / "progress.json", (old := time.time() - 500, old))
    assert not lost(Heartbeat(str(tmp_path), 100, time.time())), "what is older than the attempt says nothing of it"
    assert lost(Heartbeat(str(tmp_path), 100, time.time() - 600))
    assert not lost(Heartbeat(str(tmp_path), 1000, time.time() - 600))
    assert not lost(Heartbeat(str(tmp_path), 0, 0.0))
    assert not lost(Heartbeat("", 100, 0.0))


def lost(heartbeat: Heartbeat) -> bool:
    return heartbeat.still_for() > heartbeat.patience_s


def test_a_full_disk_takes_no_words_but_a_date_is_a_sign_of_life_too(tmp_path: Path):
    (tmp_path / "progress.json").write_text("{")
    os.utime(tmp_path / "progress.json", (old := time.time() - 500, old))
    heartbeat = Heartbeat(str(tmp_path), 100, time.time() - 600)
    assert lost(heartbeat)
    os.utime(tmp_path / "progress.json")
    assert not lost(heartbeat)


def test_a_job_that_was_suspended_has_not_hung(tmp_path: Path):
    heartbeat = Heartbeat(str(tmp_path), 100, time.time() - 600)
    assert lost(heartbeat)
    heartbeat.begin_anew()
    assert not lost(heartbeat)


def failed(attempt: int, saved: int, node: str) -> Attempt:
    begun = Event(what=What.BEGAN, attempt=attempt, job="1", restart=attempt, nodes=node, saved=saved, at=0.0)
    return Attempt(began=begun, ended=replace(begun, what=What.CRASHED, failed_node=node))


def test_only_failures_in_a_row_speak_against_a_node():
    past = Past([failed(1, 0, "n1"), failed(2, 10, "n1"), failed(3, 10, "n2")])
    assert [end.failed_node for end in past.fruitless_at(10)] == ["n1", "n2"], "before the second the run had gained"
    assert past.failures_at(10) == 2
    assert past.failures_at(11) == 0


def test_a_task_of_an_array_gains_by_its_own_share_alone(tmp_path: Path):
    shard = {"split": "train", "digest": "0123456789abcdef" * 4}
    parts = tmp_path / ".parts"
    parts.mkdir()
    for share in (0, 1):
        (parts / f"share-{share:05d}.json").write_text(json.dumps({"shards": [shard | {"number": share}]}))
    one = record(tmp_path, (), profile(), asked(), kind="pack", array=2)
    assert (saved(one, 0), saved(one, 1)) == (0, 0)
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "000001.json").touch()
    assert saved(one, 0) == 0
    assert saved(one, 1) > 0
    assert saved(one, 2) == 0, "there is no such share"


def test_what_a_link_leads_to_is_no_work_of_the_job(tmp_path: Path):
    """As it finds it in its own folder: see claim."""
    elsewhere, target = tmp_path / "elsewhere", tmp_path / "target"
    (elsewhere / "00000100").mkdir(parents=True)
    for name in ("000001.json", "000000-00000.json"):
        (elsewhere / name).touch()
    parts = target / ".parts"
    parts.mkdir(parents=True)
    shard = {"split": "train", "number": 1, "digest": "0123456789abcdef" * 4}
    (parts / "share-00000.json").write_text(json.dumps({"shards": [shard]}))
    claim(target)
    packing = record(target, (), profile(), asked(), kind="pack", array=1)
    training = replace(packing, run=str(target), dataset="")
    for name in ("train", "checkpoints", ".parts/0123456789abcdef"):
        (target / name).symlink_to(elsewhere)
    assert (saved(packing), saved(packing, 0), saved(training)) == (0, 0, 0)
    for name in ("train", "checkpoints", ".parts/0123456789abcdef"):
        (target / name).unlink()
        (target / name).mkdir()
    for name in ("train/000001.json", "checkpoints/00000100", ".parts/0123456789abcdef/000000-00000.json"):
        (target / name).symlink_to(elsewhere / Path(name).name)
    assert (saved(packing), saved(packing, 0), saved(training)) == (0, 0, 0)


def test_a_share_that_names_what_is_no_shard_counts_nothing(tmp_path: Path):
    (tmp_path / ".parts").mkdir()
    (tmp_path / ".parts" / "share-00000.json").write_text(
        json.dumps({"shards": [{"split": "train", "number": 1, "digest": "../../../etc/passwd"}]})
    )
    assert saved(record(tmp_path, (), profile(), asked(), kind="pack", array=1), 0) == 0

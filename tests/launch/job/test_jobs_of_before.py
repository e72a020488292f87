"""Folders of jobs as an older avsync left them (tests/fixtures/before): jobs that wait in a queue outlive versions.

Read by what status, logs and resubmit read them with, on a machine without SLURM.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import made
import pytest

from launch.job.attempts import Action, What, read_attempts
from launch.job.paths import JobPaths
from launch.job.progress_on_disk import Past, saved
from launch.job.record import End, JobRecord, Outcome, Queued
from launch.submit.plan import plan_again
from launch.submit.script import Piece, Waits, script
from launch.watch.jobs import job_of
from launch.watch.log_files import log_files
from sharding.base.environment import JOBS
from sharding.base.files import read_json

BEFORE = Path(__file__).parents[2] / "fixtures" / "before"
STATES = ("queued", "preempted", "done")
ENDS = {"queued": [], "preempted": [What.PREEMPTED], "done": [What.PREEMPTED, What.DONE]}
pytestmark = [
    pytest.mark.usefixtures("laptop"),
    pytest.mark.skipif(not (BEFORE / "job-train").is_dir(), reason="the fixtures are not in this checkout"),
]


@pytest.fixture(params=STATES)
def state(request: pytest.FixtureRequest) -> str:
    return request.param


def folder_of(kind: str, state: str, root: Path) -> Path:
    """A copy of job-train or job-pack whose texts name this machine's folders, with what the job reads beside it."""
    shutil.copytree(BEFORE / kind / state, root)
    for kept in list(root.rglob("submitted")):  # under this name, so that no `avsync status` comes upon them here
        kept.rename(kept.with_name(JOBS))
    for path in (path for path in root.rglob("*") if path.suffix in (".json", ".jsonl", ".sh", ".txt")):
        text = path.read_text().replace("@ROOT@", str(root)).replace("@PYTHON@", sys.executable)
        path.write_text(text.replace("@CODE@", str(root / "checkout")))
    shutil.copytree(BEFORE / "dataset-h264", root / "dataset")
    shutil.copytree(BEFORE / "scenes", root / "scenes")
    for path in (root / "scenes").rglob("*"):
        os.utime(path, (1_700_000_000, 1_700_000_000))  # a plan holds the dates of its sources
    return root


def ends(path: Path) -> list[What]:
    return [one.ended.what for one in read_attempts(path) if one.ended]


def test_a_training_tells_what_it_is_how_far_it_came_and_how_it_ended(state: str, tmp_path: Path) -> None:
    paths = job_of(str(folder_of("job-train", state, tmp_path / "here") / "run"))
    record = read_json(paths.record, JobRecord)
    assert (record.kind, record.run, record.array, record.words[0]) == ("train", str(paths.target), 0, "train")
    assert str(record.resources.node_counts) == str(record.resources.nodes), "no range"
    assert read_json(paths.queued, Queued).ids
    assert saved(record) == {"queued": 0, "preempted": 11, "done": 40}[state]
    assert ends(paths.task(None).attempts) == ENDS[state]
    past = Past(read_attempts(paths.task(None).attempts))
    assert (past.most, past.failures_at(saved(record))) == (saved(record), 0)
    if state == "preempted":
        assert [one.ended.action for one in past.attempts if one.ended] == [Action.BY_SLURM]
        assert paths.task(None).stop.exists()
    assert paths.task(None).outcome.exists() == (state == "done")


def test_a_packing_tells_it_of_each_of_its_tasks_and_of_the_job_behind_them(state: str, tmp_path: Path) -> None:
    target = folder_of("job-pack", state, tmp_path / "here") / "packed"
    pack, merge = (job_of(str(target), kind) for kind in ("pack", "pack-merge"))
    record = read_json(pack.record, JobRecord)
    assert (record.array, record.dataset, record.run) == (2, str(target), "")
    assert read_json(merge.queued, Queued).depends_on == read_json(pack.queued, Queued).ids
    for number in range(record.array):
        assert ends(pack.task(number).attempts) == ENDS[state]
    if state == "done":
        assert (
            read_json(pack.task(1).outcome, Outcome).end is read_json(merge.task(None).outcome, Outcome).end is End.DONE
        )
        assert [file.task for file in log_files(pack, read_json(pack.queued, Queued).ids)] == [0, 1]


@pytest.mark.parametrize(("kind", "target"), [("job-train", "run"), ("job-pack", "packed")])
def test_status_logs_and_a_dry_resubmit_answer(
    kind: str, target: str, state: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = folder_of(kind, state, tmp_path / "here")
    assert made.ran("status", str(root / target), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert {one["kind"] for one in told} == ({"train"} if kind == "job-train" else {"pack", "pack-merge"})
    assert made.ran("logs", str(root / target), "--kind", kind.removeprefix("job-")) == 0
    shown = capsys.readouterr().out
    assert ("begins on" in shown) == (state != "queued")
    assert made.ran("resubmit", str(root / target), "--kind", kind.removeprefix("job-"), "--dry-run") == 0
    assert "dry run: nothing was written or queued" in capsys.readouterr().out


def test_a_script_of_before_and_one_of_now_start_the_same_program(state: str, tmp_path: Path) -> None:
    root = folder_of("job-train", state, tmp_path / "here")
    paths = job_of(str(root / "run"))
    (plan,) = plan_again(paths)
    before, now = paths.script(0, 1).read_text(), script(plan.record, plan.paths, Piece(), Waits())
    assert [line for line in now.splitlines() if line.startswith("exec ")] == [before.splitlines()[-1]]
    assert before.splitlines()[-1].endswith(f"-m launch.job.supervise {paths.root}")
    assert plan.record.argv[1:3] == ("-m", "launch")


@pytest.mark.parametrize("module", ["launch.job.supervise", "launch.job.rank"])
def test_what_a_job_of_before_starts_is_still_there_and_reads_its_folder(module: str, tmp_path: Path) -> None:
    """Both get as far as what only SLURM can tell them."""
    root = folder_of("job-train", "preempted", tmp_path / "here")
    environment = {"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": "/usr/bin:/bin"}
    run = subprocess.run(
        [sys.executable, "-m", module, str(JobPaths.of(root / "run", "train").root)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert "KeyError: 'SLURM_" in run.stderr

"""On a real cluster: what a person is told of jobs that wait, run, are requeued, cancelled or killed by force."""

import json
import re
import time
from pathlib import Path

import pytest
from jobs import LIMIT_S, Job, profile, toy

from launch.cli import main
from launch.job.record import End
from slurm.cluster import Cluster

pytestmark = pytest.mark.slurm


@pytest.fixture(autouse=True)
def on_the_login_node(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)


def told(capsys: pytest.CaptureFixture[str], *names: object) -> dict[str, dict[str, str]]:
    """Name of the run -> what `avsync status --json` says."""
    capsys.readouterr()
    assert main(["status", *map(str, names), "--json"]) == 0
    return {Path(each["target"]).name: each for each in json.loads(capsys.readouterr().out)}


def until_told(capsys: pytest.CaptureFixture[str], job: Job, standing: str) -> dict[str, str]:
    """Wait until status says so."""
    ends = time.monotonic() + LIMIT_S
    while (now := told(capsys, job.run)[job.run.name])["standing"] != standing:
        assert time.monotonic() < ends, f"{now}\n{job.log}"
        time.sleep(0.2)
    return now


def test_jobs_are_told_as_they_stand_with_one_question_to_slurm(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Running, requeued, waiting for nodes, held; and a stranger's."""
    running = toy(cluster, tmp_path / "here" / "running", 1000, nodes=1)
    requeued = toy(cluster, tmp_path / "here" / "requeued", 1000, nodes=1)
    large = toy(cluster, tmp_path / "here" / "large", nodes=4, site=profile(sbatch={"exclusive": ""}))
    toy(cluster, tmp_path / "after", nodes=1, site=profile(sbatch={"hold": ""}))
    cluster.submit("--hold", "--wrap=true")
    for job in (running, requeued):
        job.until_step(1)
    large.until(lambda: cluster.job(large.id)["Reason"] == "Resources", "look of SLURM's scheduler")
    now = told(capsys)
    assert set(now) == {"running", "requeued", "large", "after"}, "the last is known by its comment in the queue"
    assert now["running"]["standing"] == "running"
    assert now["running"]["nodes"] in cluster.settings.node_names
    assert (now["large"]["standing"], now["large"]["why"].split(";")[0]) == ("waiting", "waits for free nodes")
    assert (now["after"]["standing"], now["after"]["why"]) == ("waiting", "held by you; scontrol release lets it go")
    cluster.run("scontrol", "requeue", requeued.id)
    back = until_told(capsys, requeued, "waiting")
    # it takes a moment until SLURM gives the reason
    assert re.fullmatch(r"(requeued, starts|SLURM has not looked at it yet; may start) in [\d.]+ s", back["why"])
    main(["status"])
    shown = capsys.readouterr().out
    for word in ("running", "waits for free nodes", "held by you", "4 jobs: "):
        assert word in shown
    requeued.until_begun(2)
    assert len(until_told(capsys, requeued, "running")["attempts"]) == 2


def test_a_job_that_was_killed_by_force_is_told_with_what_slurm_says(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = toy(cluster, tmp_path / "run", 2, nodes=1, edit=lambda text: text.replace("exec ", "kill -9 $$\n"))
    job.state("FAILED")
    now = until_told(capsys, job, "ended without a word")
    assert "SLURM says FAILED" in now["why"]
    main(["status", "run"])
    assert "avsync resubmit run" in capsys.readouterr().out


def test_cancel_lets_a_run_save_takes_one_that_waits_and_names_who_waits_for_it(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    running = toy(cluster, tmp_path / "running", 1000)
    follower = toy(
        cluster, tmp_path / "follower", 5, nodes=1,
        edit=lambda text: text.replace("#SBATCH --time", f"#SBATCH --dependency=afterok:{running.id}\n#SBATCH --time"),
    )  # fmt: skip
    removed = toy(
        cluster, tmp_path / "removed", 5, nodes=1,
        edit=lambda text: text.replace(
            "#SBATCH --time",
            f"#SBATCH --dependency=afterok:{running.id}\n#SBATCH --kill-on-invalid-dep=yes\n#SBATCH --time",
        ),
    )  # fmt: skip
    waiting = toy(cluster, tmp_path / "waiting", 1000, site=profile(sbatch={"hold": ""}))
    line = toy(cluster, tmp_path / "line", 1000, nodes=1, site=profile(scontrol=(), successors=2))
    for job in (running, line):
        job.until_step(2)
    assert main(["cancel", "running"]) == 0
    said = capsys.readouterr().out
    assert running.outcome().end is End.CANCELLED
    assert running.ends() == ["cancelled"]
    assert running.saved >= 2, "asked by its folder, it has saved"
    assert f"step {running.saved:,} is saved. Next: avsync resubmit running" in said
    # SLURM takes the other out a moment later, or has already
    assert f"removed (job {removed.id})" in said
    assert f"now for ever: follower (job {follower.id})" in said
    removed.state("CANCELLED")
    assert until_told(capsys, removed, "cancelled")["why"] == "the job it waited for did not end well"
    assert main(["cancel", "waiting"]) == 0
    assert (waiting.outcome().end, waiting.outcome().reason) == (End.CANCELLED, "avsync cancel")
    assert main(["cancel", "line", "--now"]) == 0
    capsys.readouterr()
    assert [cluster.job(number)["JobState"] for number in line.ids[1:]] == ["CANCELLED"] * 2
    for job in (running, waiting, line):
        assert told(capsys, job.run)[job.run.name]["standing"] == "cancelled"
        assert main(["cancel", str(job.run)]) == 1, "once is enough"
    time.sleep(1)
    assert [len(job.attempts()) for job in (running, waiting, line)] == [1, 0, 1]


def test_logs_follow_a_run_over_a_requeue_to_its_end(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = toy(cluster, tmp_path / "run", 15, nodes=1, orders={"step_s": 0.2})
    job.until_step(2)
    cluster.run("scontrol", "requeue", job.id)
    assert main(["logs", "run", "-f"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.strip("─ ") for line in lines if "─" in line] == ["attempt 1", "attempt 2"]
    assert lines[-1].startswith("done")
    assert job.trained() == list(range(15))

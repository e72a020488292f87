"""On a real cluster: what SLURM, a person or a bug does to a job, it goes on if it should, and stays ended if not.

Many jobs run at the same time, each with a fate of its own; a torch-free trainer stands in for the real one.
"""

import time
from pathlib import Path

import pytest
from jobs import Job, profile, toy

from launch.job.record import End
from slurm.cluster import Cluster

pytestmark = pytest.mark.slurm


def assert_exactly_once(job: Job, steps: int, ranks: int = 2) -> None:
    """No step was left out, and none done twice."""
    for rank in range(ranks):
        assert job.trained(rank) == list(range(steps)), f"rank {rank}\n{job.log}"


def test_a_preempted_run_goes_on_and_trains_each_step_once_whenever_it_was_hit(cluster: Cluster, tmp_path: Path):
    """Without grace and with it, in its start-up, during a save, and requeued by an administrator."""
    requeued = toy(cluster, tmp_path / "requeued", nodes=1)
    requeued.until_step(3)
    cluster.run("scontrol", "requeue", requeued.id)
    plain = toy(cluster, tmp_path / "plain", orders={"linger_at": 15})
    grace = toy(cluster, tmp_path / "grace", partition="grace", orders={"linger_at": 15})
    for job in (plain, grace):
        job.until_step(1)
    starting = toy(cluster, tmp_path / "starting", orders={"wait_in": "start"})
    saving = toy(cluster, tmp_path / "saving", orders={"wait_in": "save"})
    late = toy(cluster, tmp_path / "late", partition="grace", orders={"start_s": 3})
    saving.until(lambda: saving.step >= 10, "begin of a save")
    assert starting.step <= 0
    cluster.preempt(seconds=1, wait=False)
    time.sleep(1)  # by now they are told
    for job in (starting, saving):
        (job.run / "go").touch()
    for job in (starting, saving, plain, grace, late, requeued):
        assert job.outcome().end is End.DONE, job.log
        assert_exactly_once(job, 40, ranks=1 if job is requeued else 2)
        assert set(job.ends()[:-1]) == {"preempted"}, job.ends()
        assert job.ends()[-1] == "done"
        assert len({one.began.job for one in job.attempts()}) == 1, "one job id from its first step to its last"
    assert [len(job.attempts()) for job in (plain, grace, saving)] == [2, 2, 2]
    assert saving.attempts()[1].began.saved >= 10, "what it was saving is saved, and noted"
    assert next(one.ended.saved for one in grace.attempts() if one.ended) >= 15


def test_a_cancelled_job_stays_cancelled(cluster: Cluster, tmp_path: Path):
    """Running, in a partition with grace, waiting after a preemption, in its save, asked by the folder's mark."""
    waiting = toy(cluster, tmp_path / "waiting", nodes=1, site=profile(sbatch={"nodelist": "n4"}))
    waiting.until_step(1)
    holds = cluster.preempt("n4", seconds=600, wait=False)
    running = toy(cluster, tmp_path / "running", 1000)
    grace = toy(cluster, tmp_path / "grace", 1000, partition="grace")
    saving = toy(cluster, tmp_path / "saving", 1000, nodes=1, orders={"wait_in": "save"})
    marked = toy(cluster, tmp_path / "marked", 1000, nodes=1)
    for job in (running, grace, marked):
        job.until_step(2)
    marked.paths.cancelled.touch()
    marked.paths.task(None).stop.touch()
    saving.until(lambda: saving.step >= 10, "begin of a save")
    waiting.state("PENDING")
    cluster.run("scancel", running.id, grace.id, saving.id, waiting.id)
    time.sleep(1)  # by now it is told
    (saving.run / "go").touch()
    for job in (running, grace, saving, waiting):
        ended = job.state("CANCELLED", "COMPLETED", "FAILED")
        assert ended == "CANCELLED", job.log  # for good: no batch script is left
    cluster.run("scancel", holds)
    for job in (running, grace, saving):
        assert (job.outcome().end, job.ends()) == (End.CANCELLED, ["cancelled"]), job.log
        assert job.saved > 0, "what it had done is saved"
    assert waiting.ends() == ["preempted"], "nothing is left of it that could have written more"
    assert (marked.outcome().end, marked.last()) == (End.CANCELLED, "avsync cancel")
    assert marked.state("FAILED", "CANCELLED")
    time.sleep(1)
    assert [len(job.attempts()) for job in (running, grace, saving, waiting, marked)] == [1] * 5


def test_a_crash_is_tried_again_as_long_as_the_run_gains(cluster: Cluster, tmp_path: Path):
    """SIGKILL of one rank, with progress and without; a hung rank that ignores SIGTERM; the supervisor's own end."""
    gains = toy(cluster, tmp_path / "gains", orders={"kill_once_at": [15, 25], "rank": 1}, site=profile(retries=1))
    stuck = toy(cluster, tmp_path / "stuck", orders={"kill_at": 15, "rank": 1}, site=profile(retries=2))
    hung = toy(
        cluster, tmp_path / "hung", orders={"hang_at": 15, "rank": 1}, site=profile(heartbeat="10 s", signal_lead="1 s")
    )
    assert gains.outcome().end is End.DONE, gains.log
    assert gains.ends() == ["crashed", "crashed", "done"], "one fruitless attempt would have been the last"
    assert sorted(set(gains.trained())) == list(range(40))
    assert len(gains.trained()) <= 40 + 2 * 9, "lost is what came after the last save, no more"
    failed = stuck.outcome()
    assert (failed.end, stuck.ends()) == (End.FAILED, ["crashed"] * 3), "the first one gained ten steps"
    assert "2 attempts in a row saved nothing new" in failed.reason
    assert "Killed" in failed.log_tail
    assert stuck.state("FAILED", "COMPLETED", "CANCELLED") == "FAILED"
    assert len(stuck.attempts()) == 3
    assert hung.outcome().end is End.DONE, hung.log
    assert (hung.ends(), len(hung.trained(rank=1))) == (["hung", "done"], 40 + 5)

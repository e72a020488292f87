"""On a real cluster: nodes that die, programs that are missing, files that are damaged, moments that are bad."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest
from jobs import ROOT, Job, order, processes, profile, toy

from launch.job.record import End
from launch.site.profile import ClusterProfile
from slurm.cluster import Cluster, ClusterSettings

pytestmark = pytest.mark.slurm


def assert_done(job: Job, steps: int = 40, ranks: int = 2) -> None:
    """To the end, with no step left out and none done twice."""
    assert job.outcome().end is End.DONE, job.log
    for rank in range(ranks):
        assert job.trained(rank) == list(range(steps)), f"rank {rank}\n{job.log}"


def test_a_run_goes_on_elsewhere_when_a_node_dies_and_that_is_no_crash_of_its_own(cluster: Cluster, tmp_path: Path):
    """The node of the batch script, and one of the others. No more than one fruitless attempt is allowed."""
    first = toy(cluster, tmp_path / "first", 200, site=profile(retries=1), nodes=1)
    other = toy(cluster, tmp_path / "other", 200, site=profile(retries=1, sbatch={"exclude": "n1"}))
    for job in (first, other):
        job.until_step(11)
    assert [job.attempts()[0].began.nodes for job in (first, other)] == ["n1", "n[2-3]"]
    cluster.kill_node("n1")
    cluster.kill_node("n3")
    for job in (first, other):
        job.until_begun(2)
        order(job.run, {"step_s": 0.01})
    for job, lost in ((first, "n1"), (other, "3")):
        assert job.outcome().end is End.DONE, job.log
        assert job.ends() == ["lost", "done"], job.log
        assert lost not in job.attempts()[1].began.nodes
        assert sorted(set(job.trained())) == list(range(200))


def test_a_run_is_not_done_when_its_node_is_set_down_whatever_srun_says_then(cluster: Cluster, tmp_path: Path):
    """Its ranks save and leave, and srun ends with 0 as if they had done all."""
    job = toy(cluster, tmp_path / "down", 200, site=profile(retries=1), nodes=1)
    job.until_step(11)
    node = job.attempts()[0].began.nodes
    cluster.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    job.until(lambda: job.ends()[0], "end of the attempt")
    cluster.run("scontrol", "update", f"nodename={node}", "state=resume", check=False)  # it may be back by itself
    order(job.run, {"step_s": 0.01})
    assert_done(job, 200, ranks=1)
    assert job.ends() == ["lost", "done"], job.log
    assert not job.paths.task(None).stop.exists()


def test_without_scontrol_on_the_nodes_slurm_itself_or_a_successor_goes_on(cluster: Cluster, tmp_path: Path):
    """Preempted, crashed with somebody in line and with nobody; and where scontrol is reached by another word."""
    without = f"export PATH={cluster.environment_without('scontrol')['PATH']}"
    wrapper = tmp_path / "elsewhere"
    wrapper.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\nexec "$@"\n')
    wrapper.chmod(0o755)
    lingers, wrapped = {"linger_at": 15}, profile(scontrol=(str(wrapper), "scontrol"))
    preempted = toy(cluster, tmp_path / "preempted", site=profile(setup=(without,)), orders=lingers)
    by_ssh = toy(cluster, tmp_path / "ssh", site=wrapped, partition="grace", orders=lingers)
    crash = {"kill_once_at": [15]}
    in_line = toy(cluster, tmp_path / "line", nodes=1, site=profile(setup=(without,), successors=2), orders=crash)
    alone = toy(cluster, tmp_path / "alone", nodes=1, site=profile(setup=(without,)), orders=crash)
    for job in (preempted, by_ssh):
        job.until_step(3)
    alone.until_step(12)
    failed = alone.outcome()
    assert failed.end is End.FAILED
    assert "does not reach scontrol (profile: scontrol)" in failed.reason
    assert re.search(r"avsync resubmit \S+ --kind train goes on", failed.reason)
    in_line.until(lambda: "crashed" in in_line.ends(), "crash")  # where it waited long for its node, `alone` was first
    cluster.preempt(seconds=1, wait=False)
    assert_done(preempted)
    assert_done(by_ssh)
    assert "scontrol requeue" in (tmp_path / "asked").read_text()
    assert in_line.outcome().end is End.DONE
    assert in_line.ends()[-1] == "done"
    assert "crashed" in in_line.ends()
    assert in_line.attempts()[-1].began.job == in_line.ids[1], "the next in line went on"
    assert cluster.wait_for(in_line.ids[2], ("COMPLETED", "FAILED"))["JobState"] == "COMPLETED", "nothing left to do"
    assert sorted(set(in_line.trained())) == list(range(40))
    assert len(in_line.trained()) <= 45


def test_where_slurm_cancels_what_it_preempts_the_job_queues_itself_again(cluster: Cluster, tmp_path: Path):
    """As sites with PreemptMode=CANCEL do; SLURM then shows the job as it shows a cancelled one, but for one field."""
    words = "PartitionName=cancels Nodes=ALL PriorityTier=1 PreemptMode=CANCEL State=UP"
    cluster.run("scontrol", "create", *words.split())
    job = toy(cluster, tmp_path / "run", partition="cancels")
    job.until_step(3)
    cluster.preempt(seconds=1, wait=False)
    assert_done(job)
    assert job.ends() == ["preempted", "done"]
    job.state("COMPLETED")
    cluster.run("scontrol", "delete", "PartitionName=cancels")


def test_what_ends_well_is_done_whatever_slurm_sends_in_that_moment(cluster: Cluster, tmp_path: Path):
    """SIGTERM of a preemption, of a scancel; also a driver that is killed as soon as it has queued its job."""
    ending = {"end_s": 3}  # SLURM kills 5 s after its SIGTERM
    preempted = toy(cluster, tmp_path / "preempted", 10, orders=ending, nodes=1, site=on("n1"))
    cancelled = toy(cluster, tmp_path / "cancelled", 10, orders=ending, nodes=1, site=on("n2"))
    orphan = toy(cluster, tmp_path / "orphan", 10, site=profile(sbatch={"exclude": "n1,n2"}))
    text = f"""
import sys, time
sys.path[:0] = [{str(ROOT)!r}]
from launch.submit.sbatch import submit_script
print(submit_script(open({str(orphan.paths.script(0, 1))!r}).read()), flush=True)
time.sleep(100)
"""
    cluster.run("scancel", orphan.id)
    words = [sys.executable, "-c", text]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, text=True, env=cluster.environment, start_new_session=True
    ) as driver:
        assert driver.stdout
        number = driver.stdout.readline().strip()
        os.killpg(driver.pid, signal.SIGKILL)
    for job in (preempted, cancelled):
        job.until(lambda job=job: job.trained()[-1:] == [9], "last step")
    cluster.preempt("n1", seconds=1, wait=False)
    cluster.run("scancel", cancelled.id)
    assert cancelled.state("CANCELLED", "COMPLETED") == "CANCELLED", "SLURM's word for it, and no batch script is left"
    for job in (preempted, cancelled, orphan):
        assert_done(job, 10, ranks=2 if job is orphan else 1)
    assert cancelled.ends() == ["done"]
    assert preempted.state("COMPLETED", "FAILED", "CANCELLED") == "COMPLETED"
    assert "nothing to do: done before" in preempted.log
    assert orphan.attempts()[-1].began.job == number != orphan.id


def test_damaged_files_of_a_job_stop_only_what_cannot_go_on_without_them(cluster: Cluster, tmp_path: Path):
    """job.json, outcome.json, attempts.jsonl cut short, a supervisor that is killed."""

    def damaged(name: str):
        def edit(text: str) -> str:
            (tmp_path / name / "jobs/train" / f"{name}.json").write_text('{"version": 1, "ki')
            return text

        return edit

    lost = toy(cluster, tmp_path / "job", 10, nodes=1, edit=damaged("job"))
    over = toy(cluster, tmp_path / "outcome", 10, nodes=1, edit=damaged("outcome"))
    torn = toy(cluster, tmp_path / "torn")
    killed = toy(cluster, tmp_path / "killed", 100, nodes=1)
    for job in (torn, killed):
        job.until_step(11)
    for process in processes("launch.job.supervise", str(killed.paths.root)):
        os.kill(process, signal.SIGKILL)
    cluster.run("scontrol", "requeue", torn.id)
    torn.until(lambda: torn.ends() == ["preempted"], "end of the first attempt")
    attempts = torn.paths.task(None).attempts
    attempts.write_bytes(attempts.read_bytes()[:-20])
    assert_done(torn)
    assert torn.ends() == ["lost", "done"], "the end that could not be read is told anew"
    assert lost.state("FAILED", "COMPLETED") == "FAILED"
    assert "avsync: error:" in lost.log
    assert "job.json is damaged or was written by another version" in lost.log
    assert "Traceback" not in lost.log
    assert_done(over, 10, ranks=1)
    assert "outcome.json is damaged" in over.log
    assert killed.state("FAILED", "COMPLETED") == "FAILED"
    killed.cluster.submit(str(killed.paths.script(0, 1)))
    assert killed.outcome().end is End.DONE
    assert killed.ends() == ["lost", "done"]
    assert len(killed.trained()) < 100 + 10, "it went on at its last checkpoint"


def on(node: str) -> ClusterProfile:
    return profile(sbatch={"nodelist": node})


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Where a job's code fits, and little more."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m,nr_inodes=2k", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> None:
    """Until it takes no byte and no file more."""
    with suppress(OSError), (disk / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 512)
    with suppress(OSError):
        for number in count():
            (disk / f"file-{number}").touch()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a disk")
def test_a_run_goes_on_while_its_jobs_folder_lies_on_a_full_disk(cluster: Cluster, tmp_path: Path):
    with small_disk(tmp_path / "run/jobs/train") as disk:
        job = toy(cluster, tmp_path / "run", 100)
        job.until_step(3)
        fill(disk)
        cluster.preempt(seconds=1)
        half = len(job.trained())
        job.until(lambda: len(job.trained()) > half, "next step")
        cluster.run("scancel", "--batch", "--signal=USR2", job.id)  # as near the time limit: no file can pass it on
        job.until(lambda: job.trained()[-1:] == [99], "last step")
        assert job.state("COMPLETED", "FAILED") == "COMPLETED"
        assert job.trained() == list(range(100)), "every step once, though nothing could be written about it"
        assert cluster.job(job.id)["Restarts"] == "2"


def test_out_of_memory_is_told_as_what_it_is_with_what_to_do(tmp_path: Path):
    with Cluster(ClusterSettings(folder=tmp_path / "c", nodes=1, accounting=False, over_memory_kill=True)) as cluster:
        site = profile(retries=1)
        job = toy(cluster, tmp_path / "run", nodes=1, orders={"eat_at": 5}, site=site, memory_mb=200)
        outcome = job.outcome()
        assert (outcome.end, job.ends()) == (End.FAILED, ["out of memory"]), job.log
        assert "ask for more (--memory" in outcome.reason
        assert job.state("FAILED", "COMPLETED", "OUT_OF_MEMORY") != "COMPLETED"

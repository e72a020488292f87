"""On a real cluster: time limits, with and without a signal before; who hangs until the end; who is told by nobody.

Also two runs on shared nodes with GPUs that SLURM chooses, and an array of packers of which one is preempted.
"""

import sys
from pathlib import Path

import pytest
from jobs import Job, asked, profile, queue, record, toy

from launch.job.record import SHARE, End
from sharding.config import PackConfig, PackOptions
from sharding.pack.pack import divide, pack
from sharding.scenes.config import SceneConfig
from sharding.scenes.generate import generate
from slurm.cluster import Cluster

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

SHORT = {"time_s": 60, "orders": {"step_s": 0.5}}
"""The smallest limit that SLURM knows; it gives its signal 0 to 60 s early: an attempt may end as it begins."""


def assert_exactly_once(job: Job, steps: int, ranks: int = 2) -> None:
    for rank in range(ranks):
        assert job.trained(rank) == list(range(steps)), f"rank {rank}\n{job.log}"


def unsigned(text: str) -> str:
    """A script that asks for no signal."""
    lines = text.splitlines(keepends=True)
    assert any("--signal=" in line for line in lines)
    return "".join(line for line in lines if "--signal=" not in line)


def test_a_run_goes_on_after_its_time_limit_however_it_was_told_of_it(cluster: Cluster, tmp_path: Path):
    """By SLURM's signal, by the clock alone, hung until the end; by a successor; by SIGTERM of somebody else."""
    without = f"export PATH={cluster.environment_without('scontrol')['PATH']}"
    aside = {"sbatch": {"exclude": "n4"}}
    early = {"time": "1 min", "signal_lead": "35 s"} | aside
    signalled = toy(cluster, tmp_path / "signalled", 60, site=profile(**early), **SHORT)
    silent = toy(cluster, tmp_path / "silent", 60, site=profile(**early), edit=unsigned, **SHORT)
    site = profile(**early, setup=(without,), successors=6)
    line = toy(cluster, tmp_path / "line", 60, site=site, nodes=1, **SHORT)
    hung = toy(cluster, tmp_path / "hung", orders={"hang_at": 15}, site=profile(**aside))
    site = profile(setup=(without,), sbatch={"nodelist": "n4"})
    graced = toy(cluster, tmp_path / "graced", 100, site=site, partition="grace", nodes=1)
    stray = toy(cluster, tmp_path / "stray", 1000, nodes=1, orders={"step_s": 0.01}, site=profile(retries=1, **aside))
    for job in (graced, stray):
        job.until_step(11)
    cluster.run("scancel", "--batch", "--signal=TERM", stray.id)
    cluster.preempt("n4", seconds=1, wait=False)
    hung.until((hung.run / "misbehaved-15").exists, "hanging rank")
    cluster.run("scontrol", "update", f"JobId={hung.id}", "EndTime=now+1")
    hung.until(lambda: hung.ends()[:1] == ["time limit"], "time limit")
    cluster.run("scontrol", "update", f"JobId={hung.id}", "TimeLimit=60")
    for job in (signalled, silent, line, hung, graced, stray):
        assert job.outcome().end is End.DONE, f"{job.run.name}\n{job.log}"
    for job in (signalled, silent):
        assert_exactly_once(job, 60)
        assert {"time limit", "done"} <= set(job.ends()) <= {"time limit", "preempted", "done"}
        assert len({one.began.job for one in job.attempts()}) == 1
    assert_exactly_once(line, 60, ranks=1)
    assert line.attempts()[-1].began.job in line.ids[1:]
    assert "time limit" in hung.ends()
    assert sorted(set(hung.trained())) == list(range(40))
    assert_exactly_once(graced, 100, ranks=1)
    assert graced.ends()[-1] == "done"
    assert_exactly_once(stray, 1000, ranks=1)


def test_two_runs_share_nodes_each_with_the_gpu_that_slurm_chose(cluster: Cluster, tmp_path: Path):
    """One GPU of each of two nodes for both; and one with both GPUs of a node, a task each, on two to four nodes."""
    runs = [toy(cluster, tmp_path / str(number), 30, gpus_per_node=1) for number in range(2)]
    wide = toy(cluster, tmp_path / "wide", 10, nodes=2, most_nodes=4, gpus_per_node=2, tasks_per_node=2)
    for job in (*runs, wide):
        assert job.outcome().end is End.DONE, job.log
    seen = [[job.ranks(rank)[0] for rank in range(2)] for job in runs]
    places = [(one["SLURMD_NODENAME"], one["CUDA_VISIBLE_DEVICES"]) for ranks in seen for one in ranks]
    assert sorted(places) == [("n1", "0"), ("n1", "1"), ("n2", "0"), ("n2", "1")]
    assert all(one["LOCAL_RANK"] == "0" for ranks in seen for one in ranks), "a number among those that it sees"
    assert len({ranks[0]["MASTER_PORT"] for ranks in seen}) == 2
    for ranks in seen:
        assert ranks[0]["MASTER_PORT"] == ranks[1]["MASTER_PORT"]
        assert [one["RANK"] for one in ranks] == ["0", "1"]
    four = [wide.ranks(rank)[0] for rank in range(4)]
    assert [one["LOCAL_RANK"] for one in four] == ["0", "1", "0", "1"]
    assert {one["CUDA_VISIBLE_DEVICES"] for one in four} == {"0,1"}
    assert len({(one["MASTER_ADDR"], one["MASTER_PORT"]) for one in four}) == 1


HELD = """
import os, pathlib, sys, time
folder, *words = sys.argv[1:]
while not os.path.exists(folder + "/go"):
    time.sleep(0.1)
if words[-1] == "2" and not os.path.exists(folder + "/crashed"):
    pathlib.Path(folder, "crashed").touch()
    sys.exit(1)
os.execv(sys.executable, [sys.executable, *words])
"""
"""Becomes what it is told, once it may; share 2 crashes once. SLURM calls the last task like the whole array."""


def test_an_array_of_packers_packs_everything_though_one_was_preempted_and_one_crashed(
    cluster: Cluster, tmp_path: Path
):
    """Three tasks, each on a node of its own; what they leave is put together as if one had packed it."""
    generate(tmp_path / "scenes", SceneConfig(count=9, seconds=5, size=64, fps=10, sample_rate=8000, test_share=0))
    table, dataset = tmp_path / "scenes/scenes.csv", tmp_path / "dataset"
    settings = PackConfig(fps="10", size=48, sample_rate=8000, min_clip_s="3", sources_per_shard=3, workers=1)
    shares = len(divide(table, dataset, settings, PackOptions(), 3).shares)
    assert shares == 3
    words = "--fps 10 --size 48 --sample-rate 8000 --min-clip-s 3 --sources-per-shard 3 --workers 1 --share".split()
    argv = (sys.executable, "-c", HELD, str(tmp_path), "-m", "launch", "pack", str(table), str(dataset), *words, SHARE)
    one = record(dataset, argv, profile(), asked(nodes=1, cpus_per_task=4), kind="pack", array=shares)
    job = queue(cluster, one, dataset)
    for share in range(shares):
        job.until_begun(1, share)
    victim = job.attempts(1)[0].began.nodes
    cluster.preempt(victim, seconds=1, wait=False)
    job.until(lambda: job.ends(1) == ["preempted"], "end of the one that is preempted")
    (tmp_path / "go").touch()
    assert [job.outcome(share).end for share in range(shares)] == [End.DONE] * 3
    assert [job.ends(share) for share in range(shares)] == [["done"], ["preempted", "done"], ["crashed", "done"]]
    assert sum(pack(table, dataset, settings).clips.values()) > 0
    pack(table, tmp_path / "alone", settings)
    shards = sorted(path.relative_to(dataset) for path in dataset.rglob("*.tar"))
    assert len(shards) >= shares
    assert [(dataset / one).read_bytes() for one in shards] == [
        (tmp_path / "alone" / one).read_bytes() for one in shards
    ]

"""On a real cluster, the real trainer: two processes on two nodes, disturbed again and again, train as if left alone.

Before each blow the processes are frozen, so that even a fast machine is not done before it falls; SLURM thaws what it
is about to end.
"""

import json
import os
import signal
import sys
from pathlib import Path

import pytest
from jobs import LIMIT_S, Job, asked, processes, profile, queue, record
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from avsync.run.paths import RunPaths
from avsync.run.receipt import read_receipts
from launch.job.record import End
from sharding.config import PackConfig
from sharding.pack.pack import pack
from sharding.scenes.config import SceneConfig
from sharding.scenes.generate import generate
from slurm.cluster import Cluster

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

STEPS = 60
SETTINGS = (
    f"--preset small --steps {STEPS} --batch 4 --view.size 48 --pairs.window-s 2 --pairs.min-shift-s 1 "
    "--pairs.max-shift-s 2.5 --validate-every 20 --validate-clips 4 --runtime.device cpu --runtime.workers 1 "
    "--runtime.log-every 1 --runtime.checkpoint-every 25"
).split()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated scenes, packed: 48x48, 10 fps, 8 kHz."""
    folder = tmp_path_factory.mktemp("data")
    scenes = SceneConfig(count=20, seconds=5, size=48, fps=10, sample_rate=8000, val_share=0.2, test_share=0)
    generate(folder / "scenes", scenes)
    settings = PackConfig(fps="10", size=48, sample_rate=8000, min_clip_s="3", sources_per_shard=5, workers=2)
    pack(folder / "scenes/scenes.csv", folder / "dataset", settings)
    return folder / "dataset"


def train(cluster: Cluster, dataset: Path, run: Path, sbatch: dict[str, str], *more: str, most_nodes: int = 0) -> Job:
    """Queue the real trainer."""
    run.mkdir()
    argv = (sys.executable, "-m", "launch", "train", str(dataset), str(run), *SETTINGS, *more)
    site = profile(environment={"OMP_NUM_THREADS": "1"}, sbatch=sbatch)
    return queue(cluster, record(run, argv, site, asked(memory_mb=900, most_nodes=most_nodes)), run)


def freeze(job: Job, step: int) -> None:
    """As soon as it has done `step` steps."""
    job.until_step(step)
    for process in processes("launch\0train", str(job.run)):
        os.kill(process, signal.SIGSTOP)


def thaw(job: Job) -> None:
    for process in processes("launch\0train", str(job.run)):
        os.kill(process, signal.SIGCONT)


def curve(run: Path) -> dict[int, float]:
    """Step -> loss, as TensorBoard draws it. Fails when a step is drawn twice."""
    events = EventAccumulator(str(run / "tensorboard/train"), size_guidance={"scalars": 0, "images": 0})
    events.Reload()
    points = events.Scalars("loss")
    steps = [point.step for point in points]
    assert len(set(steps)) == len(steps), f"a step is drawn twice: {steps}"
    return {point.step: point.value for point in points}


def test_a_disturbed_run_trains_each_step_once_and_its_curve_is_that_of_a_run_left_alone(
    cluster: Cluster, dataset: Path, tmp_path: Path
):
    """Three preemptions, two without grace and one with 30 s, and a time limit; SIGUSR1 to each process of another."""
    hit = train(cluster, dataset, tmp_path / "hit", {"nodelist": "n[1-2]"})
    told = train(cluster, dataset, tmp_path / "told", {"nodelist": "n[3-4]"})
    alone = train(cluster, dataset, tmp_path / "alone", {"nodelist": "n[3-4]"})
    frozen = [0]
    for attempt in range(1, 4):
        freeze(hit, frozen[-1] + 3)
        frozen.append(hit.step)
        cluster.preempt(["n1", "n2"], seconds=1, wait=False)
        hit.until(lambda count=attempt: len(hit.ends()) == count and hit.ends()[-1], "end of the attempt")
        if attempt == 2:
            hit.state("PENDING")
            cluster.run("scontrol", "update", f"JobId={hit.id}", "Partition=grace")
        if attempt == 1:
            freeze(told, 5)
            cluster.run("scancel", "--signal=USR1", told.id)  # as sites do that signal each process before the limit
            thaw(told)
        hit.until_begun(attempt + 1)
    freeze(hit, frozen[-1] + 3)
    frozen.append(hit.step)
    cluster.run("scontrol", "update", f"JobId={hit.id}", "EndTime=now+1")
    hit.until(lambda: hit.ends()[3:4] == ["time limit"], "time limit")
    cluster.run("scontrol", "update", f"JobId={hit.id}", "TimeLimit=60")
    for job in (alone, hit, told):
        assert job.outcome().end is End.DONE, job.log
    straight = curve(alone.run)
    assert sorted(straight) == list(range(1, STEPS + 1))
    for job in (hit, told):
        assert curve(job.run) == straight, "to the last bit what the run left alone has trained"
        receipts = read_receipts(RunPaths(job.run))
        assert all((receipt.skipped, receipt.repeated) == (0, 0) for receipt in receipts), job.log
        assert len(receipts) == len(job.attempts())
        assert len({one.began.job for one in job.attempts()}) == 1
    assert hit.ends() == ["preempted"] * 3 + ["time limit", "done"]
    starts = [receipt.step for receipt in read_receipts(RunPaths(hit.run))]
    assert all(start >= step for start, step in zip(starts, frozen, strict=True)), "what was done when it fell is kept"
    assert [one.began.saved for one in hit.attempts()] == starts
    assert told.ends() == ["stopped", "done"], "it was asked, and has saved: no crash"


def test_a_run_goes_on_with_as_many_nodes_as_it_gets_and_trains_each_clip_once(
    cluster: Cluster, dataset: Path, tmp_path: Path
):
    """Of two to three nodes: three, then two while somebody has the third, then three."""
    steps = 60  # so many that it is not done before it is stopped, however fast the machine
    more = ("--batch", "6", "--steps", str(steps), "--optim.warmup-steps", "1", "--validate-every", "0")
    job = train(cluster, dataset, tmp_path / "run", {"exclude": "n4"}, *more, most_nodes=3)
    freeze(job, 2)
    holds = cluster.preempt("n3", seconds=600, wait=False)
    job.until_begun(2)
    freeze(job, job.attempts()[1].began.saved + 2)
    cluster.run("scancel", holds)
    cluster.preempt("n1", seconds=1, wait=False)
    assert job.outcome().end is End.DONE, job.log
    assert [one.began.nodes for one in job.attempts()] == ["n[1-3]", "n[1-2]", "n[1-3]"]
    assert job.ends() == ["preempted", "preempted", "done"]
    receipts = read_receipts(RunPaths(job.run))
    assert [receipt.ranks for receipt in receipts] == [3, 2, 3]
    assert [receipt.ranks_before for receipt in receipts[1:]] == [3, 2]
    assert [receipt.step for receipt in receipts] == [one.began.saved for one in job.attempts()]
    assert all((receipt.skipped, receipt.repeated) == (0, 0) for receipt in receipts), job.log
    assert all(receipt.clips == 6 * receipt.step for receipt in receipts), "the global batch stays"
    assert sorted(curve(job.run)) == list(range(1, steps + 1))


def test_tasks_that_a_person_starts_in_an_allocation_train_once_together(
    cluster: Cluster, dataset: Path, tmp_path: Path
):
    """salloc, then srun: on one node and over two, whose names do not resolve; the same clips either way."""
    words = (sys.executable, "-m", "launch", "train", str(dataset))
    settings = [*SETTINGS, "--steps", "3", "--optim.warmup-steps", "1", "--validate-every", "0"]
    states = list[dict[str, object]]()
    for name, shape in (("one", ["-N1", "-n2"]), ("two", ["-N2", "--ntasks-per-node=1"])):
        run = tmp_path / name
        alloc = ["salloc", "--quiet", "--mem=900", *shape, "env", "OMP_NUM_THREADS=1"]
        cluster.run(*alloc, "srun", "--kill-on-bad-exit=1", *words, run, *settings, timeout=LIMIT_S)
        (receipt,) = read_receipts(RunPaths(run))
        assert (receipt.attempt, receipt.step, receipt.ranks) == (1, 0, 2)
        assert (receipt.skipped, receipt.repeated) == (0, 0)
        states.append(json.loads((run / "checkpoints/00000003/state.json").read_text()))
    assert states[0]["ranks"] == states[1]["ranks"] == 2
    assert states[0]["digest"] == states[1]["digest"]

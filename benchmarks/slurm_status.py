"""How long does `avsync status` take with many jobs in the queue, beside plain squeue and submitit's own polling?

    python -m benchmarks.slurm_status [--jobs 1000] [--rounds 5]

Starts a real SLURM cluster on this machine, queues the jobs (held, each with a folder of its own), and calls each way
as a program of its own, from the first byte of Python to the last of its output. submitit asks sacct for the same jobs.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from avsync.run.progress import RunProgress
from benchmarks.base.runner import ROOT, in_turn
from benchmarks.base.table import Column, Table, command, of_rounds, statistic
from launch.job.attempts import Event, What, note
from launch.job.paths import JobPaths
from launch.job.record import Queued
from launch.queue.squeue import MARK
from launch.site.profile import ClusterProfile
from sharding.base.files import write_json
from slurm.cluster import Cluster, ClusterSettings
from tests.slurm.jobs import asked, record

SUBMITIT = """
import sys
from pathlib import Path
from submitit.slurm.slurm import SlurmJob
ids = Path(sys.argv[1]).read_text().split()
jobs = [SlurmJob(folder=sys.argv[2], job_id=job) for job in ids]
states = [job.state for job in jobs]
print(len(states), set(states), jobs[0].watcher.num_calls)
"""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a way."""

    seconds: float
    last: str
    """What it printed last."""


COLUMNS: Mapping[str, Column] = {
    "median s": statistic("seconds", ".2f"),
    "least s": statistic("seconds", ".2f", of=min),
    "last line": lambda rounds, way: getattr(rounds[way][-1], "last", ""),
}


def main() -> None:
    """Queue the jobs, measure, print the table."""
    parser = command("slurm_status", __doc__)
    parser.add_argument("--jobs", type=int, default=1000, help="jobs in the queue")
    parser.add_argument("--rounds", type=int, default=5, help="calls of each way")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="avsync-status-") as name:
        folder = Path(name)
        settings = ClusterSettings(folder=folder / "cluster", nodes=1, extra_conf="MaxJobCount=20000")
        with Cluster(settings) as cluster:
            began = time.perf_counter()
            ids = queue(cluster, folder / "runs", options.jobs)
            print(f"{options.jobs} jobs queued in {time.perf_counter() - began:.0f} s")
            Console().print(measured(cluster, folder, ids, options.rounds).rich())


def queue(cluster: Cluster, runs: Path, count: int) -> list[str]:
    """Hold so many jobs, each with its folder; SLURM's numbers of them."""
    (runs / "scripts").mkdir(parents=True)
    folders = [job_folder(runs / f"run-{number:04d}") for number in range(count)]
    lines = [
        f"sbatch --parsable --hold --comment={MARK}{paths.root} --output=/dev/null --wrap=true" for paths in folders
    ]
    ids = cluster.run("bash", "-c", "\n".join(lines), timeout=1200).split()
    for paths, job in zip(folders, ids, strict=True):
        write_json(paths.queued, Queued(ids=(job,)), lasting=False)
    return ids


def job_folder(run: Path) -> JobPaths:
    """As a run leaves it that was preempted once."""
    paths = JobPaths.of(run, "train")
    paths.root.mkdir(parents=True)
    resources = asked(nodes=1, memory_mb=0, time_s=3600)
    write_json(paths.record, record(run, (), ClusterProfile(), resources), lasting=False)
    write_json(run / "progress.json", RunProgress(updated=time.time(), step=10, steps=100), lasting=False)
    for what, saved in ((What.BEGAN, 0), (What.PREEMPTED, 10)):
        event = Event(what=what, attempt=1, job="1", restart=0, nodes="n1", saved=saved, at=time.time())
        note(paths.task(None).attempts, event)
    return paths


def measured(cluster: Cluster, folder: Path, ids: Sequence[str], rounds: int) -> Table:
    """Each way, several times."""
    (folder / "ids").write_text("\n".join(ids))
    avsync, python = (sys.executable, "-m", "launch"), (sys.executable, "-c")
    ways = {
        "squeue --me": ("squeue", "--me"),
        "avsync status (all jobs)": (*avsync, "status"),
        "avsync status --json (all jobs)": (*avsync, "status", "--json"),
        "avsync status RUN (one job)": (*avsync, "status", str(folder / "runs" / "run-0000")),
        "submitit: the state of all jobs": (*python, SUBMITIT, str(folder / "ids"), str(folder / "submitit")),
        "Python, doing nothing": (*python, ""),
    }
    environment = cluster.environment | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    calls = {name: partial(call, argv, environment, folder / "runs") for name, argv in ways.items()}
    title = f"{len(ids)} jobs in the queue, {os.cpu_count()} cores, {rounds} rounds"
    return of_rounds(title, in_turn(calls, rounds), COLUMNS)


def call(argv: Sequence[str], environment: Mapping[str, str], where: Path) -> Call:
    """A program, from the first byte of Python to the last of its output."""
    began = time.perf_counter()
    done = subprocess.run(argv, env=environment, cwd=where, capture_output=True, text=True, check=True)
    took = time.perf_counter() - began
    return Call(took, next((line for line in reversed(done.stdout.splitlines()) if line.strip()), "").strip()[:60])


if __name__ == "__main__":
    main()

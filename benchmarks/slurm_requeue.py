"""How long until a disturbed job goes on, and what it has lost: ours and stock submitit, on the test cluster.

python -m benchmarks.slurm_requeue [--rounds 5] [--folder FOLDER]

Both run the same training without torch: two processes on a node, steps of 0.1 s, a save after every 50. Each is
preempted without grace, with 30 s of grace, and sent the signal that SLURM gives before the time limit, each blow at
the same moment for both, on nodes of their own. Of every pause
SLURM itself takes about 6 s here (cred_expire = 5); many sites have 121 s.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import submitit
from rich.console import Console

from benchmarks.base.runner import Rounds
from benchmarks.base.table import Table, command, of_rounds, spread
from benchmarks.slurm_stock import StockTraining
from slurm.cluster import Cluster, ClusterSettings
from tests.slurm.jobs import profile, toy

STEPS, STEP_S, SAVE_EVERY = 3000, 0.1, 50
BLOW_AT = 75
"""Half-way between two saves."""
AFTER = 5
"""Steps of the second attempt that are waited for."""
LIMIT_S = 150.0


@dataclass(frozen=True, kw_only=True)
class Blow:
    """What is done to a job."""

    name: str
    partition: str
    nodes: dict[str, str]
    """Who -> where."""
    strike: Callable[[Cluster, dict[str, str], dict[str, str]], object]
    """Given the cluster, who -> job, and who -> node."""


def signal_both(cluster: Cluster, jobs: dict[str, str], nodes: dict[str, str]) -> None:
    """As SLURM does before the limit: ours has asked for it in the batch script, submitit in every process."""
    cluster.run("scancel", "--batch", "--signal=USR2", jobs["ours"])
    cluster.run("scancel", "--signal=USR2", jobs["submitit"])


def preempt(cluster: Cluster, jobs: dict[str, str], nodes: dict[str, str]) -> None:
    """Each by a job of its own: who leaves late must not keep the other's node."""
    for node in nodes.values():
        cluster.preempt(node, seconds=1, wait=False)


BLOWS = (
    Blow(name="preempted", partition="low", nodes={"ours": "n1", "submitit": "n2"}, strike=preempt),
    Blow(name="preempted, 30 s grace", partition="grace", nodes={"ours": "n3", "submitit": "n4"}, strike=preempt),
    Blow(name="time limit near", partition="low", nodes={"ours": "n5", "submitit": "n6"}, strike=signal_both),
)


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One job of one round."""

    start_s: float
    """Submission until the end of its first step."""
    pause_s: float
    """The blow until the end of the first step after it that had not been done before."""
    again_s: float
    """The blow until the end of the first step of the second attempt."""
    lost: int
    """Steps done twice."""


def submit_ours(cluster: Cluster, run: Path, blow: Blow) -> str:
    """Returns the job's number."""
    orders = {"step_s": STEP_S, "save_every": SAVE_EVERY}
    where = profile(sbatch={"nodelist": blow.nodes["ours"]})
    return toy(cluster, run, STEPS, orders=orders, site=where, partition=blow.partition, nodes=1, tasks_per_node=2).id


def submit_stock(cluster: Cluster, run: Path, blow: Blow) -> str:
    """The same by submitit alone."""
    run.mkdir()
    executor = submitit.AutoExecutor(folder=run / "submitit", cluster="slurm")
    where = {"requeue": True, "nodelist": blow.nodes["submitit"]}
    executor.update_parameters(nodes=1, tasks_per_node=2, cpus_per_task=1, timeout_min=10, slurm_mem="400M")
    executor.update_parameters(slurm_partition=blow.partition, slurm_additional_parameters=where)
    return executor.submit(StockTraining(str(run), STEPS, STEP_S, SAVE_EVERY)).job_id


WHO = {"ours": submit_ours, "submitit": submit_stock}


def trained(run: Path) -> list[tuple[int, float]]:
    """Step, and when it was done, in order."""
    path = run / "steps-0.txt"
    if not path.exists():
        return []
    return [(int(step), float(at)) for step, at in (line.split() for line in path.read_text().splitlines() if line)]


def measure(run: Path, submitted: float, struck: float) -> Measure | None:
    """None: not yet."""
    done = trained(run)
    pauses = [number for number in range(1, len(done)) if done[number][1] - done[number - 1][1] > 3]
    if not pauses or len(done) < pauses[0] + AFTER:
        return None
    before, after = done[: pauses[0]], done[pauses[0] :]
    lost = before[-1][0] + 1 - after[0][0]
    new = [at for step, at in after if step > before[-1][0]]
    if not new:
        return None
    start_s, again_s = before[0][1] - submitted, after[0][1] - struck
    return Measure(start_s=start_s, again_s=again_s, lost=lost, pause_s=new[0] - struck)


def one_round(cluster: Cluster, folder: Path) -> Iterator[tuple[str, str, Measure]]:
    """Blow, who, what came of it."""
    begun = dict[tuple[str, str], tuple[Path, float]]()
    struck = dict[str, float]()
    for blow in BLOWS:
        jobs = dict[str, str]()
        for who, submit in WHO.items():
            run = folder / blow.nodes[who]
            begun[blow.name, who] = run, time.time()
            jobs[who] = submit(cluster, run, blow)
        until(lambda blow=blow: all(len(trained(folder / node)) >= BLOW_AT for node in blow.nodes.values()), blow.name)
        struck[blow.name] = time.time()
        blow.strike(cluster, jobs, blow.nodes)
    for (name, who), (run, submitted) in begun.items():
        until(lambda run=run, at=submitted, hit=struck[name]: measure(run, at, hit), f"{name}, {who}")
        if found := measure(run, submitted, struck[name]):
            yield name, who, found
    cluster.tidy()


def until(true: Callable[[], object], what: str) -> None:
    """Wait for it."""
    end = time.monotonic() + LIMIT_S
    while not true():
        if time.monotonic() > end:
            raise SystemExit(f"{what}: nothing after {LIMIT_S} s")
        time.sleep(0.1)


def table(found: Rounds[tuple[str, str], Measure]) -> Table:
    """Medians, with least and most."""
    columns = {
        "rounds": lambda rounds, way: str(len(rounds[way])),
        "submit to first step, s": spread("start_s", ".1f"),
        "to next step, s": spread("again_s", ".1f"),
        "to new step, s": spread("pause_s", ".1f"),
        "steps lost": spread("lost", ".0f"),
    }
    return of_rounds("each blow", found, columns, label=", ".join)


def main() -> None:
    """Measure and print."""
    parser = command("slurm_requeue", __doc__)
    parser.add_argument("--rounds", type=int, default=5, help="each with every blow")
    parser.add_argument("--folder", type=Path, help="for the cluster and the runs; kept")
    arguments = parser.parse_args()
    console, found = Console(width=140), Rounds[tuple[str, str], Measure]()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="avsync-requeue-"))
    with Cluster(ClusterSettings(folder=folder / "cluster", nodes=6, accounting=False)) as cluster:
        os.environ.update(cluster.environment | {"PYTHONPATH": os.pathsep.join(["", str(Path.cwd())])[1:]})
        for number in range(arguments.rounds):
            (folder / f"round-{number}").mkdir(parents=True)
            for name, who, one in one_round(cluster, folder / f"round-{number}"):
                found.add((name, who), one)
                console.print(f"round {number + 1}: {name}, {who}: {one}", highlight=False, soft_wrap=True)
    console.print(table(found).rich())


if __name__ == "__main__":
    main()

"""`python -m slurm.demo [FOLDER]`: a run that survives, on a real cluster of this machine, before your eyes.

Cluster up; scenes; pack as an array job; train on two nodes; preempt it twice; the receipt. Only commands that a user
would type, and SLURM's own.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sharding.base.files import read_json
from sharding.errors import AvsyncError
from slurm.cluster import Cluster, ClusterSettings

STEPS = 60
PREEMPTED_AT = (12, 30)
"""Steps of the run."""
PACK = ("--fps", "15", "--size", "56", "--sample-rate", "16000", "--min-clip-s", "6", "--sources-per-shard", "8")
TRAIN = (
    "--preset",
    "small",
    "--steps",
    str(STEPS),
    "--batch",
    "8",
    "--optim.warmup-steps",
    "10",
    "--validate-every",
    "30",
    "--validate-clips",
    "8",
    "--runtime.log-every",
    "2",
    "--runtime.workers",
    "1",
)
LIMIT_S = 600


@dataclass(frozen=True, slots=True)
class _Progress:
    """Of RUN/progress.json."""

    step: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Outcome:
    """Of a job's outcome.json."""

    end: str
    reason: str
    log_tail: str


def main(folder: Path) -> None:
    """Raises AvsyncError, CalledProcessError."""
    shutil.rmtree(folder, ignore_errors=True)
    scenes, dataset, run = folder / "scenes", folder / "dataset", folder / "run"
    with _cluster() as cluster:
        demo = ClusterDemo(cluster)
        demo.say("1 of 5: videos whose sound sources are known")
        demo.avsync("scenes", scenes, "--count", "48", "--seconds", "8")
        demo.say("2 of 5: pack them as an array job, and join what it packed")
        demo.avsync("submit", "pack", scenes / "scenes.csv", dataset, *PACK, "--cluster", "test", "--array", "3")
        demo.wait(dataset, "pack-merge")
        demo.say("3 of 5: train on two nodes")
        demo.avsync("submit", "train", dataset, run, *TRAIN, "--cluster", "test", "--nodes", "2")
        for number, step in enumerate(PREEMPTED_AT, 1):
            demo.reach(run, step)
            demo.say(f"4 of 5: a more important job takes the nodes; preemption {number} of {len(PREEMPTED_AT)}")
            cluster.preempt(seconds=2)
        demo.wait(run, "train")
        demo.say("5 of 5: what became of it")
        demo.avsync("status", run)
        demo.avsync("show", run)
        print(f"\nThe log of all attempts: {run / 'jobs' / 'train' / 'log.txt'}\nOne curve: avsync board {run}")


@contextmanager
def _cluster() -> Iterator[Cluster]:
    """In a short-named folder, for the sockets in it."""
    with (
        tempfile.TemporaryDirectory(prefix="avsync-cluster-") as folder,
        Cluster(ClusterSettings(folder=Path(folder), accounting=False)) as cluster,
    ):
        yield cluster


class ClusterDemo:
    """Types the commands, and shows them."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster, self._began = cluster, time.monotonic()

    def say(self, text: str) -> None:
        print(f"\n[{time.monotonic() - self._began:3.0f} s] {text}", flush=True)

    def avsync(self, *words: str | Path) -> None:
        """Run a command in the cluster's environment. Raises CalledProcessError."""
        typed = [str(word) for word in words]
        print("$ avsync " + " ".join(typed), flush=True)
        subprocess.run([sys.executable, "-m", "launch", *typed], env=self._cluster.environment, check=True)

    def reach(self, run: Path, step: int) -> None:
        """Wait until the run has done so many steps."""
        path = run / "progress.json"
        self._until(lambda: path.exists() and read_json(path, _Progress).step >= step, run)

    def wait(self, target: Path, kind: str) -> None:
        """Wait for the end of a job. Raises AvsyncError when it did not end well."""
        path = target / "jobs" / kind / "outcome.json"
        self._until(path.exists, target)
        outcome = read_json(path, _Outcome)
        if outcome.end != "done":
            raise AvsyncError(f"{target}: {outcome.reason}\n{outcome.log_tail}")

    def _until(self, true: Callable[[], bool], of: Path) -> None:
        end = time.monotonic() + LIMIT_S
        while not true():
            if time.monotonic() > end:
                raise AvsyncError(f"{of} did not get there in {LIMIT_S} s\n{self._cluster.logs()}")
            time.sleep(0.2)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else "cluster-demo").absolute())
    except AvsyncError as error:
        sys.exit(f"error: {error}")

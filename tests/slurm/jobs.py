"""Jobs of a real cluster in tests: queued as `avsync submit` queues them, watched through their folders."""

import atexit
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from launch.job.attempts import Attempt, read_attempts
from launch.job.own import make_own
from launch.job.paths import JobPaths
from launch.job.record import VERSION, JobRecord, Outcome, Queued, Resources
from launch.site.profile import ClusterProfile
from launch.submit.script import Piece, Waits, pieces, script
from launch.submit.snapshot import make_caches, take_snapshot
from sharding.base.files import OWN_FOLDER, PRIVATE, publish, read_json, write_json
from sharding.base.guarded import make_folder
from slurm.cluster import Cluster

ROOT = Path(__file__).parents[2]
TOY = Path(__file__).with_name("toy.py")
LIMIT_S = 300.0
"""Of every wait: far more than any should take, on a slow machine that others use, too."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A queued job."""

    cluster: Cluster
    paths: JobPaths
    ids: tuple[str, ...]

    @property
    def run(self) -> Path:
        return self.paths.target

    @property
    def id(self) -> str:
        return self.ids[0]

    @property
    def log(self) -> str:
        return self.paths.log.read_text() if self.paths.log.exists() else ""

    @property
    def step(self) -> int:
        """That progress.json tells; -1: nothing yet."""
        try:
            return json.loads((self.run / "progress.json").read_text())["step"]
        except (OSError, ValueError):
            return -1

    @property
    def saved(self) -> int:
        found = (self.run / "checkpoints").glob("*")
        return max((int(path.name) for path in found if path.name.isdecimal()), default=0)

    def attempts(self, share: int | None = None) -> list[Attempt]:
        return read_attempts(self.paths.task(share).attempts)

    def ends(self, share: int | None = None) -> list[str]:
        """How its attempts ended."""
        return [str(one.ended.what) if one.ended else "" for one in self.attempts(share)]

    def last(self) -> str:
        """Why the last ended attempt did."""
        return [one.ended.detail for one in self.attempts() if one.ended][-1]

    def until(self, true: Callable[[], object], what: str, limit_s: float = LIMIT_S) -> None:
        """Wait for something; tell the log when it does not come."""
        end = time.monotonic() + limit_s
        while not true():
            assert time.monotonic() < end, f"{self.run.name}: no {what} after {limit_s} s\n{self.log}\n{self.events()}"
            time.sleep(0.05)

    def events(self) -> str:
        return "\n".join(f"{event.time} {event.what}" for event in self.cluster.events() if event.job in self.ids)

    def until_step(self, step: int) -> None:
        self.until(lambda: self.step >= step, f"step {step}")

    def until_begun(self, attempts: int, share: int | None = None) -> None:
        self.until(lambda: len(self.attempts(share)) >= attempts, f"attempt {attempts}")

    def outcome(self, share: int | None = None) -> Outcome:
        """As soon as it is there."""
        path = self.paths.task(share).outcome
        self.until(path.exists, "outcome")
        return read_json(path, Outcome)

    def state(self, *wanted: str) -> str:
        """In SLURM, as soon as it is one of those `wanted`."""
        return self.cluster.wait_for(self.id, wanted, timeout=LIMIT_S)["JobState"]

    def trained(self, rank: int = 0) -> list[int]:
        """Every step that a rank has done, in order."""
        path = self.run / f"steps-{rank}.txt"
        return [int(line.split()[0]) for line in path.read_text().splitlines()] if path.exists() else []

    def ranks(self, rank: int = 0) -> list[dict[str, str]]:
        """What each attempt's rank has found in its environment."""
        return [json.loads(line) for line in (self.run / f"ranks-{rank}.txt").read_text().splitlines()]


def processes(*words: str) -> list[int]:
    """Processes whose command line has all these words, as parts."""
    found = list[int]()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                line = (entry / "cmdline").read_bytes().decode(errors="replace")
                found += [int(entry.name)] if all(word in line for word in words) else []
    return found


def profile(**settings: Any) -> ClusterProfile:
    """Of the test cluster."""
    return ClusterProfile(**{"name": "test", "time": "1 h", "exclude_after": 0} | settings)


def asked(**wanted: Any) -> Resources:
    """Two nodes with a task each."""
    usual = Resources(
        partition="low", account="", qos="", constraint="", exclude=(), nodes=2, tasks_per_node=1, gpus_per_node=0,
        cpus_per_task=1, memory_mb=400, time_s=600,
    )  # fmt: skip
    return replace(usual, **wanted)


def record(
    target: Path, argv: Sequence[str], site: ClusterProfile, resources: Resources, kind: str = "train", array: int = 0
) -> JobRecord:
    """Of a job that trains a run, or packs a dataset, in `target`."""
    trains = kind == "train"
    return JobRecord(
        version=VERSION, kind=kind, name=target.name, words=(), argv=tuple(argv), run=str(target) if trains else "",
        dataset="" if trains else str(target), profile=site, resources=resources, array=array, commit="",
        directory=str(ROOT), submitted=time.time(),
    )  # fmt: skip


def order(run: Path, orders: dict[str, Any]) -> None:
    """What the toy trainer of `run` does from its next start on; whole at every moment: it may start just now."""
    run.mkdir(parents=True, exist_ok=True)
    with publish(run / "toy.json") as file:
        file.write(json.dumps(orders).encode())


def queue(
    cluster: Cluster, one: JobRecord, target: Path, edit: Callable[[str], str] = str, sbatch: Sequence[str] = ()
) -> Job:
    """Write a job's folder and queue its script, changed by `edit`; with its successors. `sbatch`: a site's options."""
    paths = JobPaths.of(target, one.kind)
    make_own(paths)
    make_folder(paths.logs, mode=OWN_FOLDER)
    shutil.copytree(_snapshot(), paths.code)
    write_json(paths.record, one, mode=PRIVATE)
    ids = list[str]()
    for piece in pieces(one.array, 1000) if one.array else [Piece()] * (1 + one.profile.successors):
        path = paths.script(piece.number, piece.of)
        path.touch(PRIVATE)
        path.write_text(edit(script(one, paths, piece, Waits(over=ids[-1] if ids and not one.array else ""))))
        ids.append(cluster.submit(*sbatch, str(path)))
    write_json(paths.queued, Queued(ids=tuple(ids)))
    return Job(cluster=cluster, paths=paths, ids=tuple(ids))


@cache
def _snapshot() -> Path:
    """The code of all jobs, once."""
    folder = Path(tempfile.mkdtemp(prefix="avsync-code-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    take_snapshot(folder / "code")
    make_caches(folder / "code")
    return folder / "code"


def toy(
    cluster: Cluster, run: Path, steps: int = 40, *, site: ClusterProfile | None = None,
    edit: Callable[[str], str] = str, orders: dict[str, Any] | None = None, sbatch: Sequence[str] = (), **wanted: Any,
) -> Job:  # fmt: skip
    """Queue the toy trainer; `orders` go to its toy.json."""
    order(run, orders or {})
    one = record(run, (sys.executable, str(TOY), str(run), str(steps)), site or profile(), asked(**wanted))
    return queue(cluster, one, run, edit, sbatch)

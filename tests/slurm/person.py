"""Somebody who types at a login node of a real cluster, in a folder of their own."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from jobs import LIMIT_S

from launch.job.paths import JobPaths
from launch.job.record import Queued
from sharding.base.files import read_json
from slurm.cluster import Cluster

ROOT = Path(__file__).parents[2]
SITE = 'partition = "low"\ncpus_per_gpu = 1\ntime = "5 min"\nsignal_lead = "1 min"\nretries = 1\n'


@dataclass(frozen=True, kw_only=True)
class Person:
    """Their cluster, their folder, and the code that they call."""

    cluster: Cluster
    folder: Path
    code: Path = ROOT

    def start(self, *words: str | Path) -> subprocess.Popen[str]:
        environment = self.cluster.environment | {"PYTHONPATH": str(self.code)}
        return subprocess.Popen(
            [sys.executable, "-m", "launch", *map(str, words)], cwd=self.folder, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def types(self, *words: str | Path) -> str:
        """What is printed."""
        process = self.start(*words)
        out, err = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 0, out + err
        return out

    def is_refused(self, *words: str | Path) -> str:
        """What the error says."""
        process = self.start(*words)
        out, err = process.communicate(timeout=LIMIT_S)
        assert process.returncode in (1, 2), out + err
        assert "Traceback" not in err
        return err

    def profile(self, text: str) -> str:
        """A profile of one's own; returns what to type for it."""
        (self.folder / "site.toml").write_text(text)
        return "./site.toml"

    def queue(self) -> list[str]:
        """Numbers of all jobs that wait or run."""
        return self.cluster.run("squeue", "--noheader", "--format=%F").split()

    def ends(self, target: str | Path, kind: str, *states: str) -> JobPaths:
        """Wait for the end of the last job of that kind, in one of these states."""
        paths = JobPaths.of(self.folder / target, kind)
        self.cluster.wait_for(read_json(paths.queued, Queued).ids[-1], set(states or ("COMPLETED",)), timeout=LIMIT_S)
        return paths

"""Starts what a loading benchmark runs: each run in a process of its own, each peer in an environment of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from rich.console import Console

from benchmarks.load_catalog import Entry
from benchmarks.load_data import digest
from benchmarks.load_job import Job
from benchmarks.peers_install import PEERS, ROOT, Place, home

PREPARE_S = 1200
CACHE = Path.home() / ".cache" / "avsync-bench"
NO_ENVIRONMENT: Mapping[str, str] = {}


class Child:
    """A run under way."""

    def __init__(
        self, place: Place, module: str, *arguments: str, environment: Mapping[str, str] = NO_ENVIRONMENT
    ) -> None:
        self._process = subprocess.Popen(
            [place.python, "-m", f"benchmarks.{module}", *arguments], cwd=ROOT, env={**os.environ, **environment},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def seen(self, limit_s: float) -> tuple[str, str]:
        """What it has seen, as JSON (empty when it had nothing to tell), and what was the matter with it."""
        try:
            out, err = self._process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            return "", f"not done after {limit_s:.0f} s"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)  # and workers it has left behind
            self._process.wait()
        found = [line.removeprefix("seen ") for line in out.splitlines() if line.startswith("seen ")]
        if found or not self._process.returncode:
            return found[-1] if found else "", ""
        lines = [line for line in err.strip().splitlines() if line.strip()] or ["it said nothing"]
        return "", lines[-1]


def places(entries: Mapping[str, Entry], folder: Path, console: Console) -> dict[str, Place]:
    """Way -> its Python; ways whose peer does not install are left out, with a line."""
    own, homes = Place(python=sys.executable), dict[str, Place]()
    for peer in sorted({entry.peer for entry in entries.values()} - {""}):
        console.print(f"environment of {peer}")
        homes[peer] = home(folder, PEERS[peer])
        if homes[peer].trouble:
            console.print(f"left out: {peer} does not install here: {homes[peer].trouble}")
    found = {name: homes.get(entry.peer, own) for name, entry in entries.items()}
    return {name: place for name, place in found.items() if not place.trouble}


def prepared(
    jobs: Mapping[str, Job], entries: Mapping[str, Entry], found: Mapping[str, Place], console: Console
) -> dict[str, Job]:
    """Jobs whose own copies are there; those that could not be made are left out, with a line."""
    ready = {}
    for name, job in jobs.items():
        stamp, wanted = job.copy.with_suffix(".complete"), digest(job)
        if entries[name].prepare and not (stamp.is_file() and stamp.read_text() == wanted):
            console.print(f"copy for {name}")
            stamp.unlink(missing_ok=True)
            copying = Child(found[name], "load_child", "--prepare", entries[name].prepare, job.text())
            _, trouble = copying.seen(PREPARE_S)
            if trouble:
                console.print(f"left out: {name}; its copy could not be made: {trouble}")
                continue
            stamp.write_text(wanted)
        ready[name] = job
    return ready


def jobs_of(
    entries: Mapping[str, Entry], made: Mapping[str, tuple[Path, list[int]]], videos: Path, folder: Path
) -> dict[str, Job]:
    """What each way is told: which dataset, which clips, where its copy lies."""
    return {
        name: Job(
            way=name, dataset=made[entry.stored][0], clips=made[entry.stored][1], videos=videos,
            copy=folder / "copies" / entry.copy,
        )
        for name, entry in entries.items()
    }  # fmt: skip


def only(entries: Mapping[str, Entry], words: Sequence[str]) -> dict[str, Entry]:
    """Those whose names have one of the words."""
    return {name: entry for name, entry in entries.items() if any(word in name for word in words)}

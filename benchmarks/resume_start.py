"""Starts a way, fresh or resumed, in processes of its own: one for each that shares the batches."""

import socket
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.load_job import BATCH, Job, warm
from benchmarks.load_start import NO_ENVIRONMENT, Child
from benchmarks.peers_install import Place
from benchmarks.resume_catalog import STARTERS
from benchmarks.resume_child import Begin, Went
from benchmarks.resume_table import Failed

SHARE = 0.6
"""Of a pass that was done."""
RUN_S = 240


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Subject:
    """A way with so many clips."""

    job: Job
    place: Place
    clips: int
    state: Path
    """Where its state lies."""

    def __str__(self) -> str:
        return f"{self.job.way}, {self.clips:,} clips"

    @property
    def batches(self) -> int:
        """Of a pass."""
        return self.clips // BATCH

    @property
    def done(self) -> int:
        """Batches before the place where it goes on."""
        return int(self.batches * SHARE)

    def fresh(self) -> float:
        """Seconds to the first batch of a pass."""
        return self._start(Begin(job=self.job, until=1, state=self.state))[0].first_s

    def resumed(self) -> float:
        """Seconds to the first batch from there on."""
        return self._start(Begin(job=self.job, done=self.done, until=self.done + 1, state=self.state))[0].first_s

    def save(self) -> int:
        """Get there and save the state; its bytes. Ours with more clips than are taken in a minute: work it out."""
        begin = Begin(job=self.job, until=self.done, state=self.state, save=True, leap=not self.job.clips)
        return self._start(begin)[0].state_bytes

    def go(self, *, done: int, until: int, workers: int = 1, ranks: int = 1, save: bool = False) -> list[list[str]]:
        """Keys of the batches from `done` on, those of all processes joined. Raises Failed."""
        job = msgspec.structs.replace(self.job, workers=workers, ranks=ranks)
        went = self._start(Begin(job=job, done=done, until=until, state=self.state, save=save))
        return [[key for keys in parts for key in keys] for parts in zip(*(one.keys for one in went), strict=False)]

    def _start(self, begin: Begin) -> list[Went]:
        ranks, port, children = begin.job.ranks, free_port(), list[Child]()
        if begin.job.clips:
            warm(STARTERS[begin.job.way].files(begin.job))
        for rank in range(ranks):
            mine = msgspec.structs.replace(begin, job=msgspec.structs.replace(begin.job, rank=rank, endless=False))
            environment = surroundings(rank, ranks, port) if ranks > 1 else NO_ENVIRONMENT
            children.append(Child(self.place, "resume_child", mine.text(), environment=environment))
        said = [child.seen(RUN_S) for child in children]
        if troubles := [trouble for _, trouble in said if trouble]:
            raise Failed(troubles[0])
        return [msgspec.json.decode(text, type=Went) for text, _ in said]


def surroundings(rank: int, ranks: int, port: int) -> dict[str, str]:
    """What a launcher tells each of several processes on one machine, in all the words that are read."""
    ranked = dict.fromkeys(("RANK", "LOCAL_RANK", "GLOBAL_RANK"), str(rank))
    sized = dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), str(ranks))
    return {**ranked, **sized, "NNODES": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}


def free_port() -> int:
    """On this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

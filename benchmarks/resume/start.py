"""Starts of one way, fresh or resumed, in processes of its own: one for each that shares the batches."""

import json
import pickle
import socket
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from benchmarks.base.runner import NO_ENVIRONMENT, Child, warm
from benchmarks.load.catalog import ENTRIES, Entry, named
from benchmarks.load.job import BATCH, Job

OURS = "avsync"
STARTERS = {
    OURS: Entry(source="resume.ways:Ours", stored="raw"),
    "mosaic": ENTRIES["mosaic raw"],
    "energon": ENTRIES["energon raw"],
    "litdata": ENTRIES["litdata raw"],
    "StatefulDataLoader": Entry(source="peers.torchdata:Stateful", stored="raw", peer="torchdata"),
    "webdataset, skipping": ENTRIES["webdataset raw"],
}
"""Who can go on with a pass that was stopped."""
STOPPED_AT = 0.6
"""Of a pass that was done."""
RUN_S = 240


@dataclass(frozen=True, kw_only=True, slots=True)
class Begin:
    """What to do."""

    job: Job
    done: int = 0
    """Batches that were taken before; their state lies in `state`."""
    until: int
    """The batch, counted from the start of the pass, before which to stop."""
    state: Path
    """Where the state lies."""
    save: bool = False
    """Write it at the end."""
    leap: bool = False
    """Work out the state without taking the batches before it: who takes a million clips?"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Went:
    """How it went."""

    first_s: float = 0
    """From construction to the first batch, imports done."""
    keys: list[list[str]]
    """Of each batch."""
    state_bytes: int = 0


def start(begin: Begin) -> Went:
    """Start, take batches, save; in a process of its own."""
    torch.set_num_threads(1)
    opened: Any = named(STARTERS[begin.job.way].source)
    if begin.leap:
        return Went(keys=[], state_bytes=saved(opened(begin.job).leap(begin.until), begin.state))
    # a peer's state is what it gave; this benchmark wrote it a moment ago
    state = pickle.loads(begin.state.read_bytes()) if begin.done else None
    started = time.perf_counter()
    source = opened(begin.job)
    if begin.done:
        source.restore(state, begin.done)
    batches = iter(source)
    keys = [list(next(batches).keys)]
    first_s = time.perf_counter() - started
    while begin.done + len(keys) < begin.until and (batch := next(batches, None)) is not None:
        keys.append(list(batch.keys))
    state_bytes = saved(source.state(), begin.state) if begin.save else 0
    batches.close()
    return Went(first_s=first_s, keys=keys, state_bytes=state_bytes)


def saved(state: Any, path: Path) -> int:
    """Write it; bytes to save: as JSON where it can be, for that is smallest to read; else pickled."""
    path.write_bytes(pickle.dumps(state))
    if isinstance(state, bytes):
        return len(state)
    try:
        return len(json.dumps(state))
    except TypeError:
        return path.stat().st_size


@dataclass(frozen=True, kw_only=True, slots=True)
class Times:
    """Of one round."""

    fresh_s: float
    """To the first batch of a pass."""
    resumed_s: float
    """... from where it was stopped."""
    state_bytes: int

    @property
    def ratio(self) -> float:
        """Within the round."""
        return self.resumed_s / self.fresh_s


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """A way with so many clips."""

    job: Job
    python: str
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
        return int(self.batches * STOPPED_AT)

    def times(self) -> Times:
        """A fresh start and a resumed one. Raises Failed."""
        state_bytes = self.state_bytes
        fresh = self._start(Begin(job=self.job, until=1, state=self.state))[0]
        resumed = self._start(Begin(job=self.job, done=self.done, until=self.done + 1, state=self.state))[0]
        return Times(fresh_s=fresh.first_s, resumed_s=resumed.first_s, state_bytes=state_bytes)

    @cached_property
    def state_bytes(self) -> int:
        """Get there and save the state; its bytes. Ours with more clips than are taken in a minute: work it out."""
        begin = Begin(job=self.job, until=self.done, state=self.state, save=True, leap=not self.job.clips)
        return self._start(begin)[0].state_bytes

    def go(self, *, done: int, until: int, workers: int = 1, ranks: int = 1, save: bool = False) -> list[list[str]]:
        """Keys of the batches from `done` on, those of all processes joined. Raises Failed."""
        job = replace(self.job, workers=workers, ranks=ranks)
        went = self._start(Begin(job=job, done=done, until=until, state=self.state, save=save))
        return [[key for keys in parts for key in keys] for parts in zip(*(one.keys for one in went), strict=False)]

    def _start(self, begin: Begin) -> list[Went]:
        ranks, port = begin.job.ranks, free_port()
        if begin.job.clips:
            warm(STARTERS[begin.job.way].files(begin.job))
        with ExitStack() as stack:
            children = list[Child]()
            for rank in range(ranks):
                environment = surroundings(rank, ranks, port) if ranks > 1 else NO_ENVIRONMENT
                children.append(stack.enter_context(closing(Child(self.python, environment))))
                children[-1].send(start, replace(begin, job=replace(begin.job, rank=rank, endless=False)))
            return [child.answer(RUN_S) for child in children]


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

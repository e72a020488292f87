"""Our way of going on: what a resumed training does before its first batch, without a network.

The clips of a step follow from the step's number alone; the rest proves that they are the right ones.
"""

import sys
from collections.abc import Iterator
from itertools import count

import numpy as np

from avsync.config import PairConfig, ViewConfig
from avsync.data.order import Digest, Draw, Order
from avsync.loading.feed import Feed
from avsync.loading.options import LoaderOptions
from avsync.run.state import Best, Origin, State
from benchmarks.load.job import BATCH, Delivered, Job
from sharding.base.files import from_json, to_json


class Ours:
    """Whole clips of 4 s: with no room for another window of the same clip the law is the cyclic one."""

    def __init__(self, job: Job) -> None:
        self.job, self.first = job, 0
        self.feed = Feed.open(job.dataset, "train", PairConfig(law="cyclic"), ViewConfig())
        self.data = self.feed.fingerprint().joined()
        clips = np.asarray(job.clips) if job.clips else self.feed.clips
        self.order = Order(clips=clips, shards=self.feed.dataset.index.shard[clips], batch=BATCH, seed=0)
        self.digest = Digest()

    def __iter__(self) -> Iterator[Delivered]:
        # clips under many names (enlarge) are read, checked and left out: what their jsons say is not their name
        options = LoaderOptions(workers=self.job.workers, rank=self.job.rank, error_budget=sys.maxsize)
        with self.feed.loader(options) as loader:
            for batch in loader.batches(self.rows()):
                self.digest.add(self.order.step(self.digest.steps))
                yield Delivered(batch.keys, batch.yuv, batch.audio)

    def rows(self) -> Iterator[list[Draw]]:
        """This process's rows, step by step."""
        for step in count(self.first):
            yield from self.feed.draws(self.order, step, self.job.rank, self.job.ranks)

    def state(self) -> bytes:
        """state.json as a checkpoint has it, with everything in it that there can be."""
        step, best = self.digest.steps, Best(step=self.digest.steps, accuracy=2 / 3, loss=2 / 3)
        origin, proof = Origin(seed=0, batch=BATCH, data=self.data), self.digest
        state = State(
            step=step, model="paper", digest=proof.state, skipped=0, mark=proof.mark, best=best, origin=origin
        )
        return to_json(state)

    def leap(self, done: int) -> bytes:
        """The state after so many batches, none of which was taken."""
        self.digest = Digest.after(self.order, done)
        return self.state()

    def restore(self, state: bytes, done: int) -> None:
        saved = from_json(state, State, "the state")
        self.digest = Digest.resumed(self.order, saved.step, saved.mark)
        if (self.digest.state, self.data) != (saved.digest, saved.origin and saved.origin.data):
            raise ValueError("other clips than those of the state")
        self.first = done

"""What is done to the jobs: blows, drawn one after the other from a seeded generator, and each mended after a while."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from benchmarks.soak.journal import Journal
from benchmarks.soak.look import Live, live_jobs
from benchmarks.soak.stage import Stage
from benchmarks.soak.work import Order
from launch.watch.status import Standing
from slurm.cluster import Cluster
from slurm.cluster.settings import ClusterError

Random = np.random.Generator


@dataclass(kw_only=True, slots=True)
class Gremlin:
    """Strikes, and remembers what is to be mended when."""

    blows: Sequence["Blow"]
    cluster: Cluster
    stage: Stage
    journal: Journal
    orders: list[Order]
    random: Random
    aside: ThreadPoolExecutor
    """For commands that wait: the next blow falls meanwhile."""
    pending: list["Mending"] = field(default_factory=list["Mending"])

    _striking: "Blow | None" = None

    def strike(self) -> None:
        """One blow, if there is anything that it can hit."""
        blow = self.blows[int(self.random.integers(len(self.blows)))]
        try:
            live = self._victims(blow)
            if blow.of and not live:
                return
            victim = live[int(self.random.integers(len(live)))] if blow.of else None
        except ClusterError:  # slurmctld is away
            return
        self._striking = blow
        self._mark(blow, victim)  # before: what it causes may be seen at once
        try:
            told = blow.strike(self, victim)
        except (ClusterError, OSError) as error:
            told = f"could not: {error}"
        self.note("gremlin", blow.name, victim, told)

    def _victims(self, blow: "Blow") -> list[Live]:
        if not blow.of:
            return []
        live = live_jobs(self.cluster, self.orders)
        return [one for one in live if (blow.of == "any" or one.running) and (not blow.arrays or one.task)]

    def _mark(self, blow: "Blow", victim: Live | None) -> None:
        struck = [victim.order] if victim else self._busy() if blow.everybody else []
        for order in struck:
            order.blows.append(blow.name)

    def _busy(self) -> list[Order]:
        """Those that have jobs, or are just being submitted; all while SLURM does not answer."""
        try:
            live = {one.order.name for one in live_jobs(self.cluster, self.orders)}
        except ClusterError:
            return self.orders
        return [order for order in self.orders if not order.accepted or order.name in live]

    def later(self, what: str, at_most_s: float, mend: Callable[[], object], victim: Live | None = None) -> None:
        """Mend it after a drawn time."""
        due = time.monotonic() + float(self.random.uniform(1, at_most_s))
        self.pending.append(Mending(what=what, due=due, mend=mend, victim=victim, blow=self._striking))

    def mend(self, *, everything: bool = False) -> None:
        """What is due, or all of it."""
        for mending in self._due(everything):
            self.pending.remove(mending)
            self._striking, told = mending.blow, ""
            try:
                mending.mend()
            except (ClusterError, OSError) as error:
                told = f"could not: {error}"
            if mending.blow:
                self._mark(mending.blow, mending.victim)  # it lasted until now: who was queued meanwhile is hit, too
            self.note("undo", mending.what, mending.victim, told)

    def _due(self, everything: bool) -> list["Mending"]:
        """While slurmctld is away nothing else can be mended: it comes first."""
        due = [one for one in self.pending if everything or one.due <= time.monotonic()]
        return (
            sorted(due, key=lambda one: not one.silences)
            if everything or not self.silenced
            else [one for one in due if one.silences]
        )

    @property
    def silenced(self) -> bool:
        """SLURM does not answer now: each question would take half a minute."""
        return any(one.silences for one in self.pending)

    def note(self, who: str, what: str, victim: Live | None, told: str) -> None:
        """Into the journal."""
        order = victim.order.name if victim else ""
        self.journal.note(who, what, order=order, job=victim.job if victim else "", detail=told)


@dataclass(frozen=True, kw_only=True, slots=True)
class Mending:
    """What puts an end to a blow."""

    what: str
    due: float
    mend: Callable[[], object]
    victim: Live | None
    blow: "Blow | None"

    @property
    def silences(self) -> bool:
        return self.blow is not None and self.blow.silences


@dataclass(frozen=True, kw_only=True, slots=True)
class Blow:
    """One kind of mischief."""

    name: str
    strike: Callable[..., str]
    """Given the gremlin and the victim; returns what to note."""
    of: str = "running"
    """Whom it hits: a running job, any, or (empty) nobody in particular."""
    arrays: bool = False
    """Tasks of arrays only."""
    excuses: frozenset[Standing] = frozenset()
    """How the job may stand after it, done apart, until somebody resubmits it."""
    fails: float = 0.0
    """How many attempts without a new checkpoint it may cost: with `retries` of them a job is given up rightly."""
    everybody: bool = False
    """It hits all orders."""
    silences: bool = False
    """Until it is mended SLURM does not answer."""

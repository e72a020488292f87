"""After the blows: all is mended, jobs get time, what ended badly is resubmitted; and each quiet moment is checked."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from avsync.run.paths import RunPaths
from avsync.run.receipt import read_receipts
from benchmarks.soak import checks, look
from benchmarks.soak.blows import again
from benchmarks.soak.checks import Finding
from benchmarks.soak.gremlin import Gremlin
from benchmarks.soak.stage import Account
from benchmarks.soak.work import STEPS, TRAIN, Order
from launch.submit.kinds import PACK
from launch.watch.status import Standing
from sharding.errors import AvsyncError
from slurm.cluster.settings import ClusterError

LOOK_S = 3.0
BOOKS_S = 8.0
"""sacct lags by seconds."""
REFUSALS = 4
"""So many refusals of a resubmission, or so many that led nowhere, and the order cannot be healed."""


SETTLE_S, HEAL_S = 600.0, 2400.0


@dataclass(kw_only=True, slots=True)
class Ending:
    """How the jobs of an order stood, for the table."""

    quiet: str = ""
    """When the blows were over."""
    last: str = ""
    slurm: str = ""
    attempts: int = 0


@dataclass(kw_only=True, slots=True)
class Reckoning:
    """What must be true in the end."""

    gremlin: Gremlin
    accounts: Sequence[Account]
    reference: Order
    """A chain, left alone."""
    straight: dict[int, Path]
    """Ranks -> a run that was left alone."""
    submit: Callable[[Order], bool]
    at_once: int
    findings: list[Finding] = field(default_factory=list[Finding])
    endings: dict[str, Ending] = field(default_factory=dict[str, Ending])
    known: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    """Name of a folder -> shapes that undisturbed work leaves there."""

    def remember(self) -> None:
        """What the undisturbed work has left, everywhere."""
        runs = set[str]().union(*(look.shape(run) for run in self.straight.values()))
        self.known = {"run": runs, "data": look.shape(self.reference.dataset)}
        for name in ("home", "tmp", "scratch"):
            self.known[name] = look.shape(self.gremlin.stage.folder / name)

    def reckon(self) -> None:
        """From the last blow to the last check."""
        self._wait_for_the_end()
        self.quiet()
        self.heal(HEAL_S)
        self._wait_for_the_end()
        self.final()

    def _wait_for_the_end(self) -> None:
        if not self.settle(SETTLE_S):
            live = look.live_jobs(self.gremlin.cluster, self.gremlin.orders)
            names = ", ".join(f"{one.name} ({one.state})" for one in live)
            self._found(
                [Finding(check="ends", order="", detail=f"still there {SETTLE_S:.0f} s after all was mended: {names}")]
            )

    def settle(self, limit_s: float) -> bool:
        """Mend everything, and wait until SLURM has no job of the orders; False: it still has."""
        ends = time.monotonic() + limit_s
        while True:
            self.gremlin.mend(everything=True)
            try:
                live = look.live_jobs(self.gremlin.cluster, self.gremlin.orders)
                self._wake(live)
            except ClusterError as error:
                self.gremlin.journal.note("heal", "SLURM does not answer", detail=str(error))
            else:
                if not live:
                    return True
            if time.monotonic() > ends:
                return False
            time.sleep(LOOK_S)

    def _wake(self, live: Sequence[look.Live]) -> None:
        cluster = self.gremlin.cluster
        for name in {one.name for one in live if one.state == "SUSPENDED"}:
            cluster.run("scontrol", "resume", name, check=False)
        for name in {one.name for one in live if one.state == "PENDING"}:  # held, where a node could not start it
            cluster.run("scontrol", "release", name, check=False)
        for node, state in cluster.node_states().items():
            if state.startswith(("down", "drain")):
                cluster.run("scontrol", "update", f"nodename={node}", "state=resume", check=False)

    def quiet(self) -> None:
        """Nothing runs: does all that is said of the orders agree with what was done to them?"""
        time.sleep(BOOKS_S)
        for order in self.gremlin.orders:
            live = look.live_jobs(self.gremlin.cluster, [order])
            if not order.accepted:
                self._found(checks.unasked(order.name, [one.name for one in live]))
                continue
            jobs = self._jobs(order)
            self.endings[order.name] = Ending(quiet=_told(jobs))
            self._found(checks.ends(order.name, jobs, order.blows[order.since :]))
            self._found(checks.stays_cancelled(order.name, jobs, order.cancelled))
            self._beside_slurm(order, jobs)
        self._found(checks.orphans(look.processes_by_account(self.accounts)))

    def _beside_slurm(self, order: Order, jobs: Sequence[look.Shown]) -> None:
        live = look.live_jobs(self.gremlin.cluster, [order])
        for job in jobs:
            states = [one.state for one in live if one.kind == job.kind]
            books = look.books(self.gremlin.cluster, job.ids)
            self._found(checks.queue_agrees(order.name, job, states, books))
            ending = self.endings.setdefault(order.name, Ending())
            ending.slurm = " ".join(dict.fromkeys([*ending.slurm.split(), *books.values()]))

    def _jobs(self, order: Order) -> list[look.Shown]:
        """In the order in which they run."""
        jobs, trouble = look.shown(order)
        if trouble:
            self._found([Finding(check="status", order=order.name, detail=trouble)])
        places = {kind: place for place, kind in enumerate(order.kinds)}
        return sorted(jobs, key=lambda job: places.get(job.kind, 0))

    def heal(self, limit_s: float) -> None:
        """Resubmit until every order is done."""
        ends, tries = time.monotonic() + limit_s, Counter[str]()
        left = list(self.gremlin.orders)
        while left and time.monotonic() < ends:
            live = look.live_jobs(self.gremlin.cluster, left)
            self._wake(live)
            busy = {one.order.name for one in live}
            for order in [one for one in left if one.name not in busy]:
                if len(busy) >= self.at_once:
                    break
                if self._is_healed(order, tries):
                    left.remove(order)
                else:
                    busy.add(order.name)
            time.sleep(LOOK_S)
        for order in left:
            detail = "; ".join(f"{job.kind} is {job.standing} ({job.why})" for job in self._jobs(order))
            self._found([Finding(check="healed", order=order.name, detail=f"not done after {limit_s:.0f} s: {detail}")])

    def _is_healed(self, order: Order, tries: Counter[str]) -> bool:
        """Nothing more is to be done; else something was."""
        if not order.accepted:
            jobs = list[look.Shown]()
            self.submit(order)
        else:
            jobs = self._jobs(order)
            open_ones = [job for job in jobs if job.standing is not Standing.DONE]
            if jobs and not open_ones:
                return True
            if open_ones:
                again(self.gremlin.journal, "heal", order, open_ones[0].kind)
        tries[order.name] += 1
        if tries[order.name] > REFUSALS + len(order.kinds):
            detail = "; ".join(f"{job.kind} is {job.standing} ({job.why})" for job in jobs) or "never accepted"
            self._found([Finding(check="healed", order=order.name, detail=f"it cannot be healed: {detail}")])
            return True
        return False

    def final(self) -> None:
        """All is done: is it as if nothing had happened?"""
        weights = {ranks: look.tensors(run) for ranks, run in self.straight.items()}
        curves = {ranks: look.curve(run) for ranks, run in self.straight.items()}
        whole = look.packed(self.reference.dataset)
        for order in self.gremlin.orders:
            jobs = self._jobs(order)
            ending = self.endings.setdefault(order.name, Ending())
            ending.last, ending.slurm, ending.attempts = _told(jobs), "", sum(len(job.attempts) for job in jobs)
            done = {job.kind: job for job in jobs if job.standing is Standing.DONE}
            name, ranks = order.name, order.recipe.ranks
            if TRAIN in done:
                self._found(self._receipts(order, len(done[TRAIN].attempts)))
                self._found(checks.curve_agrees(name, look.curve(order.run), curves[ranks]))
                self._found(checks.same("weights", name, look.tensors(order.run), weights[ranks]))
                self._found(checks.leftovers(name, order.run.name, look.shape(order.run), self.known["run"]))
            if PACK in done and all(job in done for job in order.kinds):
                self._found(checks.same("dataset", name, look.packed(order.dataset), whole))
                self._found(checks.leftovers(name, order.dataset.name, look.shape(order.dataset), self.known["data"]))
                verified = order.account.avsync("verify", str(order.dataset))
                if verified.returncode:
                    detail = f"exit {verified.returncode}: {verified.stdout[-400:]}"
                    self._found([Finding(check="verify", order=name, detail=detail)])
            self._beside_slurm(order, list(done.values()))
        self._left_behind()

    def _receipts(self, order: Order, attempts: int) -> list[Finding]:
        try:
            receipts = read_receipts(RunPaths(order.run))
        except AvsyncError as error:
            return [Finding(check="receipts", order=order.name, detail=str(error))]
        return checks.receipts_agree(order.name, receipts, attempts, STEPS)

    def _left_behind(self) -> None:
        self._found(checks.orphans(look.processes_by_account(self.accounts)))
        for name in ("home", "tmp", "scratch"):
            shape = look.shape(self.gremlin.stage.folder / name)
            self._found(checks.leftovers("", name, shape, self.known[name]))
        self._found(checks.leftovers("", "/dev/shm", look.of_accounts(Path("/dev/shm"), self.accounts), ()))

    def _found(self, findings: Sequence[Finding]) -> None:
        for one in findings:
            if one not in self.findings:
                self.findings.append(one)
                self.gremlin.journal.note("check", one.check, order=one.order, detail=one.detail)


def _told(jobs: Sequence[look.Shown]) -> str:
    return ", ".join(dict.fromkeys(str(job.standing) for job in jobs))

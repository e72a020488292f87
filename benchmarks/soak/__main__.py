"""Does avsync keep its word on a real SLURM while everything goes wrong? Not a timing.

    python -m benchmarks.soak --minutes 60 --seed 0        # as root; and as long again to heal and check
    python -m benchmarks.soak --minutes 3 --folder /tmp/soak

A cluster of its own, ordinary accounts of its own, a small disk of its own. The accounts submit runs, packings and
chains; a gremlin, drawn from the seed, strikes them (benchmarks/soak/blows.py). Then all is mended, what ended badly is
resubmitted, and everything must be as if nothing had happened. FOLDER/events.jsonl tells it again, though it cannot be
repeated exactly. Ends by 1 when anything disagrees.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.base.table import Table, command, wide_console
from benchmarks.soak import look
from benchmarks.soak.blows import BLOWS
from benchmarks.soak.gremlin import Gremlin
from benchmarks.soak.heal import Ending, Reckoning
from benchmarks.soak.journal import Journal, told
from benchmarks.soak.stage import Account, Stage, enter
from benchmarks.soak.work import BY_NAME, PROFILE, RECIPES, Order
from sharding.errors import AvsyncError
from sharding.scenes.config import SceneConfig
from sharding.scenes.generate import generate
from slurm.cluster import Cluster, ClusterSettings
from slurm.cluster.settings import ClusterError

LEFT_ALONE_S = 900.0
AROUND = 60
"""The last events told beside findings."""
TICK_S = 0.5
REFUSED_S = 15.0
"""So long an order that was refused keeps its place among those in the queue."""
OF_THE_DISK = "lies on a disk that other machines may not see"
"""A warning that is always there, of a folder below /tmp."""


ALONE = {"900": "chain", "901": "two"}
"""Names and recipes of what nobody disturbs."""


@dataclass(kw_only=True, slots=True)
class Soak:
    """All of it."""

    options: argparse.Namespace
    stage: Stage
    journal: Journal
    cluster: Cluster
    random: np.random.Generator
    accounts: list[Account]
    aside: ThreadPoolExecutor
    """For commands that take their time."""
    asked: set[str] = field(default_factory=set[str])
    """Orders that are just being submitted."""

    def run(self) -> Reckoning:
        """From the first submission to the last check."""
        gremlin = Gremlin(
            blows=BLOWS,
            cluster=self.cluster,
            stage=self.stage,
            journal=self.journal,
            orders=[],
            random=self.random,
            aside=self.aside,
        )
        chain, two = (
            Order(name=name, account=self.accounts[0], recipe=BY_NAME[recipe]) for name, recipe in ALONE.items()
        )
        reckoning = Reckoning(
            gremlin=gremlin,
            accounts=self.accounts,
            reference=chain,
            straight={1: chain.run, 2: two.run},
            submit=lambda order: self.submit(order, chain.dataset),
            at_once=self.options.jobs,
        )
        for order in (chain, two):
            self.left_alone(order, chain.dataset)
        reckoning.remember()
        self.blows(gremlin, chain.dataset)
        self.aside.shutdown()
        reckoning.reckon()
        return reckoning

    def submit(self, order: Order, packed: Path) -> bool:
        """As its account; noted."""
        done = order.account.avsync(*order.recipe.words(order, self.stage, packed))
        order.accepted = done.returncode == 0
        said = "\n".join(line for line in done.stdout.splitlines() if OF_THE_DISK not in line)
        detail = f"{order.recipe.name} of {order.account.name}, exit {done.returncode}: {said}"
        self.journal.note("work", "avsync submit said", order=order.name, detail=detail)
        return order.accepted

    def left_alone(self, order: Order, packed: Path) -> None:
        """What the others are held against. Raises ClusterError when not even that is done."""
        self.submit(order, packed)
        ends = time.monotonic() + LEFT_ALONE_S
        while look.live_jobs(self.cluster, [order]) and time.monotonic() < ends:
            time.sleep(1)
        jobs, trouble = look.shown(order)
        if trouble or not jobs or any(job.standing != "done" for job in jobs):
            raise ClusterError(f"what nobody disturbed was not done: {jobs} {trouble}")

    def blows(self, gremlin: Gremlin, packed: Path) -> None:
        """Submit, strike and mend until the time is over."""
        ends = time.monotonic() + self.options.minutes * 60
        strikes = time.monotonic()
        while time.monotonic() < ends:
            gremlin.mend()
            if gremlin.silenced:
                time.sleep(TICK_S)
                continue
            if time.monotonic() > strikes:
                gremlin.strike()
                strikes = time.monotonic() + float(self.random.exponential(self.options.every))
            self.order_more(gremlin.orders, packed)
            time.sleep(TICK_S)
        self.journal.note("heal", "the blows are over")

    def order_more(self, orders: list[Order], packed: Path) -> None:
        """Keep the cluster busy, and no busier than this machine can bear."""
        try:
            busy = {one.order.name for one in look.live_jobs(self.cluster, orders)}
        except ClusterError:  # slurmctld is away
            return
        if len(busy | self.asked) >= self.options.jobs:
            return
        recipe = RECIPES[int(self.random.choice(len(RECIPES), p=[recipe.share for recipe in RECIPES]))]
        account = self.accounts[int(self.random.integers(len(self.accounts)))]
        order = Order(name=f"{len(orders):03d}", account=account, recipe=recipe)
        orders.append(order)
        self.asked.add(order.name)

        def work() -> None:
            if not self.submit(order, packed):
                time.sleep(REFUSED_S)
            self.asked.discard(order.name)

        self.aside.submit(work)


def table(reckoning: Reckoning) -> Table:
    """A row for each order."""
    wrong = Counter(finding.order for finding in reckoning.findings)
    columns = (
        "order",
        "recipe",
        "account",
        "blows",
        "resubmitted",
        "attempts",
        "quiet",
        "in the end",
        "SLURM",
        "findings",
    )
    shown = Table("what was done to each order, and what came of it", columns)
    for order in reckoning.gremlin.orders:
        ending = reckoning.endings.get(order.name, Ending())
        blows = ", ".join(dict.fromkeys(order.blows)) or "none"
        attempts, slurm = ending.attempts, ending.slurm
        shown.add(
            order.name, order.recipe.name, order.account.name, blows, order.resubmitted, attempts, ending.quiet,
            ending.last, slurm, wrong[order.name] or "none",
        )  # fmt: skip
    return shown


def findings(reckoning: Reckoning) -> list[str]:
    """Those of each order, with what happened to it."""
    lines = list[str]()
    for order in dict.fromkeys(finding.order for finding in reckoning.findings):
        lines += ["", f"== {f'order {order}' if order else 'nobody in particular'}"]
        lines += [f"FINDING {one.check}: {one.detail}" for one in reckoning.findings if one.order == order]
        around = [line for line in reckoning.gremlin.journal.around(order) if line.who != "check"]
        lines += [f"    {told(line)}" for line in around[-AROUND:]]
    return lines


def main() -> int:
    """Strike, heal, check, print."""
    parser = command("soak", __doc__)
    parser.add_argument("--minutes", type=float, default=60, help="of blows (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn (%(default)s)")
    parser.add_argument("--accounts", type=int, default=2, help="that submit (%(default)s)")
    parser.add_argument("--jobs", type=int, default=3, help="orders in the queue at a time (%(default)s)")
    parser.add_argument("--every", type=float, default=9, help="mean seconds between blows (%(default)s)")
    parser.add_argument("--folder", type=Path, help="new, for all that it writes; kept")
    options = parser.parse_args()
    try:
        enter()
        folder: Path = options.folder or Path(tempfile.mkdtemp(prefix="avsync-soak-"))
        stage = Stage(folder=folder.absolute())
        stage.set_up(options.minutes)
        generate(stage.scenes, SceneConfig(count=40, seconds=8, size=56))
        stage.profile.write_text(PROFILE.format(scratch=stage.scratch))
        with Cluster(ClusterSettings(folder=stage.folder / "cluster", nodes=3)) as cluster:
            accounts = stage.accounts([f"soak{number}" for number in range(options.accounts)], cluster.environment)
            with ThreadPoolExecutor(4) as aside:
                soak = Soak(
                    options=options,
                    stage=stage,
                    journal=Journal(path=stage.folder / "events.jsonl"),
                    cluster=cluster,
                    random=np.random.default_rng(options.seed),
                    accounts=accounts,
                    aside=aside,
                )
                try:
                    reckoning = soak.run()
                finally:
                    keep(stage)
    except AvsyncError as error:
        print(f"benchmarks.soak: {error}", file=sys.stderr)
        return 2
    console = wide_console()
    console.print(table(reckoning).rich())
    print("\n".join(findings(reckoning)))
    print(f"{len(reckoning.gremlin.orders)} orders, {len(reckoning.findings)} findings; all of it is in {stage.folder}")
    return 1 if reckoning.findings else 0


def keep(stage: Stage) -> None:
    """The small disk goes with this process; copy it, without the snapshots of the code."""
    shutil.copytree(stage.disk, stage.folder / "kept", symlinks=True, ignore=shutil.ignore_patterns("code", "filler"))


if __name__ == "__main__":
    sys.exit(main())

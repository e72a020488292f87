"""What the accounts submit: runs on one rank and on two, packings as arrays, chains; each is an order."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.soak.stage import Account, Stage
from launch.submit.kinds import MERGE, PACK

STEPS = 120
"""Half a minute on two cores that do nothing else: long enough to be struck."""
PACKING = "--fps 15 --size 56 --sample-rate 16000 --min-clip-s 6 --sources-per-shard 4".split()
TRAINING = (
    "--preset small --batch 2 --optim.warmup-steps 1 --validate-every 0 --runtime.workers 1 --runtime.log-every 1 "
    f"--runtime.device cpu --runtime.checkpoint-every 30 --steps {STEPS}"
).split()
EVALUATION = "--device cpu --checkpoint last".split()
TRAIN, EVALUATE = "train", "evaluate"

PROFILE = """\
partition = "low"
time = "15 min"
signal_lead = "20 s"
cpus_per_gpu = 1
heartbeat = "4 min"
retries = 3
scratch = "{scratch}/$USER"

[environment]
OMP_NUM_THREADS = "1"

[train]
memory = "900 MB"

[evaluate]
memory = "900 MB"

[pack]
memory = "600 MB"
cpus_per_task = 1
array = 3
"""
"""Of the soak's cluster."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """A way to submit."""

    name: str
    share: float
    """Of all orders."""
    kinds: tuple[str, ...]
    """Of its jobs, in the order in which they run."""
    ranks: int = 1
    """Of its training."""

    def words(self, order: "Order", stage: Stage, packed: Path) -> list[str]:
        """Behind `avsync`; packed: a dataset for who does not pack."""
        dataset = order.dataset if PACK in self.kinds else packed
        commands = {
            PACK: [PACK, str(stage.scenes / "scenes.csv"), str(dataset), *PACKING],
            TRAIN: [TRAIN, str(dataset), str(order.run), *TRAINING, "--nodes", str(self.ranks)],
            EVALUATE: [EVALUATE, str(order.run), str(dataset), *EVALUATION],
        }
        links = [commands[kind] for kind in self.kinds if kind in commands]
        chain = [word for link in links for word in ("--then", *link)][1:]
        return ["submit", "--cluster", str(stage.profile), *chain]


RECIPES = (
    Recipe(name="one", share=0.35, kinds=(TRAIN,)),
    Recipe(name="two", share=0.2, kinds=(TRAIN,), ranks=2),
    Recipe(name="pack", share=0.2, kinds=(PACK, MERGE)),
    Recipe(name="chain", share=0.25, kinds=(PACK, MERGE, TRAIN, EVALUATE)),
)
BY_NAME: Mapping[str, Recipe] = {recipe.name: recipe for recipe in RECIPES}


@dataclass(kw_only=True, slots=True, eq=False)
class Order:
    """What an account wants done, and what has been done to it."""

    name: str
    account: Account
    recipe: Recipe
    accepted: bool = False
    """`avsync submit` took it."""
    blows: list[str] = field(default_factory=list[str])
    """All that it was struck by, in order."""
    since: int = 0
    """Of these, so many came before it was last queued anew."""
    resubmitted: int = 0
    cancelled: dict[str, float] = field(default_factory=dict[str, float])
    """Kind of job -> when `avsync cancel` said that it is cancelled; nobody has resubmitted it since."""

    @property
    def run(self) -> Path:
        return self.account.disk / f"run-{self.name}"

    @property
    def dataset(self) -> Path:
        return self.account.disk / f"data-{self.name}"

    @property
    def kinds(self) -> tuple[str, ...]:
        return self.recipe.kinds

    def target(self, kind: str) -> Path:
        """Folder that a job of that kind works on."""
        return self.dataset if kind in (PACK, MERGE) else self.run

    @property
    def targets(self) -> list[Path]:
        return list(dict.fromkeys(self.target(kind) for kind in self.recipe.kinds))

    def again(self, kind: str) -> list[str]:
        """Words behind `avsync` that queue that job anew; a packing's merge goes with it."""
        return ["resubmit", str(self.target(kind)), "--kind", PACK if kind == MERGE else kind]

    def queued_anew(self, kind: str, blows: int, at: float) -> None:
        """By a resubmission that began at that time, after so many blows."""
        self.since, self.resubmitted = blows, self.resubmitted + 1
        if self.cancelled.get(kind, at) < at:
            del self.cancelled[kind]

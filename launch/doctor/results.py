"""What the probes left in the folder, as typed facts, and findings, which tell what follows from them.

What a probe did not get to is missing, not zero.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from sharding.base.files import read_json
from sharding.errors import AvsyncError


@dataclass(frozen=True, kw_only=True, slots=True)
class Disk:
    """A folder on a node."""

    name: str
    path: str
    free: int
    """Bytes."""
    bytes_per_s: float
    shared: bool
    memory: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """One name of the first node, seen from another."""

    name: str
    address: str
    """Empty: the name does not resolve."""
    reached: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskResults:
    """What one task has found. Only the first task of a node fills in the second half."""

    rank: int
    local: int
    began: float
    node: str
    host: str
    cpus: list[int]
    cpus_asked: int
    gpus: str
    memlock: int
    """Bytes; -1: no limit."""

    arrived: list[str] | None = None
    """Which of the variables of the job, and of the shell that submitted it; None: nobody has looked."""
    export: str = ""
    """What the site's sbatch was told to hand on: NONE, NIL, a list."""

    python: str = ""
    executable: str = ""
    packages: dict[str, str] = field(default_factory=dict[str, str])
    slurm: str = ""
    nvidia: list[str] = field(default_factory=list[str])
    cuda: str = ""
    """`GPUs version available`, of torch."""
    scontrol: bool = False
    squeue: bool = False
    ssh_scontrol: bool = False
    scratch: list[Disk] = field(default_factory=list[Disk])
    shared: Disk | None = None
    shm: int = 0
    own_name_is: str = ""
    """Address that the node has for its own name."""
    shared_round_s: float | None = None
    clock_s: float | None = None
    """The login node's clock is ahead by so much."""
    seen_meeting: bool = True
    ways: dict[str, Way] = field(default_factory=dict[str, Way])
    clock_between_s: float | None = None
    device: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a signal probe."""

    at: float
    word: str
    rest: str


@dataclass(frozen=True, slots=True)
class Signals:
    """What a process of a job has noted."""

    lines: tuple[Line, ...]

    def first(self, word: str, rest: str = "") -> float | None:
        """When; None: never."""
        return next((line.at for line in self.lines if line.word == word and line.rest.startswith(rest)), None)

    @property
    def last(self) -> float | None:
        """Its last sign of life."""
        return self.lines[-1].at if self.lines else None

    def after(self, sign: str) -> float | None:
        """Seconds that it lived on after a signal."""
        came = self.first("signal", sign)
        return None if came is None or self.last is None else self.last - came


def read_tasks(folder: Path) -> list[TaskResults]:
    """By rank; what cannot be read is left out."""
    found = list[TaskResults]()
    for path in folder.glob("node-*.json"):
        try:
            found.append(read_json(path, TaskResults))
        except AvsyncError:
            continue
    return sorted(found, key=lambda task: task.rank)


def read_signals(folder: Path, name: str) -> Signals:
    """Of `limit-batch`, `limit-task`, ...; empty when it never began."""
    try:
        text = (folder / f"{name}.txt").read_text()
    except OSError:
        return Signals(())
    parts = (line.split(" ", 2) for line in text.splitlines())
    return Signals(tuple(Line(float(words[0]), words[1], " ".join(words[2:])) for words in parts if len(words) > 1))


# A finding: what follows from the facts for the profile or the administrator.


class SiteVerdict(Enum):
    """How bad it is; the value is its colour."""

    FINE = "green"
    NOTE = "cyan"
    """Good to know, nothing to do."""
    CHANGE = "bold red"
    """Set it, or ask for it."""
    UNKNOWN = "yellow"
    """It could not be found out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SiteFinding:
    """A line of the table."""

    check: str
    found: str
    verdict: SiteVerdict = SiteVerdict.FINE
    advice: str = ""
    """What to do, in a sentence."""
    profile: Mapping[str, str] = field(default_factory=dict[str, str])
    """Settings for the profile: name -> value, as TOML."""


def fine(check: str, found: str) -> SiteFinding:
    """All is well."""
    return SiteFinding(check=check, found=found)


def unknown(check: str, why: str) -> SiteFinding:
    """Nobody knows."""
    return SiteFinding(check=check, found=why, verdict=SiteVerdict.UNKNOWN)


def judged(check: str, found: str, well: bool, advice: str, profile: Mapping[str, str] | None = None) -> SiteFinding:
    """Fine, or to be changed as advised."""
    if well:
        return fine(check, found)
    return SiteFinding(check=check, found=found, verdict=SiteVerdict.CHANGE, advice=advice, profile=profile or {})


def noted(check: str, found: str, well: bool, advice: str, profile: Mapping[str, str] | None = None) -> SiteFinding:
    """Fine, or worth a thought."""
    if well:
        return fine(check, found)
    return SiteFinding(check=check, found=found, verdict=SiteVerdict.NOTE, advice=advice, profile=profile or {})

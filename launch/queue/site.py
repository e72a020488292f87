"""How a cluster is set up, as `scontrol show config` and `show partition` tell it."""

import re
from dataclasses import dataclass

from launch.queue.ask import QUESTION_S, QueueError, ask
from launch.queue.scontrol import fields_of
from sharding.errors import InputError

_LINE = re.compile(r"^([\w/]+)\s*=\s*(.*)$", re.MULTILINE)
_NUMBER = re.compile(r"\d+")
_TASKS = re.compile(r"max_array_tasks=(\d+)")
_VERSION = re.compile(r"(\d+)\.(\d+)")
_DELAY = re.compile(r"(?:^|,)requeue_delay=(\d+)", re.IGNORECASE)
_EXPIRES = re.compile(r"(?:^|,)cred_expire=(\d+)", re.IGNORECASE)
USUAL_DELAY_S, SHORTEST_DELAY_S = 120, 5
"""SLURM's own cred_expire; below the second one it says that it is invalid, and takes its own."""
WITH_DELAY = (25, 11)
"""The version from which requeue_delay is a setting, and jobs may be expedited."""
USUAL_ARRAY = 1001
"""SLURM's own MaxArraySize, where the site says nothing of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RequeueDelay:
    """Before a job that was requeued may start."""

    seconds: int
    own: bool
    """By SchedulerParameters=requeue_delay, a setting of its own; else by AuthInfo=cred_expire, which is meant for how
    long a job's credentials are good."""


@dataclass(frozen=True, slots=True)
class SiteConfig:
    """slurm.conf, as the controller has it."""

    settings: dict[str, str]

    def word(self, name: str) -> str:
        """Empty where it is not known."""
        value = self.settings.get(name, "").strip()
        return "" if value in ("(null)", "NONE", "none") else value

    def number(self, name: str) -> int | None:
        """The first number of it: `30 sec` is 30."""
        found = _NUMBER.search(self.word(name))
        return int(found.group()) if found else None

    @property
    def version(self) -> tuple[int, int] | None:
        """(25, 11) of 25.11.3; None where it is not known."""
        found = _VERSION.search(self.word("SLURM_VERSION"))
        return (int(found[1]), int(found[2])) if found else None

    @property
    def expedites(self) -> bool:
        """It takes jobs with --requeue=expedite."""
        return "enable_expedited_requeue" in self.word("SlurmctldParameters").lower().split(",")

    @property
    def requeue_delay(self) -> "RequeueDelay":
        """How long a requeued job waits before it may start, unless it is expedited."""
        tells = self.version is None or self.version >= WITH_DELAY  # before that it is a word without meaning
        if tells and (found := _DELAY.search(self.word("SchedulerParameters"))):
            return RequeueDelay(own=True, seconds=int(found[1]) + 1)
        expires = int(found[1]) if (found := _EXPIRES.search(self.word("AuthInfo"))) else USUAL_DELAY_S
        return RequeueDelay(own=False, seconds=(expires if expires >= SHORTEST_DELAY_S else USUAL_DELAY_S) + 1)

    @property
    def largest_array(self) -> int:
        """Tasks that one array job may have: SLURM's MaxArraySize is the first index that is too high."""
        size = self.number("MaxArraySize") or USUAL_ARRAY
        tasks = _TASKS.search(self.word("SchedulerParameters"))
        return max(1, min(size, int(tasks.group(1)) if tasks else size))


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition's rules."""

    name: str
    settings: dict[str, str]

    @property
    def preempt_mode(self) -> str:
        """REQUEUE, CANCEL, SUSPEND, OFF ..."""
        return self.settings.get("PreemptMode", "")

    @property
    def grace_s(self) -> int:
        """Seconds that a preempted job gets."""
        found = _NUMBER.search(self.settings.get("GraceTime", "0"))
        return int(found.group()) if found else 0

    @property
    def longest(self) -> str:
        return self.settings.get("MaxTime", "")

    @property
    def default(self) -> bool:
        return self.settings.get("Default") == "YES"


def read_config() -> SiteConfig:
    """Raises InputError without SLURM, QueueError without an answer."""
    return config_of(ask(["scontrol", "show", "config"], QUESTION_S))


def config_of(text: str) -> SiteConfig:
    """What scontrol printed."""
    return SiteConfig(dict(_LINE.findall(text)))


def read_partitions() -> list[Partition]:
    """All that this user may see. Raises InputError, QueueError."""
    lines = ask(["scontrol", "-o", "show", "partition"], QUESTION_S).splitlines()
    found = (fields_of(line) for line in lines)
    return [Partition(fields["PartitionName"], fields) for fields in found if "PartitionName" in fields]


def keeps_books() -> bool:
    """Whether sacct answers."""
    try:
        ask(["sacct", "--noheader", "--allocations", "--format=JobID"], timeout_s=20)
    except (QueueError, InputError):
        return False
    return True

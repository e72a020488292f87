"""How a cluster is set up, as `scontrol show config` and `show partition` tell it."""

import re
from dataclasses import dataclass

from launch.queue.ask import QUESTION_S, QueueError, ask
from launch.queue.scontrol import fields_of
from sharding.errors import InputError

_LINE = re.compile(r"^([\w/]+)\s*=\s*(.*)$", re.MULTILINE)
_NUMBER = re.compile(r"\d+")
_TASKS = re.compile(r"max_array_tasks=(\d+)")
USUAL_ARRAY = 1001
"""SLURM's own MaxArraySize, where the site says nothing of it."""


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

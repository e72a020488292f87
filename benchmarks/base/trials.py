"""Many trials of something that may crash, hang or die, in processes of their own, and the memory that each took.

What a trial is, and which of its verdicts are bad, the benchmark says.
"""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sharding.base.console import Bar
from sharding.base.workers import Died, Done, Task, Workers

REFRESH_S = 0.5


class Judged(Protocol):
    """What came of a trial."""

    @property
    def verdict(self) -> StrEnum: ...


class Tried(Task, Protocol):
    """A trial, which knows what its own death means."""

    def died(self, code: int) -> Any: ...


T = TypeVar("T", bound=Tried)
R = TypeVar("R", bound=Judged)


def run_trials(
    trials: Sequence[T], pool: Workers[T], named: str, bad: Collection[StrEnum], put_away: Callable[[T, R], None]
) -> dict[T, R]:
    """All of them; a process that dies is an answer, too (`died` of the trial). named: what the bar counts.

    put_away: called with each trial that is over, for what it leaves behind.
    """
    found, waiting = dict[T, R](), list(reversed(trials))
    with Bar(named, len(trials)) as bar, pool:
        while waiting or pool.busy:
            while waiting and pool.room:
                pool.give(waiting.pop())
            for event in pool.news(REFRESH_S):
                if isinstance(event, Done):
                    found[event.task] = event.result
                elif isinstance(event, Died):
                    found[event.task] = event.task.died(event.code)
                else:
                    continue
                put_away(event.task, found[event.task])
            counts = Counter(one.verdict for one in found.values())
            bar.update(len(found), state=", ".join(f"{counts[verdict]} {verdict}" for verdict in bad))
    return {trial: found[trial] for trial in trials}


def forget_peak() -> None:
    """Linux alone: peak memory is counted anew from here on."""
    counter = Path("/proc/self/clear_refs")
    if counter.exists():
        counter.write_text("5")


def highest_mb() -> float:
    """Of this process, since then; 0 where that is not known."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)

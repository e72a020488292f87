"""What resuming comes to: seconds and bytes beside what is wanted; and whether the clips went on as they should."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from benchmarks.load_table import Text
from benchmarks.resume_catalog import OURS

RATIO, RESUMED_S, STATE_BYTES = 1.2, 0.6, 1000
"""Wanted of ours: at most so many times a fresh start, at most so many seconds, less than so many bytes."""
LONGEST = 60
"""Characters of an error that are shown."""


class Failed(Exception):
    """A run that did not end well; says why."""

    def __str__(self) -> str:
        said = super().__str__()
        return said if len(said) <= LONGEST else said[: LONGEST - 1] + "…"


@dataclass(slots=True)
class Times:
    """Of one way at one size."""

    way: str
    fresh_s: list[float] = field(default_factory=list)
    resumed_s: list[float] = field(default_factory=list)
    state_bytes: int = 0
    trouble: str = ""

    def row(self) -> tuple[str, ...]:
        """Medians; the ratio is that of each round."""
        if self.trouble or not self.resumed_s:
            return (self.way, self.trouble, *[""] * 4)
        fresh, resumed = statistics.median(self.fresh_s), statistics.median(self.resumed_s)
        rounds = zip(self.resumed_s, self.fresh_s, strict=True)
        ratio = statistics.median(one / other for one, other in rounds)
        numbers = (f"{fresh:.2f}", f"{resumed:.2f}", f"{ratio:.2f}", f"{self.state_bytes:,}")
        if not self.way.startswith(OURS):
            return (self.way, *numbers, "")
        reached = ratio <= RATIO and resumed <= RESUMED_S and self.state_bytes < STATE_BYTES
        return (self.way, *numbers, "yes" if reached else "no")


def times(seen: Sequence[Times]) -> Text:
    """Seconds to the first batch and bytes of the state."""
    wanted = f"at most {RATIO} times a fresh start, at most {RESUMED_S} s, a state of less than {STATE_BYTES} bytes"
    columns = ("way", "fresh s", "at 60 % s", "ratio", "state bytes", "reached")
    return Text(f"time to the first batch; wanted: {wanted}", columns, [one.row() for one in seen])


def sequences(found: Mapping[str, Mapping[str, str]]) -> Text:
    """What became of the rest of a pass."""
    changes = list(dict.fromkeys(chain.from_iterable(found.values())))
    rows = [(way, *(verdicts[change] for change in changes)) for way, verdicts in found.items()]
    return Text("the rest of the pass", ("way", *changes), rows)


def verdict(wanted: Sequence[Sequence[str]], got: Sequence[Sequence[str]]) -> str:
    """In words: keys of the batches that should have come, and of those that came."""
    if [list(batch) for batch in wanted] == [list(batch) for batch in got]:
        return "exact"
    if [sorted(batch) for batch in wanted] == [sorted(batch) for batch in got]:
        return "exact batches"
    due, came = Counter(chain.from_iterable(wanted)), Counter(chain.from_iterable(got))
    lost, extra = (due - came).total(), (came - due).total()
    if not lost and not extra:
        return "the same clips in another order"
    return f"of {due.total()} clips {lost} lost, {extra} too many"

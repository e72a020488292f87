"""What resuming comes to: seconds and bytes beside what is wanted; and whether the clips went on as they should."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from operator import attrgetter
from statistics import median
from typing import Any

from benchmarks.base.runner import Rounds
from benchmarks.base.table import Column, Table, of_rounds, statistic, yes
from benchmarks.resume.start import OURS

RATIO, RESUMED_S, STATE_BYTES = 1.2, 0.6, 1000
"""Wanted of ours: at most so many times a fresh start, at most so many seconds, less than so many bytes."""


def times(rounds: Rounds[Any, Any]) -> Table:
    """Seconds to the first batch and bytes of the state; the ratio is that of each round."""
    wanted = f"at most {RATIO} times a fresh start, at most {RESUMED_S} s, a state of less than {STATE_BYTES} bytes"
    return of_rounds(f"time to the first batch; wanted: {wanted}", rounds, COLUMNS)


def reached(rounds: Rounds[Any, Any], way: Any) -> str:
    """Of ours, all that is wanted."""
    if not str(way).startswith(OURS):
        return ""
    most = {"ratio": RATIO, "resumed_s": RESUMED_S, "state_bytes": STATE_BYTES - 1}
    return yes(all(median(rounds.each(way, attrgetter(name))) <= limit for name, limit in most.items()))


COLUMNS: Mapping[str, Column] = {
    "fresh s": statistic("fresh_s", ".2f"),
    "at 60 % s": statistic("resumed_s", ".2f"),
    "ratio": statistic("ratio", ".2f"),
    "state bytes": statistic("state_bytes", ",.0f"),
    "reached": reached,
}


def sequences(found: Mapping[str, Mapping[str, str]]) -> Table:
    """What became of the rest of a pass."""
    changes = list(dict.fromkeys(chain.from_iterable(found.values())))
    rows = [(way, *(verdicts[change] for change in changes)) for way, verdicts in found.items()]
    return Table("the rest of the pass", ("way", *changes), rows)


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

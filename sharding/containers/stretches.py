"""Stretches of a source's timeline, and when two of them are one."""

from collections.abc import Iterable
from fractions import Fraction

HOLE_S = 10
"""Where no picture appears for longer than this, nothing is shown."""

Stretch = tuple[Fraction, Fraction]
"""Start and end, seconds on a source's timeline."""


def joined(stretches: Iterable[Stretch]) -> list[Stretch]:
    """Stretches, ascending by their start, as one where no hole is between them."""
    found = list[Stretch]()
    for start, stop in stretches:
        if found and start - found[-1][1] <= HOLE_S:
            first, last = found.pop()
            start, stop = first, max(last, stop)
        found.append((start, stop))
    return found

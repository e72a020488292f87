"""Words and numbers of messages: counts, fractions, durations, names from outside, lists that must stay short.

And numbers as people write them, read exactly.

Anyone may import this.
"""

import re
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

LONGEST = 40
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+|\d+/\d+)")
BYTES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def counted(number: int, noun: str, nouns: str = "") -> str:
    """`1 shard`, `2 shards`; `nouns`: where an s is not enough."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {nouns or noun + 's'}"


def first_few(names: Sequence[str]) -> str:
    """Names for a message that must stay one line."""
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def plain(text: str) -> str:
    """A text from outside on one line, what is not printable as its escape: a file name must not steer a terminal."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def is_unicode(text: str) -> bool:
    """Not so a file name whose bytes are no UTF-8: no JSON can hold it, nor can a program that reads text."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def duration(seconds: Fraction | float) -> str:
    """`1,234 h`, `3.2 h`, `33.6 min`, `45.1 s`, `0 s`."""
    value = float(seconds)
    if 0 <= value < 0.05:
        return "<0.1 s" if value else "0 s"
    if value >= 3600:
        return f"{value / 3600:,.0f} h" if value >= 360_000 else f"{value / 3600:,.1f} h"
    return f"{value / 60:.1f} min" if value >= 60 else f"{value:.1f} s"


def size(count: int) -> str:
    """`97.5 MB`."""
    for unit, name in BYTES:
        if count >= unit:
            return f"{count / unit:,.1f} {name}"
    return f"{count} bytes"


def percent(fraction: float, digits: int = 1) -> str:
    """`51.7 %` of 0.517; `–` for what is no number."""
    return f"{100 * fraction:.{digits}f} %" if fraction == fraction else "–"


def interval(low: float, high: float, digits: int = 1) -> str:
    """`47.9 to 55.5 %` of 0.479 and 0.555."""
    return f"{100 * low:.{digits}f} to {100 * high:.{digits}f} %"


def exact_number(text: str) -> Fraction:
    """`30`, `0.25` or `30000/1001`. Raises ValueError for anything else; 1e999999999 would fill the memory."""
    if len(text) > LONGEST or not _NUMBER.fullmatch(text):
        raise ValueError(text)
    try:
        return Fraction(text)
    except ZeroDivisionError:
        raise ValueError(text) from None


def as_written(number: Fraction) -> str:
    """The shortest way to write a number exactly: 30, 0.25, 30000/1001."""
    tenths = number.denominator
    for prime in (2, 5):
        while tenths % prime == 0:
            tenths //= prime
    if tenths > 1:
        return str(number)
    return f"{Decimal(number.numerator) / Decimal(number.denominator):f}"

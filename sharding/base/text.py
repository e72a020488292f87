"""Words and numbers of messages: counts, fractions, durations, names from outside, lists that must stay short.

And numbers as people write them, read exactly.

Anyone may import this.
"""

import re
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

LONGEST = 40
LONGEST_TEXT, LONGEST_MESSAGE = 300, 3000
"""Letters of a text from a file in a line, and of a whole message."""
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+|\d+/\d+)")
BYTES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def counted(number: int, noun: str, nouns: str = "") -> str:
    """`1 shard`, `2 shards`; `nouns`: where an s is not enough."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {nouns or noun + 's'}"


def first_few(names: Sequence[str], few: int = 3) -> str:
    """Names for a message that must stay one line, whatever they hold and however long and many they are."""
    return ", ".join(map(shown, names[:few])) + (", ..." if len(names) > few else "")


def plain(text: str) -> str:
    """A text from outside on one line, what is not printable as its escape: a file name must not steer a terminal.

    Not printable are, by Unicode's table, controls (C0, DEL, C1), marks that turn the direction of writing or have no
    width, ends of lines, unusual blanks and what is no letter at all.
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def cut(text: str, most: int = LONGEST_TEXT) -> str:
    """A text of at most `most` letters: of a longer one its begin and its end, where a remedy stands."""
    if len(text) <= most:
        return text
    end = most // 3
    return f"{text[: most - end - 5]} ... {text[len(text) - end :]}"


def shown(text: str, most: int = LONGEST_TEXT) -> str:
    """What a file says, as it can stand in a line: plain, and not longer than anybody would read."""
    return plain(cut(text, most))


def in_quotes(text: str) -> str:
    """The same as a cell or word of its own: `'a b'`."""
    return shown(repr(text))


def plain_lines(text: str) -> str:
    """Several lines that are meant to be several, with tabs that are meant, each of them plain."""
    return text if text.isprintable() else "".join(letter if letter in "\n\t" else plain(letter) for letter in text)


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

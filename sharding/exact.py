"""Numbers as people write them, exactly. Anyone may import this."""

import re
from fractions import Fraction

LONGEST = 40
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+|\d+/\d+)")


def exact_number(text: str) -> Fraction:
    """`30`, `0.25` or `30000/1001`. Raises ValueError for anything else; 1e999999999 would fill the memory."""
    if len(text) > LONGEST or not _NUMBER.fullmatch(text):
        raise ValueError(text)
    try:
        return Fraction(text)
    except ZeroDivisionError:
        raise ValueError(text) from None

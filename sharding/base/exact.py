"""Numbers as people write them, exactly. Anyone may import this."""

import re
from decimal import Decimal
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


def as_written(number: Fraction) -> str:
    """The shortest way to write a number exactly: 30, 0.25, 30000/1001."""
    tenths = number.denominator
    for prime in (2, 5):
        while tenths % prime == 0:
            tenths //= prime
    if tenths > 1:
        return str(number)
    return f"{Decimal(number.numerator) / Decimal(number.denominator):f}"

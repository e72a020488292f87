"""Words of messages: counts, names from outside, lists that must stay short. Anyone may import this."""

from collections.abc import Sequence


def counted(number: int, noun: str) -> str:
    """`1 shard`, `2 shards`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def first_few(names: Sequence[str]) -> str:
    """Names for a message that must stay one line."""
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def plain(text: str) -> str:
    """A text from outside on one line, what is not printable as its escape: a file name must not steer a terminal."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)

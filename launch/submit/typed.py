"""What was typed behind `avsync submit`, taken apart: submit's own flags, and the commands of a chain."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from launch.commands.flags import Flag, is_flag
from sharding.base.written_paths import typed_path

THEN = "--then"


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """The words of one command of a chain."""

    own: tuple[str, ...]
    """Flags of submit, with their values."""
    words: tuple[str, ...]
    """The command's name and what belongs to it."""


def links(words: Sequence[str]) -> list[tuple[str, ...]]:
    """The words between each --then."""
    found = [list[str]()]
    for word in words:
        if word == THEN:
            found.append([])
        else:
            found[-1].append(word)
    return [tuple(link) for link in found]


def split(words: Sequence[str], flags: Mapping[str, Flag]) -> Split:
    """Take out the `flags`, with their values."""
    own, rest = list[str](), list[str]()
    waiting = iter(words)
    for word in waiting:
        name, equals, _ = word.partition("=")
        flag = flags.get(name.replace("_", "-"))
        if flag is None:
            rest.append(word)
            continue
        own.append(word)
        if flag.kind is not bool and not equals:
            own += [value for value in (next(waiting, None),) if value is not None]
    return Split(own=tuple(own), words=tuple(rest))


def leading(words: Sequence[str], flags: Mapping[str, Flag]) -> int:
    """How many words stand before the command's name."""
    count = 0
    while count < len(words) and (flag := flags.get(words[count].partition("=")[0].replace("_", "-"))):
        count += 1 if flag.kind is bool or "=" in words[count] else 2
    return min(count, len(words))


def given(words: Iterable[str], flag: str) -> bool:
    """Whether a flag is among them."""
    return any(word.partition("=")[0].replace("_", "-") == flag for word in words)


def absolute(words: Sequence[str], paths: Collection[Path], flags: Mapping[str, Flag]) -> tuple[str, ...]:
    """The words with these `paths`, which stand on their own, as absolute paths.

    The value of one of `flags` stays, though it be the same: train demo run --preset demo.
    """
    changed, left, before = list(words), list(paths), ""
    for number, word in enumerate(words):
        flag = flags.get(before.replace("_", "-"))
        path = _path(word) if number and (flag is None or flag.kind is bool) else None
        if path in left:
            left.remove(path)
            changed[number] = str(path.absolute())
        before = word
    return tuple(changed)


def _path(word: str) -> Path:
    return Path(word if is_flag(word) else typed_path(word))

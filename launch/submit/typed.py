"""What was typed behind `avsync submit`, taken apart: submit's own flags, and the commands of a chain."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

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


def split(words: Sequence[str], flags: dict[str, bool]) -> Split:
    """Take out the `flags`; of each it is told whether a value follows."""
    own, rest = list[str](), list[str]()
    waiting = iter(words)
    for word in waiting:
        name, equals, _ = word.partition("=")
        valued = flags.get(name.replace("_", "-"))
        if valued is None:
            rest.append(word)
            continue
        own.append(word)
        if valued and not equals:
            own += [value for value in (next(waiting, None),) if value is not None]
    return Split(own=tuple(own), words=tuple(rest))


def leading(words: Sequence[str], flags: dict[str, bool]) -> int:
    """How many words stand before the command's name."""
    count = 0
    while count < len(words) and (name := words[count].partition("=")[0].replace("_", "-")) in flags:
        count += 2 if flags[name] and "=" not in words[count] else 1
    return min(count, len(words))


def flags_in(kind: Any) -> dict[str, bool]:
    """Flags of a settings' class, nested ones without a prefix; whether each takes a value."""
    found = dict[str, bool]()
    hints = get_type_hints(kind)
    for field in fields(kind):
        if is_dataclass(hints[field.name]):
            found |= flags_in(hints[field.name])
        else:
            found["--" + field.name.replace("_", "-")] = hints[field.name] is not bool
    return found


def given(words: Iterable[str], flag: str) -> bool:
    """Whether a flag is among them."""
    return any(word.partition("=")[0].replace("_", "-") == flag for word in words)


def switches_in(kind: Any) -> set[str]:
    """Last parts of the names of a command's flags that take no value."""
    found, hints = set[str](), get_type_hints(kind)
    for field in fields(kind):
        if is_dataclass(hints[field.name]):
            found |= switches_in(hints[field.name])
        elif hints[field.name] is bool:
            found.add(field.name.replace("_", "-"))
    return found


def absolute(words: Sequence[str], places: Collection[Path], switches: Collection[str]) -> tuple[str, ...]:
    """The words with these `places`, which stand on their own, as absolute paths.

    `switches`: flags without a value. The value of a flag stays, though it be the same: train demo run --preset demo.
    """
    changed, left = list(words), list(places)
    for number, word in enumerate(words):
        if number and Path(word) in left and not _has_value(words[number - 1], switches):
            left.remove(Path(word))
            changed[number] = str(Path(word).absolute())
    return tuple(changed)


def _has_value(word: str, switches: Collection[str]) -> bool:
    """Whether the next word belongs to this one."""
    name = word.removeprefix("--").rpartition(".")[2].removeprefix("no-").replace("_", "-")
    return word.startswith("--") and "=" not in word and name not in switches

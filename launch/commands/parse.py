"""From typed words to a command's dataclass, by tyro: its fields are the flags, the line under a field is its help."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from pathlib import Path
from types import NoneType
from typing import Any, Self, get_args

import tyro
from tyro.conf import FlagCreatePairsOff
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from sharding.errors import InputError


@dataclass(frozen=True, slots=True)
class FieldKind:
    """What can be typed for a type."""

    metavar: str
    told: str
    read: Callable[[str], Any]
    """Raises ValueError."""


def _path(text: str) -> Path:
    """Raises InputError for a URL: as a path it would lose a slash, and be looked for in vain."""
    if "://" in text:
        raise InputError(f"{text} is a URL; only avsync train reads from one, a file or folder is needed here")
    return Path(text)


def _finite(text: str) -> float:
    """Raises ValueError for nan, inf, and what is too large to be a number here: nothing that is set can mean them."""
    if not isfinite(value := float(text)):
        raise ValueError(text)
    return value


KINDS: dict[Any, FieldKind] = {
    int: FieldKind("INT", "a whole number; write it like 12", int),
    float: FieldKind("NUMBER", "a number; write it like 0.5 or 1e-3", _finite),
    Path: FieldKind("PATH", "a path", _path),
}


class Parsed:
    """Parses a command from the types of its own fields."""

    @classmethod
    def parse(cls, arguments: Sequence[str], prog: str) -> Self:
        """Raises SystemExit for a wrong or missing flag, InputError for a value that cannot be."""
        only_to_set = (FlagCreatePairsOff,)  # what is off unless a flag sets it needs no flag to be off
        return tyro.cli(cls, args=list(arguments), prog=prog, config=only_to_set, registry=registry(arguments))


def registry(arguments: Sequence[str]) -> ConstructorRegistry:
    """How values are read, so that errors are told in plain words, in one line where the flag is beyond doubt."""
    rules = ConstructorRegistry()

    @rules.primitive_rule
    def _(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
        types = {*(get_args(info.type) or (info.type,))} - {NoneType}
        kind = KINDS.get(types.pop()) if len(types) == 1 else None
        return kind and _spec(kind, arguments)

    return rules


def values_of(arguments: Sequence[str]) -> list[tuple[str, str]]:
    """Flags with what follows them."""
    words = [word for argument in arguments for word in argument.split("=", 1)]
    return [(flag, value) for flag, value in pairwise(words) if flag.startswith("--")]


def _spec(kind: FieldKind, arguments: Sequence[str]) -> PrimitiveConstructorSpec[Any]:
    def read(words: list[str]) -> Any:
        try:
            return kind.read(words[0])
        except ValueError:
            problem = f"{words[0]} is not {kind.told}"
            if len(flags := [flag for flag, value in values_of(arguments) if value == words[0]]) == 1:
                raise InputError(f"{flags[0]} {problem}") from None
            raise ValueError(problem) from None  # tyro knows which flag it was, and says so at length

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=kind.metavar,
        instance_from_str=read,
        is_instance=lambda value: True,
        str_from_instance=lambda value: ["unset" if value is None else str(value)],
    )

"""Flags: as a command's dataclass declares them, as they were typed, and what to say of those that do not fit.

What is wrong with a line is found here, before tyro builds the command from it, and answered in one line.
"""

import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from difflib import get_close_matches
from itertools import pairwise
from math import isfinite
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from tyro.conf import Positional

from launch.commands.entries import COMMANDS, command_class
from sharding.base.written_paths import IS_PATH, typed_path
from sharding.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

HELP = ("-h", "--help")
_POSITIONAL = Positional[str].__metadata__[0]  # pyright: ignore[reportAttributeAccessIssue]
"""What tyro puts beside the type of a field that is typed without a flag."""


@dataclass(frozen=True, slots=True)
class FieldKind:
    """What can be typed for a type."""

    metavar: str
    described: str
    read: Callable[[str], Any]
    """Raises ValueError."""


def _path(text: str) -> Path:
    """Raises InputError for a URL: as a path it would lose a slash, and be looked for in vain."""
    if "://" in text:
        raise InputError(f"{text} is a URL; only avsync train reads from one, a file or folder is needed here")
    return Path(typed_path(text))


def _finite(text: str) -> float:
    """Raises ValueError for nan, inf, and what is too large to be a number here: nothing that is set can mean them."""
    if not isfinite(value := float(text)):
        raise ValueError(text)
    return value


KINDS: dict[Any, FieldKind] = {
    int: FieldKind("INT", "a whole number; write it like 12", int),
    float: FieldKind("NUMBER", "a number; write it like 0.5 or 1e-3", _finite),
    Path: FieldKind("PATH", "a path", _path),
    str: FieldKind("STR", "a word", str),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Flag:
    """A field that can be typed."""

    name: str
    """`--optim.lr`; of one that is typed without a flag how help calls it: `RUN`."""
    others: tuple[str, ...]
    """`-f`, `--view.no-flip`."""
    field: str
    """Of the dataclass that has it."""
    kind: Any
    """bool: it takes no value."""
    choices: tuple[str, ...]
    needed: bool
    many: bool
    """Several words may be typed for it."""
    is_path: bool
    """Whatever its type is."""

    def check(self, value: str) -> None:
        """Raises InputError for a value that cannot be."""
        called = "" if self.name.isupper() else f"{self.name} "
        if self.choices and value not in self.choices:
            near = get_close_matches(value, self.choices, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise InputError(f"{called}{value} is not known; {hint}choose one of {', '.join(self.choices)}")
        if self.is_path:
            typed_path(value, called.strip())
        try:
            KINDS[self.kind].read(value)
        except ValueError:
            raise InputError(f"{called}{value} is not {KINDS[self.kind].described}") from None

    @property
    def wants(self) -> str:
        """What to type behind it."""
        return f"one of {', '.join(self.choices)}" if self.choices else KINDS[self.kind].described


@dataclass(frozen=True, slots=True)
class Declared:
    """All that can be typed for a command."""

    words: tuple[Flag, ...]
    """Without a flag, in order."""
    flags: Mapping[str, Flag]
    """By every name that they have."""

    @property
    def usage(self) -> str:
        return " ".join(word.name for word in self.words)


def declared(kind: Any) -> Declared:
    """What can be typed for a command's class, or for settings. `typed_as`: another class of whose fields that is."""
    found = list(_fields(getattr(kind, "typed_as", kind), "", getattr(kind, "switch_pairs", False)))
    return Declared(
        words=tuple(flag for flag in found if not flag.name.startswith("-")),
        flags={name: flag for flag in found if flag.name.startswith("-") for name in (flag.name, *flag.others)},
    )


def _fields(kind: Any, prefix: str, pairs: bool) -> Iterator[Flag]:
    hints = get_type_hints(kind, include_extras=True)
    for field in fields(kind):
        notes = getattr(hints[field.name], "__metadata__", ())
        own = hints[field.name].__origin__ if notes else hints[field.name]
        name = _noted(notes, "name", field.name).replace("_", "-")
        if is_dataclass(own):
            yield from _fields(own, f"{prefix}{name}." if name else "", pairs)
            continue
        inner, *_ = [one for one in get_args(own) if one not in (NoneType, ...)] or [own]
        choices = tuple(map(str, get_args(own))) if get_origin(own) is Literal else ()
        names = (f"--{prefix}{name}", *_noted(notes, "aliases", ()))
        if own is bool and (pairs or field.default is True):
            names = (*names, f"--{prefix}no-{name}") if pairs else (f"--{prefix}no-{name}",)
        if _POSITIONAL in notes:
            names = (_noted(notes, "metavar", name.upper()),)
        yield Flag(
            name=names[0],
            others=names[1:],
            field=field.name,
            kind=str if choices else inner,
            choices=choices,
            needed=field.default is MISSING and field.default_factory is MISSING and get_origin(own) is not tuple,
            many=get_origin(own) is tuple,
            is_path=inner is Path or IS_PATH in notes,
        )


def _noted(notes: Sequence[Any], what: str, otherwise: Any) -> Any:
    """What stands beside a field's type, by tyro's `arg`."""
    found = (getattr(note, what, None) for note in notes)
    return next((value for value in found if value is not None), otherwise)


class TypedWord(NamedTuple):
    """A word of a line, or a flag with its value."""

    word: str
    """As typed; of a flag its name alone."""
    flag: Flag | None
    """None: it is none, or an unknown one."""
    value: str | None
    """None: there is none."""


def is_flag(word: str) -> bool:
    """It looks like one, and not like a negative number."""
    bare = word.lstrip("-")
    return word.startswith("-") and bare[:1].isalpha() and bare not in ("inf", "nan")


def typed_words(arguments: Sequence[str], flags: Mapping[str, Flag]) -> Iterator[TypedWord]:
    """A line word by word, flags together with their values."""
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--":
            yield from (TypedWord(one, None, None) for one in rest)
            return
        name, equals, value = word.partition("=")
        flag = flags.get(name.replace("_", "-"))
        if not flag and not word.startswith("--") and (flag := flags.get(word[:2])):  # -n5, -fn 5
            name, equals, value = word[:2], "=" * (flag.kind is not bool), word[2:].removeprefix("=")
            if not equals:
                rest.insert(0, f"-{value}")
        elif flag and flag.kind is bool and not equals:
            value = ""
        if not flag:
            yield TypedWord(word, None, None)
        elif equals or flag.kind is bool:
            yield TypedWord(name, flag, value if equals else None)
        else:
            has_value = rest and rest[0] != "--" and not (is_flag(rest[0]) and rest[0] not in flag.choices)
            yield TypedWord(name, flag, rest.pop(0) if has_value else None)


def check_typed(kind: Any, arguments: Sequence[str], prog: str) -> None:
    """Raises InputError for what cannot be typed for a command: in a line, with what was meant."""
    if any(word in HELP or word.startswith("--tyro-") for word in arguments):
        return  # tyro answers
    takes, words = declared(kind), list[str]()
    command = prog.removeprefix("avsync ")
    for word, flag, value in typed_words(arguments, takes.flags):
        if flag is None:
            if is_flag(word):
                raise InputError(_unknown(word.partition("=")[0], takes, command))
            words.append(word)
        elif flag.kind is bool:
            if value is not None:
                raise InputError(f"{word} takes no value; leave ={value} out")
        elif value is None:
            raise InputError(f"{word} needs a value: {flag.wants}")
        else:
            flag.check(value)
    _check_count(takes, words, command)


def _check_count(takes: Declared, words: Sequence[str], command: str) -> None:
    usage = f"avsync {command} {takes.usage}".rstrip()
    needed = [word for word in takes.words if word.needed]
    if len(words) < len(needed):
        # [RUN] may be left out, what stands behind it may not
        behind = {one.name: other.name for one, other in pairwise(takes.words) if one.name.startswith("[")}
        missing = [behind.get(word.name, word.name) for word in needed[len(words) :]]
        raise InputError(f"{command} needs {' and '.join(missing)}: {usage}; avsync {command} --help explains them")
    if len(words) > len(takes.words) and not any(word.many for word in takes.words):
        raise InputError(f"{words[len(takes.words)]} is one word too many: {usage}; a flag begins with --")
    for word, value in zip(takes.words, words, strict=False):
        word.check(value)


def _unknown(name: str, takes: Declared, command: str) -> str:
    """What to say of a flag that a command does not have."""
    behind_submit = command.startswith("submit ")
    own = set(takes.flags) | {f"{flag}" for flag in declared(command_class("submit")).flags if behind_submit}
    hint = f"; did you mean {near}?" if (near := nearest(name, own)) else ""
    if near and near not in takes.flags:
        hint = f"; did you mean submit's own {near}?"
    if not near and (having := [one for one in COMMANDS if name in declared(command_class(one)).flags]):
        hint = f": it is a flag of {', '.join(having)};"
    return f"{command} has no flag {name}{hint or ';'} avsync {command} --help lists all"


def nearest(name: str, known: Collection[str]) -> str:
    """The one that was meant: letters swapped, the group left out, or a typing error; empty where none is near."""
    letters = [flag for flag in known if sorted(flag) == sorted(name)]
    ends = [flag for flag in known if flag.rpartition(".")[2] == name.lstrip("-")]
    near = (
        get_close_matches(name, letters, 1, 0) or get_close_matches(name, ends, 1, 0) or get_close_matches(name, known)
    )
    return near[0] if near else ""


# The other way: commands as a person would type them, names quoted for the shell, settings as flags.


def typed(*words: object) -> str:
    """`avsync` and these words: a line that can be pasted into a shell."""
    return shlex.join(["avsync", *map(str, words)])


def flags_of(settings: "DataclassInstance", leave_out: Collection[str] = ()) -> list[str]:
    """What to type to get `settings` again: those that are not as by default, but for the fields in `leave_out`."""
    default, words = type(settings)(), list[str]()
    for name in (field.name for field in fields(settings) if field.name not in leave_out):
        value, flag = getattr(settings, name), name.replace("_", "-")
        if value == getattr(default, name):
            continue
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", str(value)]
    return words

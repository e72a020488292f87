"""From typed words to a command's dataclass, by tyro: its fields are the flags, the line under a field is its help."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from types import NoneType
from typing import Any, ClassVar, Protocol, Self, TypeVar, get_args, get_type_hints

import tyro
from tyro.conf import FlagCreatePairsOff
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from launch.commands.flags import KINDS, FieldKind, check_typed, declared, typed_words
from sharding.base.files import broken_link
from sharding.base.written_paths import IS_PATH, is_url, typed_path
from sharding.errors import InputError

T = TypeVar("T")


class Command(Protocol):
    """What the command line needs of each command's class."""

    @classmethod
    def parse(cls, arguments: Sequence[str], prog: str) -> Self:
        """Build it from what was typed. Raises SystemExit after --help, InputError for what cannot be."""
        ...

    def execute(self) -> str:
        """Do the work; returns what to say at the end. Raises AvsyncError for what the person can mend."""
        ...


class Parsed:
    """Parses a command from the types of its own fields."""

    switch_pairs: ClassVar[bool] = False
    """Each switch has a flag for off, too; else what is off unless a flag sets it needs no flag to be off."""
    presets: ClassVar[Mapping[str, Callable[[], Any]]] = {}
    """Of a command whose --preset gives the defaults of its `config`: the first one is for who names none."""

    @classmethod
    def parse(cls, arguments: Sequence[str], prog: str) -> Self:
        """Raises SystemExit after --help, InputError for a wrong or missing flag or a value that cannot be."""
        check_typed(cls, arguments, prog)
        default: dict[str, Any] = {"default": cls._default(arguments)} if cls.presets else {}
        config = () if cls.switch_pairs else (FlagCreatePairsOff,)
        command = tyro.cli(cls, args=list(arguments), prog=prog, config=config, registry=registry(), **default)
        return filled_in(command)

    @classmethod
    def _default(cls, arguments: Sequence[str]) -> Self:
        """The preset first, since it sets the defaults of the other flags, which --help shows."""
        takes = declared(cls)
        named = [
            str(one.value) for one in typed_words(arguments, takes.flags) if one.flag and one.flag.field == "preset"
        ]
        preset = named[-1] if named and named[-1] in cls.presets else next(iter(cls.presets))
        values: dict[str, Any] = {word.field: tyro.MISSING for word in takes.words}
        return cls(**values | {"preset": preset, "config": cls.presets[preset]()})


def registry() -> ConstructorRegistry:
    """How values are read, and what help calls them."""
    rules = ConstructorRegistry()

    @rules.primitive_rule
    def _(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
        types = {*(get_args(info.type) or (info.type,))} - {NoneType}
        kind = KINDS.get(types.pop()) if len(types) == 1 else None
        return kind and _spec(kind)

    return rules


def _spec(kind: FieldKind) -> PrimitiveConstructorSpec[Any]:
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=kind.metavar,
        instance_from_str=lambda words: kind.read(words[0]),
        is_instance=lambda value: True,
        str_from_instance=lambda value: ["unset" if value is None else str(value)],
    )


# What was typed for a path, wherever in a command's settings it stands. Fields whose type is Path are read so from the
# first; those whose type is str, because old records hold them so, carry the note IS_PATH.


def filled_in(command: T) -> T:
    """The command, or settings, with the texts that are paths filled in. Raises InputError."""
    changed = dict[str, Any]()
    for name, value, noted in _values(command):
        if is_dataclass(value):
            changed[name] = filled_in(value)
        elif noted and isinstance(value, str):
            changed[name] = typed_path(value)
        elif noted and isinstance(value, tuple):
            changed[name] = tuple(map(typed_path, value))
    changed = {name: value for name, value in changed.items() if value != getattr(command, name)}
    return replace(command, **changed) if changed else command  # pyright: ignore[reportArgumentType, reportCallIssue, reportUnknownVariableType]


def _paths(command: object) -> Iterator[Path]:
    """In the order of the fields. URLs are none; what takes several is left out."""
    for _, value, noted in _values(command):
        if is_dataclass(value):
            yield from _paths(value)
        elif isinstance(value, Path) or (noted and isinstance(value, str) and value and not is_url(value)):
            yield Path(value)


def check_links(command: object, made: Collection[Path] = ()) -> None:
    """Raises InputError for a path of the command that is, or goes through, a link that leads nowhere.

    made: paths that others will make. Of several files that were typed each is looked at when its turn comes.
    """
    for path in _paths(command):
        if path not in made and (why := broken_link(path)):
            raise InputError(f"{why}; mend the link, or name another path")


def _values(command: object) -> Iterator[tuple[str, Any, bool]]:
    """(name, value, whether it carries the note) of each field of a dataclass."""
    if not is_dataclass(command):
        return
    hints = get_type_hints(type(command), include_extras=True)
    for field in fields(command):
        yield field.name, getattr(command, field.name), IS_PATH in getattr(hints[field.name], "__metadata__", ())

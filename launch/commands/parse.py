"""From typed words to a command's dataclass, by tyro: its fields are the flags, the line under a field is its help."""

from collections.abc import Callable, Mapping, Sequence
from types import NoneType
from typing import Any, ClassVar, Protocol, Self, get_args

import tyro
from tyro.conf import FlagCreatePairsOff
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from launch.commands.flags import KINDS, FieldKind, check_typed, declared, typed_words


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
        return tyro.cli(cls, args=list(arguments), prog=prog, config=config, registry=registry(), **default)

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

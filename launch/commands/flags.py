"""Commands as a person would type them: names quoted for the shell, settings as flags."""

import shlex
from collections.abc import Collection
from dataclasses import fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


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

"""Paths as people write them, in flags and in profiles: `~` and variables filled in, or refused by name.

A shell does that to most of what is typed, but not behind a flag's `=`, nor between quotes, nor in a file. What is left
as it is becomes a folder called `~` or `$SLURM_TMPDIR` somewhere else. Where a node fills in, `$$` is a dollar.
Anyone may import this.
"""

import os
import pwd
import re
from collections.abc import Mapping
from typing import NamedTuple

from sharding.base.text import first_few, plain
from sharding.errors import InputError

_VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})", re.ASCII)
_OR_DOLLAR = re.compile(rf"(?P<dollar>\$\$)|{_VARIABLE.pattern}", re.ASCII)
_OF_SHELLS = re.compile(r"\$[{(]")
"""`${X:-y}`, `$(command)`: only a shell can fill these in."""
_URL = re.compile(r"pipe:|[A-Za-z][A-Za-z0-9+.-]*://")
_PLAIN = re.compile(r"[\w.+@%=,:${}-]*")
"""An element of a path that a script may have put together; one with blanks or quotes in it is a name."""


class FilledIn(NamedTuple):
    """A text in which $NAME and ${NAME} were filled in."""

    text: str
    unset: tuple[str, ...]
    """Names that are not set, or empty: what they stand for is missing in the text."""


def fill_in(text: str, variables: Mapping[str, str]) -> FilledIn:
    """$NAME and ${NAME} by their values, $$ by a dollar; what is no name stays as it is."""
    names = variables_in(text)

    def value(found: re.Match[str]) -> str:
        return "$" if found["dollar"] else variables.get(found[2] or found[3], "")

    return FilledIn(_OR_DOLLAR.sub(value, text), tuple(name for name in names if not variables.get(name)))


def variables_in(text: str) -> tuple[str, ...]:
    """Names of the variables that `fill_in` would look up, each once."""
    found = (match[2] or match[3] for match in _OR_DOLLAR.finditer(text))
    return tuple(dict.fromkeys(name for name in found if name))


class PathNote:
    """Stands beside the type of a setting that is a path, though its type is str: Annotated[str, IS_PATH]."""


IS_PATH = PathNote()


def home_of(user: str = "", environment: Mapping[str, str] = os.environ) -> str:
    """A home folder, one's own without `user`; empty where nobody knows it: a container, a directory service away."""
    own = "" if user else environment.get("HOME", "")
    if own:
        return own
    try:
        return (pwd.getpwnam(user) if user else pwd.getpwuid(os.getuid())).pw_dir
    except (KeyError, ValueError):  # ValueError: a zero byte, which no name holds
        return ""


def unset_variables(text: str, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Names of the variables in `text` that are not set, or empty, in order."""
    names = (one or other for one, other in _VARIABLE.findall(text))
    return list(dict.fromkeys(name for name in names if not environment.get(name)))


def written_path(text: str, name: str, environment: Mapping[str, str] = os.environ, *, absolute: bool = False) -> str:
    """`text` with `~`, `~user`, `$X` and `${X}` filled in. `name` begins messages: the flag or setting that it is of.

    Raises InputError, naming what cannot be filled in; with `absolute` also for a path that depends on where one is.
    """
    shown = f"{name} {plain(text)}".strip()
    if unset := unset_variables(text, environment):
        remedy = "set it, or write the folder itself" if len(unset) == 1 else "set them, or write the folder itself"
        are = "is" if len(unset) == 1 else "are"
        raise InputError(f"{shown}: {first_few([f'${one}' for one in unset])} {are} not set here; {remedy}")
    if _OF_SHELLS.search(_VARIABLE.sub("", text)):
        raise InputError(f"{shown}: only $NAME and ${{NAME}} are filled in; write the folder itself")
    path = _VARIABLE.sub(lambda found: environment[found[1] or found[2]], _from_home(text, shown, environment))
    if absolute and not os.path.isabs(path):
        raise InputError(f"{shown} must begin with /: elsewhere it would be another folder; write all of it")
    return path


def is_url(text: str) -> bool:
    """A folder called `pipe:x` or `a://b` would have to be typed as ./pipe:x."""
    return _URL.match(text) is not None


def typed_path(text: str, name: str = "") -> str:
    """The same for what was typed in a command, where a shell had its say: what is there under that very name stays
    as it is, as do names with blanks or quotes, and URLs. Raises InputError.
    """
    if is_url(text):
        return text
    elements = text.split("/")
    of_script = [number for number, element in enumerate(elements) if "$" in element]
    if of_script and not all(_PLAIN.fullmatch(elements[number]) for number in of_script):
        return _from_home(text, f"{name} {plain(text)}".strip(), os.environ)
    if of_script and os.path.lexists("/".join(elements[: of_script[-1] + 1])):
        return text
    return written_path(text, name)


def _from_home(text: str, shown: str, environment: Mapping[str, str]) -> str:
    if not text.startswith("~"):
        return text
    user, slash, rest = text[1:].partition("/")
    if home := home_of(user, environment):
        return home.rstrip("/") + slash + rest or "/"
    if user:
        raise InputError(f"{shown}: there is no user {plain(user)} here; for a name that begins with ~ write ./~")
    raise InputError(f"{shown}: HOME is not set, and this account has no home folder; write the folder itself")

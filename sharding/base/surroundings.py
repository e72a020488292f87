"""What a machine may lack around a command: letters on its terminal, a name for the account, a home, room for caches.

No command may die of that: a login node with LANG=en_US.ISO-8859-1, a container with a strange user number, a home that
is away or read-only. What a terminal cannot show is replaced; names of files are the same text in every locale; caches
of libraries go into a private folder where they have no other. Anyone may import this.
"""

import codecs
import getpass
import os
import sys
from contextlib import suppress
from io import TextIOBase

from sharding.base.caches import settle_caches
from sharding.base.written_paths import home_of
from sharding.errors import InputError

_ALIKE = {"-": "━─═╸╺–—−", "|": "│┃║", "'": "‘’", '"': "“”", ".": "…·", "x": "×", ">": "→≥", "<": "←≤", "#": "■█"}
SIMPLER = {letter: simple for simple, letters in _ALIKE.items() for letter in letters}
"""What stands for a letter that cannot be shown: as wide as it, so that tables keep their columns."""
REPLACED = "avsync-replaced"
"""Name of the error handler, for codecs."""
_TERMINAL = "AVSYNC_TERMINAL_ENCODING"
"""Set over a restart alone: what the terminal understands."""


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    return "".join(SIMPLER.get(letter, "+" if "┌" <= letter <= "╿" else "?") for letter in letters), error.end


def speak_anywhere() -> None:
    """From now on nothing that is printed can fail for its letters. On stderr they become escapes, as Python has it."""
    codecs.register_error(REPLACED, _replaced)
    encoding = os.environ.pop(_TERMINAL, None)
    for stream, errors in ((sys.stdout, REPLACED), (sys.stderr, "backslashreplace")):
        if isinstance(stream, TextIOBase) and hasattr(stream, "reconfigure"):
            with suppress(LookupError):  # a codec that this Python lacks
                stream.reconfigure(encoding=encoding)  # pyright: ignore[reportAttributeAccessIssue]
            stream.reconfigure(errors=errors)  # pyright: ignore[reportAttributeAccessIssue]


def restart_in_utf8() -> None:
    """Where the locale names files in another encoding, start this program again in Python's UTF-8 mode.

    Records, scripts and other machines name them in UTF-8: as other text they would be other files. What the terminal
    understands stays. Does not return when it restarts.
    """
    if _is_utf8(sys.getfilesystemencoding()) or _TERMINAL in os.environ:
        return
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    os.environ.update({"PYTHONUTF8": "1", _TERMINAL: encoding})
    with suppress(OSError):  # then it goes on as it is
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    del os.environ[_TERMINAL]


def _is_utf8(encoding: str) -> bool:
    return codecs.lookup(encoding).name == "utf-8"


# The account: libraries ask for its name and its home, and keep caches there (caches.py).


def settle_account(*, compiles: bool = False) -> None:
    """Give this process, and those that it starts, what the account lacks, by variables of the environment.

    A name where nobody knows it: torch asks for one. A home where there is none, so that none is made up from `~`. And
    a folder for each cache that cannot stay where it is. compiles: torch is about to be loaded.
    """
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = f"user-{os.getuid()}"
    home = home_of()
    private = settle_caches(home, make=compiles)
    if not os.environ.get("HOME") and (home or private):
        os.environ["HOME"] = home or str(private)


def check_here() -> None:
    """Raises InputError where the current folder is gone: whatever is typed without / would lie nowhere."""
    try:
        os.getcwd()
    except OSError as error:
        raise InputError(
            f"the folder that you are in was deleted, or is out of reach ({error.strerror}): cd to another one"
        ) from None

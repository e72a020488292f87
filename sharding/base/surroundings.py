"""What a machine may lack around a command: letters on its terminal, a name for the account, a home, room for caches.

No command may die of that: a login node with LANG=en_US.ISO-8859-1, a container with a strange user number, a home that
is away or read-only. What a terminal cannot show is replaced; names of files are the same text in every locale; caches
of libraries go into a private folder where they have no other. Anyone may import this.
"""

import atexit
import codecs
import getpass
import os
import shutil
import stat
import sys
import tempfile
from contextlib import suppress
from io import TextIOBase
from pathlib import Path

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


# The account: libraries ask for its name and its home, and keep caches there.

_CACHES = {
    "MPLCONFIGDIR": ("{config}/matplotlib", "{cache}/matplotlib"),
    "XDG_CACHE_HOME": ("{cache}",),
    "TRITON_CACHE_DIR": ("{home}/.triton/cache",),
    "CUDA_CACHE_PATH": ("{home}/.nv/ComputeCache",),
}
"""Variable that moves a library's cache -> where it is without. XDG_CACHE_HOME: of fontconfig, and torch's kernels."""


def settle_account() -> None:
    """Give this process, and those that it starts, what the account lacks, by variables of the environment.

    A name where nobody knows it: torch asks for one. A home where there is none, so that none is made up from `~`. And
    a folder for each cache that could not be written: libraries tell of that in every log, or are slow each time.
    """
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = f"user-{os.getuid()}"
    home = home_of()
    bases = {
        "home": home,
        "cache": os.environ.get("XDG_CACHE_HOME") or f"{home}/.cache",
        "config": os.environ.get("XDG_CONFIG_HOME") or f"{home}/.config",
    }
    lacking = list[str]()
    for variable, usual in _CACHES.items():
        chosen = os.environ.get(variable)
        folders = [chosen] if chosen else [one.format_map(bases) for one in usual if home]
        if not folders or not all(map(_writable, folders)):
            lacking.append(variable)
    private = _private_folder() if lacking else None
    if not os.environ.get("HOME") and (home or private):
        os.environ["HOME"] = home or str(private)
    if private is None:
        return
    for variable in lacking:
        folder = private / variable.partition("_")[0].lower()
        with suppress(OSError):
            folder.mkdir(mode=0o700, exist_ok=True)
            os.environ[variable] = str(folder)


def check_here() -> None:
    """Raises InputError where the current folder is gone: whatever is typed without / would lie nowhere."""
    try:
        os.getcwd()
    except OSError as error:
        raise InputError(
            f"the folder that you are in was deleted, or is out of reach ({error.strerror}): cd to another one"
        ) from None


def _writable(folder: str) -> bool:
    """A folder that is there, or could be made."""
    while not os.path.lexists(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    try:
        os.rmdir(tempfile.mkdtemp(prefix=".avsync-", dir=folder))  # rights alone tell nothing of a full quota
    except OSError:
        return False
    return True


def _private_folder() -> Path | None:
    """For nobody else to read or to put something into: a cache holds code. None where nothing can be written."""
    try:
        shared = Path(tempfile.gettempdir(), f"avsync-{os.getuid()}")
        with suppress(FileExistsError):
            shared.mkdir(mode=0o700)
        found = shared.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077:
            return shared
        own = tempfile.mkdtemp(prefix="avsync-")  # somebody else has that name
    except OSError:
        return None
    atexit.register(shutil.rmtree, own, ignore_errors=True)
    return Path(own)

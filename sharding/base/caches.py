"""Where libraries keep what they compile: in folders of the user's own, where nobody else can put something.

torch.compile and triton run what lies in their caches, and unpickle it; matplotlib, fontconfig and CUDA read theirs. By
default torch's is TMPDIR/torchinductor_USER, which any user of the node can make before us. So each folder is looked
at before its library reads anything, with those above it; where others may write, a private folder takes its place, and
so it does where nothing can be written. torch's is on the node's own disk: nodes of one job do not share it.
"""

import atexit
import getpass
import os
import re
import shutil
import socket
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from sharding.base.environment import is_first_rank
from sharding.base.text import plain
from sharding.base.trusted import exposed, exposed_inside

_CACHES = {
    "MPLCONFIGDIR": ("{config}/matplotlib", "{cache}/matplotlib"),
    "XDG_CACHE_HOME": ("{cache}",),
    "TRITON_CACHE_DIR": ("{triton}/.triton/cache",),
    "TORCH_EXTENSIONS_DIR": ("{cache}/torch_extensions",),
    "TORCHINDUCTOR_CACHE_DIR": ("{torch}",),
    "CUDA_CACHE_PATH": ("{home}/.nv/ComputeCache",),
}
"""Variable that moves a library's cache -> where it is without. XDG_CACHE_HOME: of fontconfig, and torch's kernels."""
_BYTECODE = "PYTHONPYCACHEPREFIX"
_TORCHS_OWN = re.compile(r'[\\/:*?"<>|]')
"""Letters of a user's name that torch replaces in the name of its folder."""


def settle_caches(home: str, *, make: bool) -> Path | None:
    """Set the variable of each cache that cannot stay where it is; a person's own choice stays, unless others may write
    there, which is said in one warning. make: torch's folder, before somebody else does. Returns the private folder
    where one was needed, and could be had.
    """
    temporary, bases = _temporary(), _bases(home)
    default = Path(bases["torch"])
    open_above = exposed_inside(Path(temporary)) if temporary else ""
    if temporary and not open_above:
        _hold(default, make=make)
    moved, warned = list[str](), dict[str, str]()
    for variable, usual in _CACHES.items():
        chosen = os.environ.get(variable)
        folders = [chosen] if chosen else _usual(usual, bases)
        why = next((found for one in folders if (found := exposed(Path(one)))), "")
        linked = str(default) in folders and default.is_symlink()  # in a folder of all, it was left there
        if why or linked or not folders or not all(map(_writable, folders)):
            moved.append(variable)
        if why and (chosen or why == open_above or "belongs to" in why):
            warned.setdefault(why, f"{variable}={chosen}: {why}" if chosen else why)
    # torch keeps compiled headers in its default, whatever the variable says
    unsafe = bool(temporary and (open_above or default.is_symlink() or exposed(default)))
    private = _private_folder(bases) if moved or unsafe else None
    if private:
        for variable in moved:
            _give(variable, private / variable.partition("_")[0].lower())
    if private and unsafe:
        _give("TMPDIR", private / "tmp")
        tempfile.tempdir = None
    _settle_bytecode(warned)
    _warn(list(warned.values()), private)
    return private


def _hold(folder: Path, *, make: bool) -> None:
    """Have it before somebody else does; whatever is there already is looked at afterwards."""
    with suppress(OSError):
        if make:
            folder.mkdir(mode=0o700, exist_ok=True)
        # what is a link, or no folder, is none of ours, and keeps its mode
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if not exposed(folder):
                os.fchmod(handle, 0o700)  # in it lie folders as open as the umask had it
        finally:
            os.close(handle)


def _bases(home: str) -> dict[str, str]:
    """What stands for {...} above; empty where it is not known."""
    temporary = _temporary()
    name = _TORCHS_OWN.sub("_", getpass.getuser())
    return {
        "home": home,
        "cache": os.environ.get("XDG_CACHE_HOME") or (f"{home}/.cache" if home else ""),
        "config": os.environ.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else ""),
        "triton": os.environ.get("TRITON_HOME") or home,
        "torch": f"{temporary}/torchinductor_{name}" if temporary else "",
    }


def _usual(patterns: tuple[str, ...], bases: dict[str, str]) -> list[str]:
    names = (pattern.partition("{")[2].partition("}")[0] for pattern in patterns)
    return [pattern.format_map(bases) for pattern, name in zip(patterns, names, strict=True) if bases[name]]


def _temporary() -> str:
    """Empty where no temporary file can be made."""
    try:
        return tempfile.gettempdir()
    except OSError:
        return ""


def _give(variable: str, folder: Path) -> None:
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        os.environ[variable] = str(folder)


def _settle_bytecode(warned: dict[str, str]) -> None:
    """Python's own cache of compiled modules, where it was moved: then it lies beside the modules."""
    chosen = os.environ.get(_BYTECODE)
    if chosen and (why := exposed(Path(chosen))):
        del os.environ[_BYTECODE]
        sys.pycache_prefix = None
        warned.setdefault(why, f"{_BYTECODE}={chosen}: {why}")


def _warn(reasons: list[str], private: Path | None) -> None:
    if not reasons or not is_first_rank():
        return
    instead = f"{private} is used instead" if private else "and there is no other place: name a folder of your own"
    lines = plain("; ".join(reasons))
    with suppress(OSError):
        sys.stderr.write(f"avsync: warning: others could put code there that you would run: {lines}; {instead}\n")


def _writable(folder: str) -> bool:
    """A folder that is there, or could be made."""
    while not os.path.lexists(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    try:
        os.rmdir(tempfile.mkdtemp(prefix=".avsync-", dir=folder))  # rights alone tell nothing of a full quota
    except OSError:
        return False
    return True


def _private_folder(bases: dict[str, str]) -> Path | None:
    """For nobody else to read or to put something into; None where nothing can be written."""
    for folder in _places(bases):
        if exposed_inside(folder.parent):
            continue
        with suppress(OSError):
            if _is_private(folder):
                return folder
            own = tempfile.mkdtemp(prefix="avsync-", dir=folder.parent)  # somebody else has that name
            atexit.register(shutil.rmtree, own, ignore_errors=True)
            return Path(own)
    return None


def _places(bases: dict[str, str]) -> Iterator[Path]:
    """The node's own disk first: what is compiled for one machine is nothing to others."""
    if temporary := _temporary():
        yield Path(temporary, f"avsync-{os.getuid()}")
    if bases["cache"]:
        yield Path(bases["cache"], f"avsync-{socket.gethostname()}")
    for folder in ("/tmp", "/var/tmp"):
        yield Path(folder, f"avsync-{os.getuid()}")


def _is_private(folder: Path) -> bool:
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077

"""What to say when a library does not load: missing, broken, built for another machine, or met by a limit of the shell.

That is the machine's trouble and no bug of ours; the remedy is known. Anyone may import this.
"""

import errno
import os
import re
import resource
import signal
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from traceback import walk_tb
from types import FrameType

from sharding.base.environment import HOME, is_first_rank
from sharding.base.text import plain, size
from sharding.errors import AvsyncError

_OURS = frozenset(("sharding", "avsync", "launch", "slurm", "benchmarks", "tests"))
"""Folders of HOME. The libraries may lie in it, too: .venv."""
_NO_MEMORY = re.compile("failed to map segment|can.?.?.?t allocate memory|out of memory|bad_alloc", re.IGNORECASE)
_NO_THREAD = re.compile("can't start new thread|pthread_create failed|unable to start thread", re.IGNORECASE)
_RAISE = "raise it, or let a job do this (avsync submit)"
LONGEST_REASON = 200
ENOUGH = 8 * 2**30
"""Bytes of address space in which every library loads: torch with CUDA takes 3.3 GB."""


FAULTS = {
    "torch": (
        (2, 10),
        "a checkpoint made for it can run code as it is read (CVE-2026-24747): read only those you trust",
    ),
    "FFmpeg": ((8, 1, 2), "a video made for it can overwrite memory (CVE-2026-8461): pack only videos that you trust"),
    "av": (
        (18, 1),
        "it brings an FFmpeg before 8.1.2, in which a video made for it can overwrite memory (CVE-2026-8461)",
    ),
}
"""Library -> the first version without a fault that matters here, and what the fault does. pyproject asks for as much;
an FFmpeg of the system may be older, or mended under an old number."""
_NUMBERS = re.compile(r"\D*(\d+(?:\.\d+)*)")


def known_fault(library: str, version: str) -> str:
    """`torch 2.8.0 is older than 2.10: ...`; empty for a version without the fault, or one that says no number."""
    mended, fault = FAULTS[library]
    found = _NUMBERS.match(version)
    if not found or tuple(map(int, found[1].split("."))) >= mended:
        return ""
    return f"{library} {plain(version)} is older than {'.'.join(map(str, mended))}: {fault}"


@cache
def warn_of_fault(library: str, version: str) -> None:
    """Once, in a process that is about to use it on what others may have made."""
    if (fault := known_fault(library, version)) and is_first_rank():
        with suppress(OSError):
            sys.stderr.write(f"avsync: warning: {fault}\n")


def load_trouble(error: BaseException) -> str:
    """Which library did not load, why, and what to do; empty when the error is something else."""
    library = _library_of(error)
    if not library:
        return ""
    words = plain(" ".join(str(error).split())) or type(error).__name__
    reason = words if len(words) <= LONGEST_REASON else f"{words[:LONGEST_REASON]}..."
    return f"{library} does not load here: {reason}; {_remedy(error, library)}"


def _library_of(error: BaseException) -> str:
    """The package whose import has raised it; empty when none has, or one of ours."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    ours = [number for number, frame in enumerate(frames) if _is_ours(frame)]
    below = frames[ours[-1] + 1 :] if ours else frames
    loading = [frame.f_globals["__name__"].partition(".")[0] for frame in below if frame.f_code.co_name == "<module>"]
    if loading:
        return loading[-1]
    missing = (error.name or "").partition(".")[0] if isinstance(error, ImportError) else ""
    return "" if missing in _OURS else missing


def _is_ours(frame: FrameType) -> bool:
    path = Path(frame.f_code.co_filename)
    return path.is_relative_to(HOME) and path.relative_to(HOME).parts[0] in _OURS


def _remedy(error: BaseException, library: str) -> str:
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == library:
        return f"{sys.executable} has no {library}: make setup installs it, and TORCH=keep takes a cluster's own torch"
    if _limited():  # a library that gets too little memory fails in many ways
        return f"this shell allows {_allowed()}; {_RAISE}"
    return (
        "load the modules that it was built with, or install it anew: make setup, with TORCH=keep for a cluster's own "
        "torch; or let a job do this (avsync submit)"
    )


def limit_trouble(error: BaseException) -> str:
    """What to say of a limit of this shell that work has met; empty when the error is something else."""
    no_process = isinstance(error, BlockingIOError) and error.strerror == os.strerror(errno.EAGAIN)
    if no_process or _NO_THREAD.search(str(error)):
        limit, _ = resource.getrlimit(resource.RLIMIT_NPROC)
        own = "" if limit == resource.RLIM_INFINITY else f" {limit:,} of this user (ulimit -u), or"
        return f"no more threads or processes can be started: the shell allows{own} {_allowed()}; {_RAISE}"
    return _too_little_memory(error)


def _too_little_memory(error: BaseException) -> str:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    full = isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
    if limit == resource.RLIM_INFINITY or not (full or _NO_MEMORY.search(str(error))):
        return ""
    return f"this shell allows {_allowed()}; {_RAISE}"


def _allowed() -> str:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return "no more" if limit == resource.RLIM_INFINITY else f"{size(limit)} of memory (ulimit -v)"


def _limited() -> bool:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return limit != resource.RLIM_INFINITY and limit < ENOUGH


def check_loads(library: str) -> None:
    """Where this shell allows little memory, a library may end the process while it loads, without a word.

    So it is tried in another process first. Raises AvsyncError.
    """
    if not _limited():
        return
    tried = subprocess.run([sys.executable, "-c", f"import {library}"], capture_output=True, check=False)
    if tried.returncode < 0:
        name = signal.Signals(-tried.returncode).name
        raise AvsyncError(
            f"{library} does not load here: it ends with {name}; this shell allows {_allowed()}; {_RAISE}"
        )

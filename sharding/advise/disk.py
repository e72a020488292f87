"""Make the system forget files, so that reading them again is reading the disk. Linux only; elsewhere it says no."""

import errno
import os
from collections.abc import Sequence
from pathlib import Path


def forget(paths: Sequence[Path]) -> bool:
    """Ask the system to drop the contents of these files from memory. True when it has, as far as one can tell."""
    if not hasattr(os, "posix_fadvise"):
        return False
    for path in paths:
        _drop(path)
    gone = _would_wait(paths[-1])
    _drop(paths[-1])  # asking may have made the system fetch some of it
    return gone


def _drop(path: Path) -> None:
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _would_wait(path: Path) -> bool:
    """Whether the end of a file must be fetched first. What the system cannot answer counts as no."""
    with path.open("rb", buffering=0) as file:
        try:
            os.preadv(file.fileno(), [bytearray(1)], max(0, os.fstat(file.fileno()).st_size - 1), os.RWF_NOWAIT)
        except OSError as error:
            return error.errno == errno.EAGAIN
        return False

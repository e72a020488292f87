"""Sources that hold the same bytes as another one: the same file under two names, or copied.

Most files are told apart by their size alone. Of those that share one, both ends are read, and the rest only where
these agree, too. Two rows of one video with different seconds or tracks are no duplicates; nor is what cannot be read.
"""

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from sharding.sources.source import Source

END_BYTES = 64 * 1024
"""Read at either end of a file first: headers and last packets differ nearly always."""
THREADS = 16
"""They wait for disks, or for a file server, rather than for cores."""
AT_ONCE = 32
"""Files a thread takes at a time."""

Progress = Callable[[str, int, int], None]
"""What is looked at (sizes, ends, bytes), at how many files, of how many. Called in the caller's thread."""
T = TypeVar("T")
R = TypeVar("R")


class _File(NamedTuple):
    """A file itself, whatever names and links lead to it."""

    size: int
    date: int
    inode: Hashable
    """Device and inode, or a path: a network file system may have none, or use one again: size and date count too."""


def find_duplicates(
    sources: Sequence[Source], first: Set[str] = frozenset(), progress: Progress | None = None
) -> dict[str, Source]:
    """Id of a source -> the one whose bytes (and seconds, and tracks) it repeats.

    The earlier of two stays, but what is in `first` (ids, those of the dataset so far) stays before all others.
    """
    contents = _contents([source.path for source in sources], progress or _nobody)
    kept: dict[Hashable, Source] = {}
    repeats: dict[str, Source] = {}
    in_order = sorted(zip(sources, contents, strict=True), key=lambda pair: pair[0].id not in first)
    for source, content in in_order:
        if content is None:
            continue
        twin = kept.setdefault((content, _piece(source)), source)
        if twin is not source:
            repeats[source.id] = twin
    return repeats


def _piece(source: Source) -> Hashable:
    """What of its file a source is: its seconds, and the tracks where a row is of one of them."""
    tracks = () if source.sound_late_ms is None else tuple(path.track for path in source.crops or ())
    return source.span or (Fraction(0), None), tracks


def _nobody(what: str, done: int, total: int) -> None:
    pass


def _contents(paths: Sequence[Path], progress: Progress) -> list[Hashable | None]:
    """For each path something that is equal where the bytes are; None where they cannot be read."""
    pool = ThreadPoolExecutor(THREADS)
    try:
        look = _Look(pool, progress)
        found = look.each("sizes", _file, paths)
        names = {file: path for path, file in zip(paths, found, strict=True) if file is not None}
        contents: dict[_File, Hashable | None] = {file: file for file in names}
        alike = _shared(names, {file: file.size for file in names})
        ends = look.each("ends", _ends, [(names[file], file.size) for file in alike])
        contents |= zip(alike, ends, strict=True)
        long = [file for file in _shared(alike, contents) if file.size > 2 * END_BYTES]
        contents |= zip(long, look.each("bytes", _whole, [names[file] for file in long], at_once=1), strict=True)
        return [None if file is None else contents[file] for file in found]
    finally:
        pool.shutdown(cancel_futures=True)


def _shared(files: Iterable[_File], contents: dict[_File, Hashable | None]) -> list[_File]:
    """Those whose content looks like another's."""
    files = list(files)
    count = Counter(contents[file] for file in files)
    return [file for file in files if contents[file] is not None and count[contents[file]] > 1]


class _Look:
    """Looks at many files in several threads."""

    def __init__(self, pool: ThreadPoolExecutor, progress: Progress) -> None:
        self._pool, self._progress = pool, progress

    def each(self, what: str, work: Callable[[T], R], items: Sequence[T], at_once: int = AT_ONCE) -> list[R | None]:
        """`work` of each item, in order; None where it cannot be read."""
        pieces = [items[start : start + at_once] for start in range(0, len(items), at_once)]
        results = list[R | None]()
        for piece in self._pool.map(partial(_readable, work), pieces):
            results += piece
            self._progress(what, len(results), len(items))
        return results


def _readable(work: Callable[[T], R], items: Sequence[T]) -> list[R | None]:
    results = list[R | None]()
    for item in items:
        try:
            results.append(work(item))
        except OSError:
            results.append(None)  # packing will say why
    return results


def _file(path: Path) -> _File | None:
    facts = os.stat(path)
    if not stat.S_ISREG(facts.st_mode) or not facts.st_size:
        return None
    inode = (facts.st_dev, facts.st_ino) if facts.st_ino else os.path.realpath(path)
    return _File(facts.st_size, facts.st_mtime_ns, inode)


def _ends(named: tuple[Path, int]) -> Hashable:
    """Digest of the first and last bytes, and the size: of a short file all of it."""
    path, size = named
    with open(path, "rb") as file:
        digest = hashlib.sha256(file.read(END_BYTES))
        file.seek(max(END_BYTES, size - END_BYTES))
        digest.update(file.read(END_BYTES))
    return size, digest.digest()


def _whole(path: Path) -> Hashable:
    with open(path, "rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").digest()

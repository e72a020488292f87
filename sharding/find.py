"""Which videos to pack: a folder tree or a CSV becomes a sorted list of sources.

Looks at names only; no video is opened here.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sharding.errors import InputError
from sharding.source_table import read_table
from sharding.sources import Source, printable, source_id

SUFFIXES = frozenset(
    ".3g2 .3gp .asf .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .mxf .ogg .ogv .ts .vob .webm .wmv".split()
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceList:
    """All sources of one input, sorted by relative path."""

    sources: tuple[Source, ...]
    ignored: int = 0
    """Files of the folder that are no videos, by their suffix."""


def find_sources(videos: Path) -> SourceList:
    """List the sources in a folder tree or CSV. Raises InputError when there is none, or a row is wrong."""
    try:
        if videos.is_dir():
            found = _walk(videos)
        elif videos.is_file() and videos.suffix.lower() == ".csv":
            found = SourceList(sources=tuple(read_table(videos)))
        elif videos.exists():
            raise InputError(f"{videos} is neither a folder of videos nor a .csv that lists them; name its folder")
        else:
            raise InputError(f"{videos} does not exist; name a folder of videos or a .csv that lists them")
    except OSError as error:
        raise InputError(f"cannot read {error.filename or videos}: {error.strerror}") from error
    if not found.sources:
        raise InputError(
            f"{videos} holds no videos ({found.ignored} other files); known suffixes are {' '.join(sorted(SUFFIXES))}"
        )
    _check_ids(found.sources)
    return SourceList(sources=tuple(sorted(found.sources, key=lambda one: (one.rel, one.id))), ignored=found.ignored)


def _check_ids(sources: tuple[Source, ...]) -> None:
    """Two names with one digest would share their keys; by chance it happens to none."""
    seen: dict[str, Source] = {}
    for source in sources:
        twin = seen.setdefault(source.id, source)
        if twin is not source:
            raise InputError(f"{twin.rel!r} and {source.rel!r} would both be called {source.id}; rename one of them")


def _walk(videos: Path) -> SourceList:
    sources, ignored = [], 0
    for path in _files(videos):
        if path.suffix.lower() not in SUFFIXES:
            ignored += 1
            continue
        rel = path.relative_to(videos).as_posix()
        action = path.parent.name if path.parent != videos else videos.resolve().name
        sources.append(
            Source(id=source_id(rel), path=path, rel=printable(rel), action=printable(action), group=printable(rel))
        )
    return SourceList(sources=tuple(sources), ignored=ignored)


def _files(folder: Path) -> Iterator[Path]:
    """Every file below, hidden ones left out; a folder reached twice through links is walked once."""
    seen: set[str] = set()

    def refuse(error: OSError) -> None:
        raise error

    for here, folders, names in os.walk(folder, followlinks=True, onerror=refuse):
        real = os.path.realpath(here)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(here, name) for name in sorted(names) if not name.startswith("."))

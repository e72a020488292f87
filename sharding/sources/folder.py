"""The files below a folder, in one order on every machine; by name only, nothing is opened."""

import os
from collections.abc import Iterator
from pathlib import Path

SUFFIXES = frozenset(
    ".3g2 .3gp .asf .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .mxf .ogg .ogv .ts .vob .webm .wmv".split()
)
"""What a video is known by, in lower case."""


def walk(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Each folder below, relative ("" is `folder` itself, "a/b" one inside), and its files' names.

    Hidden ones are left out; a folder reached twice through links is walked once. Raises OSError.
    """
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
        below = os.path.relpath(here, folder)
        yield "" if below == "." else below, sorted(name for name in names if not name.startswith("."))


def is_video(name: str) -> bool:
    """By its suffix."""
    return os.path.splitext(name)[1].lower() in SUFFIXES

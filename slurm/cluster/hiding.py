"""A PATH that lacks some programs, as on a machine where they are not installed."""

import os
from collections.abc import Collection
from pathlib import Path


def path_without(programs: Collection[str], path: str, folder: Path) -> str:
    """`path` with each folder that holds one of `programs` replaced by links, below `folder`, to all others in it."""
    kept = list[str]()
    for number, entry in enumerate(path.split(os.pathsep)):
        holds_one = any(os.path.lexists(os.path.join(entry, program)) for program in programs)
        kept.append(str(_linked(Path(entry), folder / str(number), programs)) if holds_one else entry)
    return os.pathsep.join(kept)


def _linked(folder: Path, links: Path, without: Collection[str]) -> Path:
    if not links.exists():
        links.mkdir(parents=True)
        for entry in folder.iterdir():
            if entry.name not in without:
                (links / entry.name).symlink_to(entry)
    return links

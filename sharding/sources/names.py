"""Names as a list writes them, and as a disk has them: "é" is one character (NFC) or two (NFD, as macOS writes it).

Unicode holds both forms for the same text, a file system for two names. A name that is there exactly is taken at once;
only for one that is not are folders listed. What differs otherwise (case, suffix) is no match, but a hint.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from unicodedata import normalize

from sharding.base.text import first_few, plain


def composed(name: str) -> str:
    """The form in which two names are equal that mean the same text: NFC (Unicode Standard Annex 15)."""
    return name if name.isascii() else normalize("NFC", name)


def folded(name: str) -> str:
    """The same for names that differ in case."""
    return composed(composed(name).casefold())


def stem(name: str) -> str:
    """Without its suffix."""
    return os.path.splitext(name)[0]


def several(names: Iterable[str]) -> str:
    """Why none of `names` is taken: they look alike, so each is written with the escapes of what is not ASCII."""
    known = first_few([ascii(name) for name in sorted(names)])
    return f"but several whose names differ in their Unicode form alone: {known}; rename one, or list its exact name"


def quoted(name: str) -> str:
    """A file name in quotes, whatever bytes it has."""
    return f"'{plain(os.fsencode(name).decode('utf-8', 'replace'))}'"


@dataclass(frozen=True, slots=True)
class Match:
    """Where a name leads."""

    path: Path
    """As the disk writes it; as the list does when there is no such file."""
    trouble: str = ""
    """Why there is none, where more is known than that."""


class NameFinder:
    """Finds what a list names below `root`; keeps what it listed for that."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._listed: dict[Path, dict[str, list[str]]] = {}
        """Folder -> names in it, by their folded stems."""

    def find(self, name: str) -> Match:
        """`name`: a path relative to the root, or from the top; its folders may be written in another form, too."""
        path = self._root / name
        if os.path.lexists(path):
            return Match(path)
        parts = PurePath(name).parts
        folders = [self._root]
        for number, part in enumerate(parts):
            if part == ".." or "/" in part:  # one that leads up, or the top itself
                folders = [folder / part for folder in folders]
                continue
            inside = [folder / known for folder in folders for known in self._like(folder, part)]
            if not inside:
                return Match(path, self._hint(folders, part, is_folder=number < len(parts) - 1))
            folders = inside
        if len(folders) == 1:
            return Match(folders[0])
        return Match(path, f"no such file, {several(_below(self._root, folders))}")

    def _like(self, folder: Path, part: str) -> list[str]:
        """The exact name or names that differ from it in their form alone."""
        return [name for name in self._names(folder).get(folded(stem(part)), ()) if composed(name) == composed(part)]

    def _hint(self, folders: Sequence[Path], part: str, *, is_folder: bool) -> str:
        keys = (folded(stem(part)), folded(part))  # the latter where its suffix is left out
        near = [name for folder in folders for key in keys for name in self._names(folder).get(key, ())]
        same = [name for name in near if folded(name) == folded(part)]
        if is_folder:
            return f"no such file: there is no folder {quoted(part)}, but {quoted(same[0])}" if same else ""
        near = same or near
        return f"no such file; there is {quoted(near[0])}" if near else ""

    def _names(self, folder: Path) -> dict[str, list[str]]:
        if folder not in self._listed:
            names: dict[str, list[str]] = defaultdict(list)
            try:
                for name in sorted(os.listdir(folder)):
                    names[folded(stem(name))].append(name)
            except (OSError, ValueError):
                names.clear()  # opening the file will say why
            self._listed[folder] = names
        return self._listed[folder]


def _below(root: Path, paths: Sequence[Path]) -> list[str]:
    return [str(path.relative_to(root) if path.is_relative_to(root) else path) for path in paths]

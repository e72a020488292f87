"""The current folder may be a stranger's: nothing that lies in it by chance is run, or tells a library what to do.

Python looks for modules in the current folder first when it is started with -m or -c, as worker processes are;
matplotlib obeys a `matplotlibrc` there before any other. Our own processes are told not to look. What a person has
set, and the commands that a person types (`pipe:`, notifications), stay as they are. Anyone may import this.
"""

import importlib.abc
import importlib.machinery
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from sharding.base.trusted import exposed

SAFE_PATH, SET_HERE = "PYTHONSAFEPATH", "AVSYNC_SAFE_PATH"
"""What Python reads (3.11); that we have set it, and not a person."""
STYLE = "matplotlibrc"


def leave_alone() -> None:
    """From now on. Children inherit it."""
    if SAFE_PATH not in os.environ:
        os.environ[SAFE_PATH] = os.environ[SET_HERE] = "1"
    if os.path.lexists(STYLE) and exposed(Path(STYLE)):
        sys.meta_path.insert(0, _ElsewhereImported("matplotlib"))


def persons_environment() -> dict[str, str]:
    """The variables for a command that a person has typed: as they were before us."""
    ours = (SAFE_PATH, SET_HERE) if SET_HERE in os.environ else ()
    return {name: value for name, value in os.environ.items() if name not in ours}


class _ElsewhereImported(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one package while its own folder is the current one; a moment, once."""

    def __init__(self, name: str) -> None:
        self.name = name

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None or not spec.origin:
            return spec
        self.real, self.folder = spec.loader, os.path.dirname(spec.origin)
        spec.loader = self
        return spec

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self.real.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        here = os.open(".", getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.chdir(self.folder)
            self.real.exec_module(module)
        finally:
            os.fchdir(here)
            os.close(here)

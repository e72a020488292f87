"""avsync as a person gets it: the wheel, installed where no checkout is seen."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MADE = ("build", "dist", "demo", "replay", "cluster-demo", "data", "runs")
"""Folders of a checkout that tools and avsync itself have made."""


@dataclass(frozen=True, slots=True)
class Installed:
    """An environment that sees what avsync depends on, and of avsync the wheel alone."""

    wheel: Path
    bin: Path

    def run(self, *words: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """A program of the environment, in a folder that is no checkout."""
        program, *rest = words
        kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        return subprocess.run(
            [self.bin / program, *rest], cwd=cwd, env=kept | environment, capture_output=True, text=True, timeout=280
        )


def install(folder: Path) -> Installed:
    """Build the wheel from a copy of the checkout, offline, and install it in an environment in `folder`."""
    copy, wheels, home = folder / "source", folder / "wheels", folder / "venv"
    shutil.copytree(ROOT, copy, ignore=_no_source)
    offline = ("--quiet", "--no-deps", "--no-index", "--disable-pip-version-check")
    _pip("wheel", *offline, "--no-build-isolation", "--wheel-dir", str(wheels), str(copy))
    venv.create(home, with_pip=False, symlinks=True)
    paths = {"base": str(home), "platbase": str(home)}
    packages = Path(sysconfig.get_path("purelib", "venv", vars=paths))
    # A plain line of a .pth file adds a folder, but not what that folder's own .pth files add: the checkout stays out.
    folders = (path for path in sys.path if Path(path).name in ("site-packages", "dist-packages"))
    (packages / "dependencies.pth").write_text("\n".join(dict.fromkeys(folders)) + "\n")
    (wheel,) = wheels.glob("*.whl")
    _pip("--python", str(home / "bin" / "python"), "install", *offline, str(wheel))
    shutil.rmtree(copy)
    return Installed(wheel, home / "bin")


def _no_source(folder: str, names: list[str]) -> set[str]:
    made = MADE if Path(folder) == ROOT else ()
    return {
        name for name in names if name in made or name.startswith(".") or name.endswith((".egg-info", "__pycache__"))
    }


def _pip(*words: str) -> None:
    done = subprocess.run([sys.executable, "-m", "pip", *words], capture_output=True, text=True)
    if done.returncode:
        pytest.fail(f"pip {' '.join(words)}: {done.stdout}{done.stderr}", pytrace=False)

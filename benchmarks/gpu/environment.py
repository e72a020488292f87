"""A virtual environment that sees torch and all else this Python has, and wheels beside it. Nothing is fetched.

Python's own library alone: it runs before anything is installed.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
LAST_LINES = 5
"""Of what a program that failed has printed."""


class SetUpError(Exception):
    """Why there is no environment."""


def make_environment(folder: Path, wheels: Path) -> Path:
    """Its Python. Raises SetUpError.

    The packages of the Python that runs this are named in it one by one: an environment that is made from another one
    sees that one's base, and not what was installed into it.
    """
    found = sorted(wheels.glob("*.whl"))
    if not found:
        raise SetUpError(f"{wheels} holds no wheels: make it with `make gpu-wheels` where there is a network")
    # without pip of its own: not each Python can make that, and the one that is seen does
    _run([sys.executable, "-m", "venv", "--clear", "--system-site-packages", "--without-pip", str(folder)])
    python = folder / "bin" / "python"
    (own,) = folder.glob("lib/python3*/site-packages")
    (own / "seen.pth").write_text("\n".join([str(ROOT), *packages_of(sys.path)]) + "\n")
    if subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False).returncode:
        _run([str(python), "-m", "ensurepip"])
    # as they lie: what torch, numpy and accelerate bring is there in versions that suit them
    install = ["install", "--quiet", "--no-index", "--no-deps", "--disable-pip-version-check"]
    _run([str(python), "-m", "pip", *install, *map(str, found)])
    return python


def packages_of(paths: Sequence[str]) -> list[str]:
    """Those of a Python's paths that hold installed packages, in their order."""
    return [path for path in paths if Path(path).name in ("site-packages", "dist-packages") and Path(path).is_dir()]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-LAST_LINES:]
        raise SetUpError(f"{' '.join(command[:4])} ... ended by {done.returncode}: {' / '.join(last)}")

"""What a job must find as it was when it was submitted: a copy of avsync, and a note of everything around it."""

import os
import platform
import re
import sys
from importlib.metadata import distributions
from pathlib import Path

from avsync.run.paths import SHIPPED
from sharding.base.environment import HOME, NOTE, commit_of
from sharding.base.files import OWN, OWN_FOLDER, PRIVATE, copy_file, publish, publish_folder
from sharding.base.guarded import claim, make_folder

PACKAGES = ("launch", "avsync", "sharding", "slurm/profiles")
PROFILE = ".toml"
SOURCES = (".py", ".j2", PROFILE)
WEIGHTS = SHIPPED.relative_to(HOME)
"""Where all is taken: a job may name a network that comes with avsync."""
TOLD = re.compile(
    r"AVSYNC_|CC$|CONDA|CUDA|CXX$|GLOO_|HOSTNAME$|KMP_|LANG$|LC_|LD_|LOADEDMODULES$|MKL_|MPI|NCCL_|NVIDIA_|OMP_|PATH$|"
    r"PYTHON|SBATCH_|SLURM_|TMPDIR$|TORCH|USER$|VIRTUAL_ENV$|XLA_"
)
"""Variables that can change what a job does; others are a person's own business."""
SECRET = re.compile(r"TOKEN|SECRET|PASS|KEY|CREDENTIAL|AUTH|JWT", re.IGNORECASE)
_LOGIN = re.compile(r"(\w+://)[^/@\s]+@")


def take_snapshot(folder: Path, home: Path = HOME) -> None:
    """Copy the packages to `folder`, for nobody else to write; the one that was there is replaced. Raises OSError."""
    with publish_folder(folder, mode=OWN_FOLDER) as part:
        claim(part)
        for path in sources(home):
            copy = part / path.relative_to(home)
            make_folder(copy.parent, mode=OWN_FOLDER)
            # a profile may hold a key, and a run's folder is open to more people than a checkout
            copy_file(path, copy, PRIVATE if path.suffix == PROFILE else OWN)
        with publish(part / NOTE, lasting=False, mode=OWN) as file:
            file.write(f"{commit_of(home)}\n".encode())


def make_caches(folder: Path) -> None:
    """Where Python keeps compiled modules of a snapshot; a job would make it as open as its umask. Raises OSError."""
    for package in {path.parent for path in folder.rglob("*.py")}:
        make_folder(package / "__pycache__", mode=OWN_FOLDER)


def sources(home: Path = HOME) -> list[Path]:
    """Every file of a snapshot; no caches, and nothing that an editor left behind."""
    found = (path for package in PACKAGES for path in sorted((home / package).rglob("*")))
    wanted = (path for path in found if path.suffix in SOURCES or path.is_relative_to(home / WEIGHTS))
    return [path for path in wanted if not path.name.startswith(".") and path.is_file()]


def snapshot_bytes(home: Path = HOME) -> int:
    """How much a snapshot takes."""
    return sum(path.stat().st_size for path in sources(home))


def write_environment(path: Path, commit: str) -> None:
    """Versions of all packages, and the variables that matter. Raises OSError."""
    with publish(path, lasting=False, mode=PRIVATE) as file:
        file.write(environment_text(commit).encode(errors="backslashreplace"))


def environment_text(commit: str) -> str:
    """For a person, and for `pip install -r`: what is no package is a comment."""
    packages = {f"{found.name}=={found.version}" for found in distributions()}
    variables = [f"#   {name}={_shown(name, value)}" for name, value in sorted(os.environ.items()) if TOLD.match(name)]
    lines = [
        f"# python {platform.python_version()} ({sys.executable})",
        f"# on {platform.platform()}, {platform.node()}",
        f"# avsync of commit {commit or 'unknown'}",
        "# variables:",
        *variables,
        *sorted(packages, key=str.lower),
    ]
    return "\n".join(line.replace("\n", "\\n") for line in lines) + "\n"


def _shown(name: str, value: str) -> str:
    """Without what must not lie in a folder that others can read."""
    return "***" if SECRET.search(name) else _LOGIN.sub(r"\1***@", value)

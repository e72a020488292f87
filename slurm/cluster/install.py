"""Get SLURM's Debian packages: installed as root, else unpacked into a folder, which needs no rights at all."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from sharding.base.files import publish_folder
from slurm.cluster.packages import UNPACKED, Programs, find_programs
from slurm.cluster.settings import ClusterError

WANTED = ("slurm-wlm", "munge", "slurmdbd", "mariadb-server-core")
PATIENCE = ("-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20", "-o", "Acquire::https::Timeout=20")
"""A machine without network finds that out soon."""


def install(folder: Path = UNPACKED) -> Iterator[str]:
    """Get what is missing; yields what it does, in sentences. Raises ClusterError when it cannot.

    Nothing is done where all programs are found. What was unpacked before is replaced.
    """
    if not (missing := find_programs().missing(accounting=True)):
        return
    yield f"SLURM's {', '.join(missing)} not found: getting the Debian packages {' '.join(WANTED)}"
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise ClusterError("this machine has no apt-get: install SLURM and MUNGE in its own way, with sbatch in PATH")
    if os.geteuid() == 0:
        yield "installing them with apt-get"
        _install_as_root()
    else:
        yield f"not root: unpacking them into {folder}"
        unpack(folder)
    find_programs().check(accounting=True)


def _install_as_root() -> None:
    """Update the lists only where they lack something: that is slow."""
    command = ["apt-get", "install", *PATIENCE, "--yes", "--no-install-recommends", *WANTED]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    if _run(command, environment, check=False):
        return
    _run(["apt-get", "update", *PATIENCE], environment)
    _run(command, environment)


def unpack(folder: Path) -> Programs:
    """Download the packages, with those they need and this machine lacks, and unpack them into `folder`."""
    with publish_folder(folder) as part:
        archives = part / "archives"
        (archives / "partial").mkdir(parents=True)
        (part / "lists/partial").mkdir(parents=True)
        # apt keeps all that it writes in this folder; the list of what is installed it only reads
        own = [f"Dir::Cache={part}", f"Dir::Cache::archives={archives}", "Debug::NoLocking=true"]
        if not _download(own):
            own.append(f"Dir::State::lists={part / 'lists'}")
            _run(["apt-get", "update", *PATIENCE, *_options(own)], dict(os.environ))
            if not _download(own):
                raise ClusterError(f"apt-get update worked, but the packages {' '.join(WANTED)} are not to be had")
        for package in sorted(archives.glob("*.deb")):
            _run(["dpkg", "-x", str(package), str(part)], dict(os.environ))
        for program in part.glob("usr/*bin/*-wlm"):  # Debian's names; its alternatives give them the usual ones
            program.with_name(program.name.removesuffix("-wlm")).symlink_to(program.name)
        for leftover in (archives, part / "lists"):
            shutil.rmtree(leftover)
        for leftover in part.glob("*.bin"):
            leftover.unlink()
    return Programs(root=folder)


def _download(own: list[str]) -> bool:
    command = ["apt-get", "install", "--download-only", "--yes", "--no-install-recommends"]
    return _run([*command, *PATIENCE, *_options(own), *WANTED], dict(os.environ), check=False)


def _options(settings: list[str]) -> list[str]:
    return [word for setting in settings for word in ("-o", setting)]


def _run(command: list[str], environment: dict[str, str], *, check: bool = True) -> bool:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if check and done.returncode:
        end = "\n".join((done.stdout + done.stderr).strip().splitlines()[-5:])
        raise ClusterError(f"`{' '.join(command)}` failed with {done.returncode}:\n{end}")
    return done.returncode == 0

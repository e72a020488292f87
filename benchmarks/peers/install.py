"""Gives each peer of a benchmark a virtual environment of its own, beside the project's and seeing its packages.

A peer may want other versions of what the project has; in its own folder it cannot hurt. The project's packages, torch
above all, are seen through a .pth file, and torch is held where it is. What does not install is left out, with a line.
"""

import os
import platform
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from benchmarks.base.runner import ROOT

PACKAGES = ("torch numpy av webdataset mosaicml-streaming litdata megatron-energon torchdata").split()
HELD = ("torch", "torchaudio")
INSTALL_S = 1200
IMPORT_S = 120


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    """What is installed, and what proves that it is there."""

    name: str
    module: str
    requirements: tuple[str, ...]
    stubs: tuple[str, ...] = ()
    """Modules it imports and does not use here: empty ones are put there where the real ones are missing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a peer can be run, or why it cannot."""

    python: str
    trouble: str = ""


def places(names: Iterable[str], folder: Path, console: Console) -> dict[str, Place]:
    """Peer -> its Python ("": the project's own); those that do not install are left out, with a line."""
    found = dict[str, Place]()
    for name in sorted(set(names)):
        if name:
            console.print(f"environment of {name}")
        found[name] = home(folder, PEERS[name]) if name else Place(python=sys.executable)
        if found[name].trouble:
            console.print(f"left out: {name} does not install here: {found[name].trouble}", markup=False)
    return {name: place for name, place in found.items() if not place.trouble}


def home(peers: Path, peer: Peer) -> Place:
    """The peer's Python; made at the first call. A whole one has a stamp, the others are made anew."""
    folder = peers / peer.name
    python, stamp = folder / "bin" / "python", folder / "complete"
    wanted = "\n".join((*peer.requirements, *held()))
    if stamp.is_file() and stamp.read_text() == wanted:
        return Place(python=str(python))
    venv.create(folder, clear=True, with_pip=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    (site / "project.pth").write_text(f"{sysconfig.get_path('purelib')}\n{ROOT}\n")
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(held()) + "\n")
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", str(constraints)]
    trouble = _trouble([*install, *peer.requirements], INSTALL_S)
    for name in peer.stubs:
        if not trouble and _trouble([str(python), "-c", f"import {name}"], IMPORT_S):
            (site / f"{name}.py").write_text('"""Stands in for a package that is imported and not used."""\n')
    trouble = trouble or _trouble([str(python), "-c", f"import {peer.module}"], IMPORT_S)
    if not trouble:
        stamp.write_text(wanted)
    return Place(python=str(python), trouble=trouble)


def held() -> list[str]:
    """Constraints: what the project runs on stays as it is."""
    return [f"{name}=={version(name).partition('+')[0]}" for name in HELD]


def _trouble(command: Sequence[str], limit_s: float) -> str:
    """The last line of a command that failed; empty when it did not."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired:
        return f"not done after {limit_s:.0f} s"
    lines = done.stderr.strip().splitlines() or ["it says nothing"]
    return lines[-1] if done.returncode else ""


def versions(python: str, names: Sequence[str]) -> dict[str, str]:
    """Versions of packages as that Python sees them; those it has not are left out."""
    code = (
        "import sys, importlib.metadata as m\n"
        "for name in sys.argv[1:]:\n"
        "    try: print(name, m.version(name))\n"
        "    except m.PackageNotFoundError: pass\n"
    )
    found = subprocess.run([python, "-c", code, *names], capture_output=True, text=True, check=True).stdout
    return dict(line.split(" ", 1) for line in found.splitlines())


def machine(found: Mapping[str, Place], what: str) -> str:
    """Machine and versions, in a line or two; the project's own, where a peer has another."""
    there = dict[str, str]()
    for python in dict.fromkeys((sys.executable, *(place.python for place in found.values()))):
        there = versions(python, PACKAGES) | there
    packages = ", ".join(f"{name} {there[name]}" for name in PACKAGES if name in there)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    processors = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return (
        f"{what}. {(processors or [platform.machine()])[0]}, {os.cpu_count()} cores, {memory:.0f} GiB, "
        f"Linux {platform.release()}, Python {platform.python_version()}; {packages}"
    )


PEERS = {
    "mosaic": Peer(
        name="mosaic",
        module="streaming",
        requirements=("mosaicml-streaming==0.13.0",),
        stubs=("torchvision",),
    ),
    "litdata": Peer(name="litdata", module="litdata", requirements=("litdata==0.2.76",)),
    "energon": Peer(name="energon", module="megatron.energon", requirements=("megatron-energon==7.4.1",)),
    "torchdata": Peer(name="torchdata", module="torchdata", requirements=("torchdata==0.11.0",)),
    "scenedetect": Peer(
        name="scenedetect", module="scenedetect", requirements=("scenedetect==0.7.2", "opencv-python-headless")
    ),
    "opencv": Peer(name="opencv", module="cv2", requirements=("opencv-python-headless",)),
}
"""webdataset, torch and PyAV are the project's own."""

if __name__ == "__main__":
    for chosen in PEERS.values():
        print(chosen.name, home(Path(sys.argv[1]), chosen))

"""Collects wheels for a machine that has torch, accelerate and numpy, and no network: `make gpu-wheels`.

    python -m benchmarks.gpu.wheels FOLDER

For CPython 3.12 on Linux, x86-64, in the versions of constraints.txt: of what avsync needs, what measuring imports.
Pages, plots, TensorBoard and the command line stay away (45 MiB instead of 78).
"""

import argparse
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
GIVEN = ("torch", "numpy", "accelerate")
"""What the machine has, with all that these need."""
WANTED = ("av", "isal", "msgspec", "nvidia-ml-py", "pillow", "rich", "torchaudio")
"""What measuring imports beside them; a test holds it."""
BESIDE_TORCH = {"torchaudio": "torchaudio==2.11.0"}
"""In another version than in constraints.txt: 2.11.1 asks for a symbol that torch 2.11 has not."""
OF_TORCH = ("cuda-", "nvidia-cu", "nvidia-nc", "nvidia-nv", "triton")
"""What belongs to torch: its names begin so."""
MOST_MIB = 60.0
TARGET: Mapping[str, str] = {
    "python_version": "3.12",
    "python_full_version": "3.12.0",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "platform_machine": "x86_64",
    "extra": "",
}
OLDEST, NEWEST = 5, 28
"""glibc 2.x that a wheel may ask for; pip wants each by name."""


def needed(roots: Iterable[str]) -> set[str]:
    """These packages and all that they need on TARGET, as the installed ones say it; but no CUDA, which is torch's."""
    found, todo = set[str](), list(roots)
    while todo:
        name = canonicalize_name(todo.pop())
        if name in found or name.startswith(OF_TORCH):
            continue
        found.add(name)
        wants = map(Requirement, requires(name) or [])
        todo += [want.name for want in wants if not want.marker or want.marker.evaluate(dict(TARGET))]
    return found


def pinned(constraints: str) -> dict[str, str]:
    """Lines by their package, of constraints.txt."""
    lines = [line.strip() for line in constraints.splitlines() if "==" in line and not line.startswith("#")]
    return {canonicalize_name(line.partition("==")[0]): line for line in lines}


def wheel_names() -> list[str]:
    """name==version of all that is to be collected."""
    pins = pinned((ROOT / "constraints.txt").read_text()) | BESIDE_TORCH
    return [pins[name] for name in sorted(needed(WANTED) - needed(GIVEN))]


def download(names: list[str], folder: Path) -> None:
    """Wheels alone. Of each package there may be one: those of before are put away, a folder with others is refused."""
    folder.mkdir(parents=True, exist_ok=True)
    ours = {canonicalize_name(name.partition("==")[0]) for name in names}
    before = {old: canonicalize_name(old.name.partition("-")[0]) for old in folder.glob("*.whl")}
    if others := sorted(old.name for old, name in before.items() if name not in ours):
        raise SystemExit(f"{folder} has wheels that are not collected here ({others[0]}): name a folder of its own")
    for old in before:
        old.unlink()
    platforms = [f"manylinux_2_{minor}_x86_64" for minor in range(NEWEST, OLDEST - 1, -1)]
    platforms += ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64"]
    which = [word for platform in platforms for word in ("--platform", platform)]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    python = ["--python-version", "3.12", "--implementation", "cp"]
    subprocess.run([*pip, *python, *which, "--dest", str(folder), *names], check=True)


def main() -> int:
    """Download, and say how large they are."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.wheels", description=__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    download(wheel_names(), folder)
    wheels = sorted(folder.glob("*.whl"), key=lambda wheel: -wheel.stat().st_size)
    mib = sum(wheel.stat().st_size for wheel in wheels) / 2**20
    print(f"{folder}: {len(wheels)} wheels, {mib:.1f} MiB; the largest is {wheels[0].name}")
    if mib > MOST_MIB:
        print(f"that is more than {MOST_MIB:.0f} MiB: see WANTED of {Path(__file__).name}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What a GPU gives, in eight minutes, on a machine with torch, accelerate and numpy, and no network.

    make gpu-wheels                                                       here, with a network: 45 MiB
    python3 -m benchmarks.gpu --wheels gpu-wheels --out gpu-figures       there, from the top of the checkout
    python -m benchmarks.gpu --device cpu --toy --minutes 3               anywhere: does it run?

Without --wheels it runs in this Python. All other options are those of `python -m benchmarks.gpu.measure --help`.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.gpu.environment import ROOT, SetUpError, make_environment

MINUTES = 8.0
"""For everything, the environment included."""


def options_of(arguments: Sequence[str] | None = None) -> tuple[argparse.Namespace, list[str]]:
    """Ours, and what is passed on."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--wheels", type=Path, help="folder of wheels for what this Python lacks")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="for everything")
    return parser.parse_known_args(arguments)


def main() -> int:
    """Make the environment, measure in it; the exit status."""
    (options, rest), begun = options_of(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        python = Path(sys.executable)
        if options.wheels:
            try:
                python = make_environment(Path(folder) / "environment", options.wheels.resolve())
            except SetUpError as error:
                print(error, file=sys.stderr)
                return 2
            print(f"an environment of the wheels in {options.wheels}: {time.monotonic() - begun:.0f} s", flush=True)
        left = options.minutes - (time.monotonic() - begun) / 60
        command = [str(python), "-m", "benchmarks.gpu.measure", "--minutes", f"{left:.3f}", *rest]
        return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

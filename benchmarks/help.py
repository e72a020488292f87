"""How long `avsync --help` takes, from typing to prompt: best and median of many runs. Wanted: below 0.3 s.

python benchmarks/help.py
"""

import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 20
COMMANDS = [["--help"], ["--version"], ["pack", "--help"], ["train", "--help"]]


def seconds(arguments: list[str]) -> float:
    """From typing to prompt."""
    avsync = shutil.which("avsync", path=str(Path(sys.executable).parent))
    assert avsync, "run this with the Python that avsync is installed in"
    start = time.perf_counter()
    subprocess.run([avsync, *arguments], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    for command in COMMANDS:
        taken = [seconds(command) for _ in range(RUNS)]
        best, median = min(taken), statistics.median(taken)
        print(f"avsync {' '.join(command):<14} best {best:.3f} s   median {median:.3f} s   of {RUNS}")

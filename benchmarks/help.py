"""How long `avsync --help` takes, from typing to prompt: best and median of many runs. Wanted: below 0.3 s.

python -m benchmarks.help
"""

import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

from rich.console import Console

from benchmarks.base.runner import in_turn, seconds
from benchmarks.base.table import of_rounds, statistic

RUNS = 20
COMMANDS = [["--help"], ["--version"], ["pack", "--help"], ["train", "--help"]]


if __name__ == "__main__":
    avsync = shutil.which("avsync", path=str(Path(sys.executable).parent))
    assert avsync, "run this with the Python that avsync is installed in"
    ways = {
        f"avsync {' '.join(words)}": partial(
            seconds, partial(subprocess.run, [avsync, *words], stdout=subprocess.DEVNULL, check=True)
        )
        for words in COMMANDS
    }
    columns = {"best s": statistic("", ".3f", of=min), "median s": statistic("", ".3f")}
    Console().print(of_rounds(f"{RUNS} runs", in_turn(ways, RUNS), columns).rich())

"""Training in other processes, as people start it: alone, or as several that find each other."""

import os
import socket
import subprocess
import sys
from pathlib import Path

from avsync.config import TrainConfig
from sharding.base.files import write_json

CHILD = """
import sys
from pathlib import Path
from avsync.config import TrainConfig
from avsync.train.trainer import train
from sharding.base.files import read_json
if __name__ == "__main__":
    print(train(Path(sys.argv[1]), Path(sys.argv[2]), read_json(Path(sys.argv[3]), TrainConfig)))
"""


def command(dataset: Path, run: Path, config: TrainConfig, folder: Path, script: str = CHILD) -> list[str]:
    """The same training in another process; `folder` takes its settings."""
    settings = folder / "config.json"
    write_json(settings, config)
    return [sys.executable, "-c", script, str(dataset), str(run), str(settings)]


def finish(words: list[str]) -> str:
    """Run it to its end; what it said."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def start_ranks(words: list[str], ranks: int, **environment: str) -> list[subprocess.Popen[str]]:
    """The command as `ranks` processes that find each other as under SLURM; they are a process group."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    children: list[subprocess.Popen[str]] = []
    for rank in range(ranks):
        child = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            process_group=children[0].pid if children else 0,
            env=os.environ | environment | {
                "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(ranks), "LOCAL_WORLD_SIZE": str(ranks),
                "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1",
            },
        )  # fmt: skip
        children.append(child)
    return children


def run_ranks(words: list[str], ranks: int) -> str:
    """Run it to its end; rank 0's output."""
    children = start_ranks(words, ranks)
    outputs = [child.communicate(timeout=200)[0] for child in children]
    assert all(child.returncode == 0 for child in children), "\n".join(outputs)
    return outputs[0]

"""What a trainer is really given: the name in each clip's own bytes, and how it was cut, kept while it trains.

It is kept on disk batch by batch, so that it outlives a process that is killed.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import avsync.train.step
from avsync.data.batch import Batch
from avsync.data.order import Draw
from avsync.run.history import open_history
from sharding.base.files import from_json, to_json

CHILD = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from avsync.config import TrainConfig
from avsync.train.trainer import train
from seen import watched
from sharding.base.files import read_json
if __name__ == "__main__":
    with watched(Path(sys.argv[3]).parent):
        train(Path(sys.argv[1]), Path(sys.argv[2]), read_json(Path(sys.argv[3]), TrainConfig))
"""
"""For processes.command: its folder takes what each rank was given."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One batch of one rank."""

    keys: tuple[str, ...]
    draws: tuple[Draw, ...]


@contextmanager
def watched(folder: Path) -> Iterator[None]:
    """Each batch that training begins with, as a line of its rank's file in `folder`."""
    folder.mkdir(exist_ok=True)
    prepare = avsync.train.step.prepare

    def kept(batch: Batch, *rest: Any) -> Any:
        line = to_json(Seen(tuple(meta.key if meta else "" for meta in batch.metas), batch.draws))
        with _file(folder, int(os.environ.get("RANK", "0"))).open("ab") as file:
            file.write(b"".join(line.splitlines()) + b"\n")
        return prepare(batch, *rest)

    avsync.train.step.prepare = kept
    try:
        yield
    finally:
        avsync.train.step.prepare = prepare


def _file(folder: Path, rank: int) -> Path:
    return folder / f"seen-{rank}.jsonl"


def trained(folder: Path, start: int, ranks: int = 1, passes: int = 1) -> list[list[Seen]]:
    """Of each step from `start` on that all ranks have begun: the batches of all ranks and passes, in global order."""
    shares = [
        [from_json(line, Seen, "what was seen") for line in _file(folder, rank).read_bytes().splitlines()]
        for rank in range(ranks)
    ]
    if start == 0:
        del shares[0][0]  # TensorBoard's picture of the first batch
    steps = min(map(len, shares)) // passes
    return [[share[step * passes + part] for part in range(passes) for share in shares] for step in range(steps)]


def keys(step: list[Seen]) -> list[str]:
    return [key for batch in step for key in batch.keys]


def ordered(run: Path, steps: range) -> list[list[str]]:
    """What the run's order says."""
    history = open_history(run)
    return [[row.key for row in history.rows([step])] for step in steps]

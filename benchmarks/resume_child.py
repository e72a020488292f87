"""One start of one way, fresh or resumed, in a process of its own: `python -m benchmarks.resume_child JSON`."""

import json
import os
import pickle
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import torch

from benchmarks.load_job import Job
from benchmarks.resume_catalog import STARTERS


class Begin(msgspec.Struct, kw_only=True, frozen=True):
    """What to do."""

    job: Job
    done: int = 0
    """Batches that were taken before; their state lies in `state`."""
    until: int
    """The batch, counted from the start of the pass, before which to stop."""
    state: Path
    """Where the state lies."""
    save: bool = False
    """Write it at the end."""
    leap: bool = False
    """Work out the state without taking the batches before it: who takes a million clips?"""

    def text(self) -> str:
        return msgspec.json.encode(self, enc_hook=str).decode()


class Went(msgspec.Struct, kw_only=True, frozen=True):
    """How it went."""

    first_s: float
    """From construction to the first batch, imports done."""
    keys: list[list[str]]
    """Of each batch."""
    state_bytes: int


def size(state: Any) -> int:
    """Bytes to save: as JSON where it can be, for that is smallest to read; else pickled."""
    if isinstance(state, bytes):
        return len(state)
    try:
        return len(json.dumps(state))
    except TypeError:
        return len(pickle.dumps(state))


def run(begin: Begin) -> Went:
    """Start, take batches, save."""
    opened: Any = STARTERS[begin.job.way].open()
    if begin.leap:
        state = opened(begin.job).leap(begin.until)
        begin.state.write_bytes(pickle.dumps(state))
        return Went(first_s=0, keys=[], state_bytes=size(state))
    # a peer's state is what it gave; this benchmark wrote it a moment ago
    saved = pickle.loads(begin.state.read_bytes()) if begin.done else None
    started = time.perf_counter()
    source = opened(begin.job)
    if begin.done:
        source.restore(saved, begin.done)
    batches = iter(source)
    keys = [list(next(batches).keys)]
    first_s = time.perf_counter() - started
    while begin.done + len(keys) < begin.until and (batch := next(batches, None)) is not None:
        keys.append(list(batch.keys))
    state_bytes = 0
    if begin.save:
        state = source.state()
        state_bytes = size(state)
        begin.state.write_bytes(pickle.dumps(state))
    batches.close()
    return Went(first_s=first_s, keys=keys, state_bytes=state_bytes)


def main() -> None:
    """Do what was asked."""
    begin = msgspec.json.decode(sys.argv[1], type=Begin, dec_hook=lambda kind, value: kind(value))
    torch.set_num_threads(1)
    said = msgspec.json.encode(run(begin)).decode()
    print(f"\nseen {said}", flush=True)
    os._exit(0)  # some peers' threads do not end


if __name__ == "__main__":
    main()

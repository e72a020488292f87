"""A trainer without torch, for what SLURM does to jobs: it keeps the contract of the real one between it and a job.

It saves RUN/checkpoints/NNNNNNNN, tells RUN/progress.json, heeds AVSYNC_STOP_FILE, SIGTERM and a blocked SIGUSR2, resumes
at the newest checkpoint, and writes each step it does to RUN/steps-RANK.txt. RUN/toy.json tells it to misbehave.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from avsync.progress import RunProgress
from sharding.files import write_json

run, steps = Path(sys.argv[1]), int(sys.argv[2])
rank = int(os.environ.get("RANK", "0"))
orders = json.loads((run / "toy.json").read_text()) if (run / "toy.json").exists() else {}
asked = []
signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))


def newest() -> int:
    return max((int(path.name) for path in (run / "checkpoints").glob("*") if path.name.isdecimal()), default=0)


def save(step: int) -> None:
    if rank == 0:
        part = run / "checkpoints" / f"{step:08d}.part"
        part.mkdir(parents=True, exist_ok=True)
        time.sleep(orders.get("save_s", 0))
        if not part.with_suffix("").exists():
            part.rename(part.with_suffix(""))


def tell(step: int, phase: str) -> None:
    if rank == 0:
        write_json(run / "progress.json", RunProgress(updated=time.time(), phase=phase, step=step, steps=steps))


def wished() -> bool:
    stop = os.environ.get("AVSYNC_STOP_FILE", "")
    return bool(asked or signal.SIGUSR2 in signal.sigpending() or (stop and Path(stop).exists()))


def misbehave(step: int) -> None:
    mine = rank == orders.get("rank", 0)
    if mine and step in orders.get("kill_at", []):
        os.kill(os.getpid(), signal.SIGKILL)
    if step == orders.get("hang_at") and not (run / "hung").exists():
        (run / "hung").touch()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(1)
    if mine and step == orders.get("eat_at"):
        held = []
        while True:
            held.append(bytearray(os.urandom(1 << 20) * 32))
            time.sleep(0.05)


tell(newest(), "starting")
time.sleep(orders.get("start_s", 0))
first = newest()
for step in range(first, steps):
    if wished():
        save(step)
        tell(step, "stopped")
        sys.exit(143)
    misbehave(step)
    time.sleep(orders.get("step_s", 0.1))
    with (run / f"steps-{rank}.txt").open("a") as file:
        file.write(f"{step}\n")
    tell(step + 1, "training")
    if (step + 1) % orders.get("save_every", 10) == 0:
        save(step + 1)
save(steps)
tell(steps, "done")

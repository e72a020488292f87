"""A trainer without torch, for what SLURM does to jobs: it keeps the contract of the real one between it and a job.

It saves RUN/checkpoints/NNNNNNNN, tells RUN/progress.json, heeds AVSYNC_STOP_FILE, SIGTERM and a blocked SIGUSR2,
resumes at the newest checkpoint, and writes each step it does to RUN/steps-RANK.txt. Its ranks wait for each other
before each step, as those of the real one do, and leave together. RUN/toy.json tells it to misbehave.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from avsync.run.progress import Phase, RunProgress
from sharding.base.files import write_json

run, steps = Path(sys.argv[1]), int(sys.argv[2])
rank, ranks = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
orders = json.loads((run / "toy.json").read_text()) if (run / "toy.json").exists() else {}
meeting = run / "meeting" / f"{os.environ.get('SLURM_JOB_ID', '')}-{os.environ.get('SLURM_RESTART_COUNT', '0')}"
asked = []
signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))


def newest() -> int:
    return max((int(path.name) for path in (run / "checkpoints").glob("*") if path.name.isdecimal()), default=0)


def save(step: int) -> None:
    if rank == 0:
        tell(step, "saving")
        part = run / "checkpoints" / f"{step:08d}.part"
        part.mkdir(parents=True, exist_ok=True)
        wait_in("save")
        if not part.with_suffix("").exists():
            part.rename(part.with_suffix(""))


def wait_in(what: str) -> None:
    """Where it was ordered to, until it is let go: so that no slow machine misses the moment."""
    while orders.get("wait_in") == what and not (run / "go").exists():
        time.sleep(0.05)


def tell(step: int, phase: Phase) -> None:
    if rank == 0:
        told = RunProgress(updated=time.time(), phase=phase, step=step, steps=steps)
        write_json(run / "progress.json", told, lasting=False)


def wished() -> bool:
    stop = os.environ.get("AVSYNC_STOP_FILE", "")
    return bool(asked or signal.SIGUSR2 in signal.sigpending() or (stop and Path(stop).exists()))


def agreed(step: int) -> bool:
    """Whether any rank wishes to stop: each waits for all, as in an all-reduce; a dead one is waited for forever."""
    mine = meeting / f"{step}-{rank}"
    mine.with_suffix(".part").write_text(str(int(wished())))
    mine.with_suffix(".part").rename(mine)
    votes = [meeting / f"{step}-{other}" for other in range(ranks)]
    while not all(vote.exists() for vote in votes):
        time.sleep(0.01)
    return any(int(vote.read_text()) for vote in votes)


def misbehave(step: int) -> None:
    mine = rank == orders.get("rank", 0)
    if mine and (step == orders.get("kill_at") or (step in orders.get("kill_once_at", []) and first_time(step))):
        os.kill(os.getpid(), signal.SIGKILL)
    if mine and step == orders.get("hang_at") and first_time(step):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(1)
    if mine and step == orders.get("complain_at"):
        sys.exit(f"avsync: error: {orders['complaint']}")
    if mine and step == orders.get("eat_at"):
        held = []
        while True:
            held.append(b"x" * (1 << 25))
            time.sleep(0.05)


def linger() -> None:
    """Until a stop is wished: so that a slow machine does not let it end before that."""
    mark, end = run / f"lingered-{rank}", time.monotonic() + 300
    while not mark.exists() and not wished() and time.monotonic() < end:
        time.sleep(0.05)
    mark.touch()


def first_time(step: int) -> bool:
    mark = run / f"misbehaved-{step}"
    if mark.exists():
        return False
    mark.touch()
    return True


def told_of_itself() -> dict[str, str]:
    names = (
        "CUDA_VISIBLE_DEVICES",
        "LOCAL_RANK",
        "RANK",
        "WORLD_SIZE",
        "MASTER_ADDR",
        "MASTER_PORT",
        "SLURMD_NODENAME",
        "PYTHONPATH",
        "AVSYNC_STOP_FILE",
        "OF_THE_PROFILE",
    )
    return {name: os.environ.get(name, "") for name in names}


meeting.mkdir(parents=True, exist_ok=True)
with (run / f"ranks-{rank}.txt").open("a") as file:
    file.write(json.dumps(told_of_itself() | {"at": str(time.time())}) + "\n")
tell(newest(), "starting")
time.sleep(orders.get("start_s", 0))
wait_in("start")
for step in range(newest(), steps):
    if step == orders.get("linger_at"):
        linger()
    if agreed(step):
        save(step)
        tell(step, "stopped")
        sys.exit(143)
    misbehave(step)
    time.sleep(orders.get("step_s", 0.1))
    with (run / f"steps-{rank}.txt").open("a") as file:
        file.write(f"{step} {time.time()}\n")
    tell(step + 1, "training")
    if (step + 1) % orders.get("save_every", 10) == 0:
        save(step + 1)
time.sleep(orders.get("end_s", 0))
save(steps)
tell(steps, "done")

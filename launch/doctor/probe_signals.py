"""What reaches a job's processes before its end, and when. Runs on a node, with Python's own library alone.

`probe_signals batch|task NAME FOLDER` notes signals and its own heartbeat in FOLDER/NAME-batch.txt and
NAME-task.txt, a line each: UNIX seconds, a word, the rest. It obeys no signal: only so it shows when SIGKILL comes.
`probe_signals requeue NAME FOLDER COMMAND ...` asks SLURM to start its own job again.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from launch.job.srun import obeyed, srun_words

BEAT_S = 0.1
LONGEST_S = 240.0
"""A job that nothing ends ends itself."""


def opened(path: str) -> Callable[..., None]:
    """A function that adds a line to a file, at once: what follows may be SIGKILL."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o644)

    def say(*words: object) -> None:
        os.write(handle, " ".join(map(str, (f"{time.time():.3f}", *words))).encode() + b"\n")

    return say


def listen(say: Callable[..., None]) -> None:
    """Note signals from now on."""
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda got, frame: say("signal", signal.Signals(got).name))


def beat(say: Callable[..., None]) -> None:
    """Note that it still lives, until it does not."""
    say("ready", os.environ.get("SLURM_JOB_ID", ""), os.environ.get("SLURM_RESTART_COUNT", "0"))
    ends = time.monotonic() + LONGEST_S
    while time.monotonic() < ends:
        time.sleep(BEAT_S)
        say("beat")


def batch(name: str, folder: str) -> None:
    """The batch script: it starts one task, and outlives it."""
    say = opened(os.path.join(folder, f"{name}-batch.txt"))
    listen(say)
    itself = (sys.executable, "-m", "launch.doctor.probe_signals")
    step = srun_words(["--ntasks=1", "--nodes=1"])
    subprocess.Popen([*step, *itself, "task", name, folder], env=obeyed(os.environ))
    beat(say)


def task(name: str, folder: str) -> None:
    """What srun starts."""
    say = opened(os.path.join(folder, f"{name}-task.txt"))
    listen(say)
    beat(say)


def requeue(name: str, folder: str, command: Sequence[str]) -> None:
    """The first time, ask to be started again; the second time, be glad."""
    say = opened(os.path.join(folder, f"{name}-batch.txt"))
    listen(say)
    job, restart = os.environ.get("SLURM_JOB_ID", ""), os.environ.get("SLURM_RESTART_COUNT", "0")
    say("ready", job, restart)
    if restart != "0":
        return
    try:
        asked = subprocess.run([*command, "requeue", job], capture_output=True, text=True, timeout=60, check=False)
        answer = " ".join((asked.stderr or asked.stdout).split())
        say("asked", asked.returncode, answer)
        refused = asked.returncode != 0
    except (OSError, subprocess.TimeoutExpired) as error:
        say("asked", "-1", error)
        refused = True
    if not refused:
        beat(say)


if __name__ == "__main__":
    if sys.argv[1] == "requeue":
        requeue(sys.argv[2], sys.argv[3], sys.argv[4:])
    else:
        {"batch": batch, "task": task}[sys.argv[1]](sys.argv[2], sys.argv[3])

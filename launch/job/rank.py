"""`python -m launch.job.rank JOBFOLDER`: one task of a job, just before it becomes the work itself.

srun starts one for each GPU. What accelerate and torch want to know of the ranks is worked out from what SLURM says,
with care for nodes whose names do not resolve, and for GPUs that SLURM has chosen.
"""

import os
import re
import signal
import socket
import sys
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path

from launch.job.attempt import OFFSET
from launch.job.interface import interface_towards
from launch.job.paths import JobPaths
from launch.job.record import SCRATCH, SCRATCH_FLAG, SCRATCH_SIZE_FLAG, SHARE, JobRecord
from sharding.base.environment import GRANTED, fill_in
from sharding.base.files import read_json

PORT, MASTER = "AVSYNC_MASTER_PORT", "AVSYNC_MASTER_NAME"
"""Where rank 0 listens, and its node: from the batch script, which runs there."""
_TASKS = re.compile(r"(\d+)(?:\(x(\d+)\))?")


def main(folder: str) -> None:
    """Never returns: the process becomes the work. Raises InputError, FormatError, OSError."""
    record = read_json(JobPaths(Path(folder)).record, JobRecord)
    if cores := os.environ.get("SLURM_CPUS_PER_TASK"):
        os.environ[GRANTED] = cores
        os.environ.setdefault("OMP_NUM_THREADS", cores)
    if int(os.environ["SLURM_NTASKS"]) > 1:
        describe_rank(os.environ)
    # SIGUSR2 reaches every process of a step at some sites, and kills those that do not expect it. What is blocked here
    # stays so in all that follows; the trainer looks for it between two steps.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    sys.stdout.flush()
    os.chdir(record.directory)
    argv, left_out = filled_in(record, os.environ)
    if left_out and os.environ.get("SLURM_PROCID", "0") == "0":
        sys.stdout.write(f"avsync: warning: {left_out}\n")
        sys.stdout.flush()
    os.execvp(argv[0], argv)


def describe_rank(environment: MutableMapping[str, str]) -> None:
    """The variables of torch.distributed's env:// method."""
    local, here = int(environment["SLURM_LOCALID"]), tasks_here(environment)
    gpus = len([gpu for gpu in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if gpu])
    environment.update(
        {
            "RANK": environment["SLURM_PROCID"],
            "WORLD_SIZE": environment["SLURM_NTASKS"],
            # a number among the GPUs that this task sees: some sites show each task its own one only
            "LOCAL_RANK": str(local % gpus if gpus else local),
            "LOCAL_WORLD_SIZE": str(here),
            "MASTER_ADDR": meeting_place(environment),
            "MASTER_PORT": environment[PORT],
        }
    )
    leads = interface_towards(environment.get("SLURM_LAUNCH_NODE_IPADDR", ""), environment["MASTER_ADDR"])
    if leads and "GLOO_SOCKET_IFNAME" not in environment:
        environment["GLOO_SOCKET_IFNAME"] = leads


def tasks_here(environment: MutableMapping[str, str]) -> int:
    """Tasks of this step on this node; SLURM writes `2(x3),1` for three nodes with two and one with one."""
    counts = environment.get("SLURM_STEP_TASKS_PER_NODE") or environment["SLURM_TASKS_PER_NODE"]
    tasks = [int(count) for count, times in _TASKS.findall(counts) for _ in range(int(times or 1))]
    return tasks[int(environment["SLURM_NODEID"])]


def meeting_place(environment: MutableMapping[str, str]) -> str:
    """Rank 0's node: its name where that resolves, else its number; rank 0 lies where srun was started."""
    number = environment.get("SLURM_LAUNCH_NODE_IPADDR", "127.0.0.1")
    name = environment[MASTER]
    try:
        socket.getaddrinfo(name, None)
    except (OSError, UnicodeError):
        return number
    return name or number


def filled_in(record: JobRecord, environment: Mapping[str, str]) -> tuple[list[str], str]:
    """The words of the work, in this task; and what to say of a scratch folder that this node does not have.

    Such a one is left out: a folder called `$SLURM_TMPDIR` would lie on the very disk that copies are there to spare.
    """
    words, left_out = list[str](), ""
    waiting = iter(_apart(record.argv))
    for word in waiting:
        if word == SHARE:
            words.append(str(int(environment[OFFSET]) + int(environment["SLURM_ARRAY_TASK_ID"])))
        elif word == SCRATCH_FLAG:
            wanted = next(waiting, "")
            folder, why = scratch_folder(record.profile.scratch if wanted == SCRATCH else wanted, environment)
            left_out = why
            words += [] if why else [word, folder]
        else:
            words.append(word)
    if left_out:  # a size is of a folder
        pairs = zip(words, ["", *words], strict=False)
        words = [word for word, before in pairs if SCRATCH_SIZE_FLAG not in (word, before)]
    return words, left_out


def _apart(words: Sequence[str]) -> Iterator[str]:
    """Of a scratch folder, which may be left out, --flag=value as two words, and the flag as it is called here."""
    for word in words:
        name, equals, value = word.partition("=")
        name = name.replace("_", "-")
        ours = name in (SCRATCH_FLAG, SCRATCH_SIZE_FLAG)
        yield from ((name, value) if equals else (name,)) if ours else (word,)


def scratch_folder(text: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """The folder that is meant on this node; and why there is none here, in words for the log."""
    filled = fill_in(text, environment)
    folder = os.path.expanduser(filled.text)
    node = environment.get("SLURMD_NODENAME") or "this node"
    why = f"{' and '.join(filled.unset)} {'are' if len(filled.unset) > 1 else 'is'} not set on {node}"
    if not filled.unset and not os.path.isabs(folder):
        why = "it is no full path"
    elif not filled.unset:
        return folder, ""
    return "", f'scratch = "{text}" is left out: {why}; shards are read from the dataset itself'


if __name__ == "__main__":
    main(sys.argv[1])

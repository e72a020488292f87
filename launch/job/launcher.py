"""Who has started this process, and as which of how many: torchrun or accelerate, srun, mpirun; or nobody, it is alone.

Ranks find each other by the variables of torch.distributed's env:// method. torchrun sets them; under srun they are
worked out from what SLURM says, with care for nodes whose names do not resolve, and for GPUs that SLURM has chosen: in
a job of ours by rank.py, in an allocation that a person has made by the command line.
"""

import os
import re
import socket
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from enum import StrEnum

from launch.job.interface import interface_towards
from launch.job.srun import first_node
from launch.queue.ask import QueueError, ask
from launch.queue.scontrol import fields_of
from sharding.base.environment import GRANTED
from sharding.errors import InputError

PORTS = (20_000, 32_000)
"""To meet at: below those that Linux gives to outgoing connections."""
OF_RANKS = frozenset("RANK WORLD_SIZE LOCAL_RANK LOCAL_WORLD_SIZE GROUP_RANK MASTER_ADDR MASTER_PORT".split())
OF_MPI = ("OMPI_COMM_WORLD_", "PMI_", "MV2_COMM_WORLD_", "MPI_LOCAL")
"""Beginnings of variables that accelerate would believe, too."""
_MPI = {f"{name}_SIZE": f"{name}_RANK" for name in ("OMPI_COMM_WORLD", "PMI", "MV2_COMM_WORLD")}
TORCHRUN = "python -m torch.distributed.run --nproc-per-node N -m launch train ..."
"""How anybody starts N ranks on a machine, with GPUs or without."""
_TASKS = re.compile(r"(\d+)(?:\(x(\d+)\))?")


class Starter(StrEnum):
    """Who starts processes."""

    NOBODY = "nobody"
    TORCH = "torchrun"
    SLURM = "srun"
    MPI = "mpirun"
    SOMEBODY = "somebody"
    """The variables are torchrun's, but it has not set them: a job of ours, or a container that starts anything so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Launched:
    """This process among those that were started with it."""

    by: Starter = Starter.NOBODY
    rank: int = 0
    ranks: int = 1
    idle: str = ""
    """What would have started more of them, and did not."""


def launched(environment: Mapping[str, str] = os.environ) -> Launched:
    """From the variables that launchers set. Raises InputError where they are no numbers."""
    if environment.get("RANK") and environment.get("WORLD_SIZE"):
        by = Starter.TORCH if "TORCHELASTIC_RUN_ID" in environment else Starter.SOMEBODY
        return Launched(by=by, rank=_number(environment, "RANK"), ranks=_number(environment, "WORLD_SIZE"))
    step = _is_step(environment)
    for size, rank in _MPI.items():
        process = Launched(by=Starter.MPI, rank=_number(environment, rank, 0), ranks=_number(environment, size, 1))
        if process.ranks > 1 and not (step and size == "PMI_SIZE" and _by_srun(environment, process)):
            return process
    if step:
        tasks = _number(environment, "SLURM_STEP_NUM_TASKS")
        return Launched(by=Starter.SLURM, rank=_number(environment, "SLURM_PROCID"), ranks=tasks)
    return Launched(idle=_idle(environment))


def check_whole(environment: Mapping[str, str] = os.environ) -> None:
    """Raises InputError where half of what torchrun sets is there: the other processes would be waited for in vain."""
    for name, other, harmless in (("WORLD_SIZE", "RANK", "1"), ("RANK", "WORLD_SIZE", "0")):
        if environment.get(name, harmless) not in ("", harmless) and not environment.get(other):
            raise InputError(
                f"{name} is {environment[name]} and {other} is not set, and a launcher sets both: "
                f"unset {name} to run as one process"
            )


def _by_srun(environment: Mapping[str, str], process: Launched) -> bool:
    """With --mpi=pmi2 srun sets variables of MPI, too."""
    own = (environment["SLURM_PROCID"], environment["SLURM_STEP_NUM_TASKS"])
    return own == (str(process.rank), str(process.ranks))


def _is_step(environment: Mapping[str, str]) -> bool:
    """One of several tasks of a step: not a batch script, nor a shell in which a person types (srun --pty).

    A batch script that was submitted from within a step has that one's SLURM_STEP_..., but its own SLURM_NTASKS.
    """
    tasks = environment.get("SLURM_STEP_NUM_TASKS", "1")
    return tasks not in ("", "1") and tasks == environment.get("SLURM_NTASKS") and "SLURM_PTY_PORT" not in environment


def _idle(environment: Mapping[str, str]) -> str:
    tasks = environment.get("SLURM_NTASKS", "")
    if tasks.isdecimal() and int(tasks) > 1 and "SLURM_JOB_ID" in environment:
        return f"job {environment['SLURM_JOB_ID']} has {tasks} tasks; with srun before this command it uses all of them"
    if "ACCELERATE_MIXED_PRECISION" in environment and "MASTER_PORT" in environment:
        return f"accelerate launch starts several on GPUs only; {TORCHRUN} starts them everywhere"
    return ""


def _number(environment: Mapping[str, str], name: str, otherwise: int | None = None) -> int:
    value = environment.get(name) or otherwise
    try:
        return int(value if value is not None else "")
    except ValueError:
        raise InputError(f"{name} = {value!r} is no number: what has started this process sets it wrongly") from None


# To be a rank.


def alone(environment: MutableMapping[str, str]) -> None:
    """Forget what launchers around this process have set: a job may be submitted from inside of another one."""
    for name in [name for name in environment if name in OF_RANKS or name.startswith(OF_MPI)]:
        del environment[name]


def describe_rank(environment: MutableMapping[str, str], address: str, port: str) -> None:
    """One of several tasks of a step, in the variables of torch.distributed; rank 0 is met at this address."""
    alone(environment)
    local, here = int(environment["SLURM_LOCALID"]), tasks_here(environment)
    gpus = len([gpu for gpu in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if gpu])
    environment.update(
        {
            "RANK": environment["SLURM_PROCID"],
            "WORLD_SIZE": environment["SLURM_NTASKS"],
            # a number among the GPUs that this task sees: some sites show each task its own one only
            "LOCAL_RANK": str(local % gpus if gpus else local),
            "LOCAL_WORLD_SIZE": str(here),
            "MASTER_ADDR": address,
            "MASTER_PORT": port,
        }
    )
    leads = interface_towards(environment.get("SLURM_LAUNCH_NODE_IPADDR", ""), address)
    if leads and "GLOO_SOCKET_IFNAME" not in environment:
        environment["GLOO_SOCKET_IFNAME"] = leads


def grant_cores(environment: MutableMapping[str, str]) -> None:
    """What SLURM gave to each task: not every site binds tasks to it."""
    environment.pop(GRANTED, None)
    if cores := environment.get("SLURM_CPUS_PER_TASK"):
        environment[GRANTED] = cores
        environment.setdefault("OMP_NUM_THREADS", cores)


def tasks_here(environment: Mapping[str, str]) -> int:
    """Tasks of this step on this node; SLURM writes `2(x3),1` for three nodes with two and one with one."""
    counts = environment.get("SLURM_STEP_TASKS_PER_NODE") or environment["SLURM_TASKS_PER_NODE"]
    tasks = [int(count) for count, times in _TASKS.findall(counts) for _ in range(int(times or 1))]
    return tasks[int(environment["SLURM_NODEID"])]


def meet_in_step(environment: MutableMapping[str, str]) -> None:
    """Become one of the ranks of a step that a person has started, wherever srun was called. Raises InputError.

    All tasks must come to the same place and port, and have nothing to tell each other by: a person's MASTER_ADDR and
    MASTER_PORT, else the first node, and a port by the number of job and step.
    """
    address, port = (environment.get(name, "") for name in ("MASTER_ADDR", "MASTER_PORT"))
    step = 61 * int(environment.get("SLURM_JOB_ID", "0")) + int(environment.get("SLURM_STEP_ID", "0"))
    low, high = PORTS
    grant_cores(environment)
    if GRANTED not in environment and environment.get("SLURM_CPUS_ON_NODE", "").isdecimal():
        environment[GRANTED] = str(max(1, int(environment["SLURM_CPUS_ON_NODE"]) // tasks_here(environment)))
    describe_rank(environment, address or _first_of_step(environment), port or str(low + step % (high - low)))
    if environment["RANK"] == "0":
        _check_free(environment["MASTER_PORT"])


def _first_of_step(environment: Mapping[str, str]) -> str:
    if environment.get("SLURM_STEP_NUM_NODES", "1") == "1":
        return "127.0.0.1"
    name = first_node(environment["SLURM_STEP_NODELIST"])
    if resolves(name):
        return name
    try:
        found = fields_of(ask(["scontrol", "--oneliner", "show", "node", name])).get("NodeAddr", "")
    except (QueueError, InputError):
        found = ""
    if not resolves(found):
        raise InputError(
            f"the name of this step's first node, {name}, has no address here: set MASTER_ADDR to one, for all tasks"
        )
    return found


def resolves(name: str) -> bool:
    """Whether a name has an address, seen from here."""
    try:
        return bool(name and socket.getaddrinfo(name, None))
    except (OSError, UnicodeError):
        return False


def _check_free(port: str) -> None:
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("", int(port)))
        except OSError as error:
            raise InputError(
                f"ranks cannot meet at port {port}: {error.strerror}; set MASTER_PORT to another one, for all tasks"
            ) from None
        except (ValueError, OverflowError):
            raise InputError(f"MASTER_PORT = {port!r} is no port") from None

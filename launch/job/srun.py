"""srun as jobs use it: its words, what of the environment it must not obey, and how what it prints is read.

Python's own library alone: the doctor's probes call it as jobs do, on nodes where nothing else of avsync lies.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

SETTLED = ("--kill-on-bad-exit=1", "--wait=0", "--mpi=none")
"""Ranks that wait for a dead one must not stay; one that leaves late, still saving, is not ended for the others having
left (a site's WaitTime); they meet by torch, so a site's default of MPI, and whether it works, is nothing to them."""
EVERYTHING = "--export=ALL"
"""A site that starts jobs with --export=NONE, or a list, means the login shell's variables, not those that the job
itself has made; yet srun would inherit that from sbatch."""

NOT_OBEYED = frozenset(
    # what the tasks get to see
    "SLURM_EXPORT_ENV SRUN_EXPORT_ENV "
    # where they print, and how: all of it goes to the job's log, a line at a time
    "SLURM_LABELIO SLURM_OPEN_MODE SLURM_STDERRMODE SLURM_STDINMODE SLURM_STDOUTMODE SLURM_UNBUFFEREDIO "
    "SRUN_ERROR SRUN_INPUT SRUN_OUTPUT "
    # when they are ended, and what exit code tells of it: the supervisor decides by that
    "SLURM_DISABLE_STATUS SLURM_EXIT_ERROR SLURM_EXIT_IMMEDIATE SLURM_IMMEDIATE SLURM_KILL_BAD_EXIT SLURM_NO_KILL "
    "SLURM_SIGNAL SLURM_SRUN_REDUCE_TASK_EXIT_MSG SLURM_STEP_KILLED_MSG_NODE_ID SLURM_TIMELIMIT SLURM_WAIT "
    # what is started (no copy of the interpreter, which would miss its libraries), and that task 0 is where srun is
    "SLURM_BCAST SLURM_BCAST_EXCLUDE SLURM_SEND_LIBS SLURM_HOSTFILE SLURM_MPI_TYPE SLURM_REMOTE_CWD "
    "SLURM_WORKING_DIR".split()
)
"""Variables by which a site, a person's shell, or a job around this one would change what the supervisor counts on.

All others are obeyed: which nodes, cores, memory and GPUs the job has SLURM itself has set, and how tasks are bound to
them (SLURM_CPU_BIND, SLURM_HINT, SLURM_DISTRIBUTION ...) is the site's business, or its profile's.
"""


def srun_words(options: Sequence[str] = (), *, label: bool = False) -> list[str]:
    """How a step is started; `options` are the profile's. Of two options that say the same srun takes the last."""
    return ["srun", *SETTLED, EVERYTHING, *options, *(["--label"] if label else [])]


def export_values(options: Sequence[str]) -> list[str]:
    """What a profile's options say of --export."""
    joined = [word.removeprefix("--export=") for word in options if word.startswith("--export=")]
    return joined + [value for word, value in pairwise(options) if word == "--export"]


def obeyed(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables with which srun is started: its tasks get all of them."""
    return {name: value for name, value in environment.items() if name not in NOT_OBEYED}


def first_node(nodes: str) -> str:
    """Of a list as SLURM writes it: n1 of `n[1-3,7],m2`."""
    return re.sub(r"\[(\w+)[^\]]*\]", r"\1", re.split(r",(?![^\[]*\])", nodes, maxsplit=1)[0])


# What it prints: lines of tasks, each behind its label where there are several; and its own, which tell how they end.

_LABEL = re.compile(r" *(\d+): ")
"""A task's number, as wide as the highest one: ` 3: ` of eleven tasks."""
_FAULT = re.compile(
    r"^srun: error: (?P<node>[\w.,\[\]-]+): tasks? (?P<tasks>[\d,-]+): "
    r"(?!Terminated|Force Terminated|Exited with exit code 1(43|30|29|38|40)\b)(?P<how>.+)",
    re.MULTILINE,
)
"""A task that ended on its own account, not by a signal that asks to stop (sharding/base/signals.py); srun ends the
others then, and its exit code may be theirs."""
_COMPLAINT = re.compile(r"^(?P<label> *\d+: )?avsync: error: (?P<why>.+)$", re.MULTILINE)
"""What the work says when it ends for a reason that a person can mend: no node is to blame."""
_HANGS = re.compile(r"rank \d+ on (?P<node>[\w.-]+) hangs in its ")
"""How a complaint begins that names a rank which does not move (avsync/run/limits.py)."""
ALL_ALIKE = "as does every other rank"
"""Words of one that names the first of all (avsync/train/watchdog.py)."""
_EXITED = re.compile(r"^srun: error: [\w.,\[\]-]+: tasks? [\d,-]+: Exited with exit code (\d+)$", re.MULTILINE)
USAGE = "2"
"""Exit code of avsync for what no later attempt gets past (launch/cli.py)."""
OF_OTHERS = "its message says why"
"""How a task's words end that only ends because another one did (avsync/world.py)."""
_OUT_OF_MEMORY = re.compile(
    r"^( *\d+: )?(slurmstepd[^:]*|srun): error: .*(oom.kill|out of memory|memory limit)", re.IGNORECASE | re.MULTILINE
)
"""What SLURM itself says; a GPU's memory is another matter, and is reported by the work."""
_NODE_FAILED = re.compile(r"^srun: error: Node failure on|DUE TO NODE FAILURE", re.MULTILINE)
_GAVE_UP = re.compile(r"^srun: error: Timed out waiting for job step to complete", re.MULTILINE)
_BY_ITSELF = "Exited with exit code"


def unlabelled(line: str) -> tuple[int | None, str]:
    """A line's task, and what it has printed; None: it is not labelled."""
    found = _LABEL.match(line)
    return (int(found[1]), line[found.end() :]) if found else (None, line)


@dataclass(frozen=True, slots=True)
class TaskFault:
    """How tasks ended, and where, as srun says it."""

    node: str
    """Or several: n[1-3]."""
    tasks: str
    """Their numbers: 0-2,5."""
    how: str

    @property
    def one_node(self) -> str:
        """Its name; empty: it were several at once."""
        return "" if set("[],") & set(self.node) else self.node

    @property
    def numbers(self) -> frozenset[int]:
        spans = (span.partition("-") for span in self.tasks.split(",") if span)
        return frozenset(number for low, _, high in spans for number in range(int(low), int(high or low) + 1))

    def __str__(self) -> str:
        word = "task" if self.tasks.isdecimal() else "tasks"
        return f"{word} {self.tasks} on {self.node}: {self.how}"


@dataclass(frozen=True, slots=True)
class StepOutput:
    """All that a step has printed, of one task or of a thousand."""

    text: str

    @property
    def fault(self) -> TaskFault | None:
        """The first that ended on its own account; None: none did, but were asked to end."""
        found = _FAULT.search(self.text)
        return TaskFault(found["node"], found["tasks"], found["how"].strip()) if found else None

    @property
    def complaint(self) -> str:
        """Why the work could not go on, in the words of the task that failed first; empty where it said none.

        One that simply left, without a word of its own, may have left for another one's failure, which then says why.
        One that was killed did not: what the others say is that they miss it.
        """
        words = [(found["label"], found["why"].strip()) for found in _COMPLAINT.finditer(self.text)]
        said = [one for one in words if not one[1].endswith(OF_OTHERS)] or words
        fault = self.fault
        if fault:
            own = [why for label, why in said if label is None or int(label.strip(" :")) in fault.numbers]
            if own or not fault.how.startswith(_BY_ITSELF):
                return own[-1] if own else ""
        return [why for label, why in said if label == said[0][0]][-1] if said else ""

    @property
    def why(self) -> str:
        """Which task was the first to fail, and how, or its own words; empty where none did, but were asked to end."""
        return self.complaint or str(self.fault) if self.fault else ""

    @property
    def hang(self) -> str:
        """Which rank hangs, in what, and for how long; empty: none was named.

        Whichever task has ended first: one that misses the rank may leave before that is ended.
        """
        words = (found["why"].strip() for found in _COMPLAINT.finditer(self.text))
        return next((why for why in words if _HANGS.match(why)), "")

    @property
    def hung_node(self) -> str:
        """Where it is; empty: none was named, or all are alike."""
        found = _HANGS.match(self.hang)
        return found["node"] if found and ALL_ALIKE not in self.hang else ""

    @property
    def refused(self) -> bool:
        """A task has said, in words and by its exit code, that it can never be. Others may have been killed for it."""
        return bool(self.complaint) and USAGE in _EXITED.findall(self.text)

    @property
    def out_of_memory(self) -> bool:
        """SLURM has written so."""
        return _OUT_OF_MEMORY.search(self.text) is not None

    @property
    def node_failed(self) -> bool:
        """SLURM has written so; where the batch script's own node fails, it writes nothing."""
        return _NODE_FAILED.search(self.text) is not None

    @property
    def unseen(self) -> bool:
        """Of tasks that it has not seen end srun says 0: their node failed, or they were ended by force and it gave up
        waiting for word of them.
        """
        return self.node_failed or _GAVE_UP.search(self.text) is not None

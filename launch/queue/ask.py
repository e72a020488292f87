"""One way to run SLURM's commands: with a time limit, their own format, and errors that say what to do."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import TypeVar

from sharding.base.text import LONGEST_MESSAGE, first_few, plain, shown
from sharding.errors import AvsyncError, InputError

T = TypeVar("T")
PATIENCE_S = 60.0
"""A busy slurmctld may take long; one that takes longer is as good as none."""
QUESTION_S = 20.0
"""Of a question whose answer can be done without."""

IN_WAY = ("SACCT_", "SCANCEL_", "SCONTROL_", "SINFO_", "SLURM_BITSTR_LEN", "SLURM_TIME_FORMAT", "SQUEUE_")
"""Beginnings of variables by which a person changes what SLURM's commands print, or hides jobs from them."""
REMEDIES = {
    "configuration source": "is this a login node? SLURM_CONF must name the site's slurm.conf",
    "Unable to contact slurm controller": "SLURM is down, or cannot be reached from here; try later, or a login node",
}
"""What SLURM says -> what to do. Most of its words are clear by themselves."""


_WRONG = re.compile("error|fail|denied|invalid", re.IGNORECASE)
"""In a line that says what is wrong."""
_HELP = re.compile(r"^Try ['\"].* --help")


class QueueError(AvsyncError):
    """SLURM does not answer, or says no."""


def ask(argv: Sequence[str], timeout_s: float = PATIENCE_S, environment: Mapping[str, str] | None = None) -> str:
    """What a command prints. `environment`: instead of this process's own; a person's taste in formats is left out.

    Raises InputError where there is no such program, QueueError when it fails or does not answer.
    """
    try:
        run = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
            env=unchanged(os.environ if environment is None else environment),
            check=False,
        )
    except FileNotFoundError:
        raise InputError(
            f"{argv[0]} is not found: this machine is no login node of a SLURM cluster, or SLURM's programs are not in "
            "PATH; try where you type sbatch"
        ) from None
    except OSError as error:  # it may not be run by this user
        raise QueueError(f"{argv[0]} cannot be run: {error.strerror}; ask the administrator") from error
    except subprocess.TimeoutExpired:
        raise QueueError(f"{argv[0]} gave no answer for {timeout_s:.0f} s: SLURM is busy or down; try later") from None
    if run.returncode:
        words = reason_in(run.stderr.strip() or run.stdout.strip()) or "no word"
        remedy = next((f"; {remedy}" for said, remedy in REMEDIES.items() if said in words), "")
        raise QueueError(f"{' '.join(argv[:3])} failed ({run.returncode}): {words}{remedy}")
    return run.stdout


def reason_in(answer: str) -> str:
    """The line of a refusal that says why: a site's own remarks may stand around it, and how to get help behind it."""
    lines = [line for line in answer.splitlines() if line.strip() and not _HELP.search(line)]
    return next((line for line in reversed(lines) if _WRONG.search(line)), lines[-1] if lines else "")


class Unasked:
    """What SLURM would not tell, and what was therefore not checked: no fault of a job, and told in one warning."""

    def __init__(self) -> None:
        self._reasons, self._unchecked = list[str](), list[str]()

    def ask(self, question: Callable[[], T], otherwise: T, unchecked: str) -> T:
        """The answer, or `otherwise`; then `unchecked` is what cannot be said without it."""
        try:
            return question()
        except (InputError, QueueError) as error:
            self.note(str(error).partition(": this machine is no login node")[0], unchecked)
            return otherwise

    def note(self, reason: str, unchecked: str) -> None:
        """There is no answer, for this reason."""
        self._reasons += [reason] * (reason not in self._reasons)
        self._unchecked += [unchecked] * (unchecked not in self._unchecked)

    @property
    def warning(self) -> str:
        """Empty where all was answered."""
        return f"not checked: {'; '.join(self._unchecked)} ({'; '.join(self._reasons)})" if self._unchecked else ""

    def warn(self) -> None:
        if self.warning:
            sys.stderr.write(f"avsync: warning: {shown(self.warning, LONGEST_MESSAGE)}\n")


def unchanged(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables without those that change what SLURM's commands print; lists of an array's tasks in full."""
    kept = {name: value for name, value in environment.items() if not name.startswith(IN_WAY)}
    return kept | {"SLURM_BITSTR_LEN": "0"}


# What may become a word of SLURM's commands: a job's folder, a profile and SLURM itself tell names, and a folder may
# have been written by anybody. As a word `--me` is an option; behind ssh a shell reads it.

JOB = r"[0-9]{1,20}(\+[0-9]{1,9})?(_([0-9]{1,9}|\[[0-9,:%-]{1,200}\]))?"
"""A job's number: `12`, of an array's task `12_3` or `12_[3-7]`, of a job of several kinds `12+1`."""
_JOB = re.compile(JOB)
_NODES = re.compile(r"[A-Za-z0-9_]([\w.-]|\[[\d,-]+\])*", re.ASCII)
_PARTITION = re.compile(r"[A-Za-z0-9_]([\w.+-])*", re.ASCII)
REMOTE = frozenset("clush dbclient dsh pdsh plink rsh ssh tsh".split())
"""Programs that join the words behind them with blanks and give them to a shell on another machine."""


def is_job(text: str) -> bool:
    """Whether that is a job's number."""
    return _JOB.fullmatch(text) is not None


def is_nodes(text: str) -> bool:
    """`n1`, or `n[1-3,7]` as SLURM writes several."""
    return _NODES.fullmatch(text) is not None


def is_partition(text: str) -> bool:
    """`low`: one of them."""
    return _PARTITION.fullmatch(text) is not None


def odd_nodes(names: Iterable[str]) -> str:
    """What is to be said of those among them that are none; empty where all are."""
    odd = [plain(repr(name)) for name in dict.fromkeys(names) if not is_nodes(name)]
    return f"{first_few(odd)} {'are no names of nodes' if len(odd) > 1 else 'is no name of a node'}" if odd else ""


def for_shell(command: Sequence[str], words: Sequence[str]) -> list[str]:
    """A command of a profile, and words behind it as they must stand there to arrive as they are."""
    remote = any(PurePath(word).name in REMOTE for word in command)
    return [*command, *(map(shlex.quote, words) if remote else words)]

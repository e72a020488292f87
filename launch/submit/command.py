"""`avsync submit COMMAND ...` and `avsync resubmit RUN` as typed.

The command behind `submit` is built by its own class: a wrong flag is found now, not in the job.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Annotated, Self

from tyro.conf import Positional, arg

from launch.commands.entries import command_class
from launch.commands.flags import HELP, check_typed, declared
from launch.commands.parse import Parsed
from launch.submit.kinds import KINDS
from launch.submit.plan import Link
from launch.submit.resources import ResourceOptions
from launch.submit.typed import Split, leading, links, split
from sharding.base.written_paths import IS_PATH
from sharding.errors import InputError

_JOB = re.compile(r"\d+(_\d+)?", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class ForAll:
    """Flags of the whole call."""

    cluster: Annotated[str, arg(metavar="NAME"), IS_PATH] = ""
    """Profile of the cluster: a file's path, or its name in the own folder or among those that come with avsync.
    Default: what the variable AVSYNC_CLUSTER says."""
    dry_run: bool = False
    """Print what would be queued, each script word for word, and what was checked; write and queue nothing."""
    after: Annotated[str, arg(metavar="JOB,...")] = ""
    """Begin when these jobs of SLURM ended well."""
    of: Annotated[str, arg(metavar="USER")] = ""
    """Where the job of a colleague, USER, lies in the place of one of these, take that: theirs keeps its files under
    another name."""

    def __post_init__(self) -> None:
        if wrong := [job for job in self.jobs if not _JOB.fullmatch(job)]:
            raise InputError(f"--after {wrong[0]} is no number of a job; write it like 1234 or 1234,1235")

    @property
    def jobs(self) -> tuple[str, ...]:
        return tuple(self.after.replace(",", " ").split())


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmitFlags(Parsed):
    """Queue pack, audit, train, evaluate and others as SLURM jobs that survive preemption, time limits and failures.

    avsync submit train DATASET RUN --steps 50000 --cluster NAME

    avsync submit pack VIDEOS DATASET --then train DATASET RUN --then evaluate RUN DATASET --cluster NAME
    """

    command: Annotated[Positional[tuple[str, ...]], arg(metavar="COMMAND ...", help_behavior_hint="")] = ()
    """What to run, as it is typed without submit. --then begins another one, for when the one before ended well.
    Flags below that stand before the first command are for all of a chain, those within a command for that one."""
    call: Annotated[ForAll, arg(name="")] = field(default_factory=ForAll)
    wanted: Annotated[ResourceOptions, arg(name="")] = field(default_factory=ResourceOptions)


OF_ALL, OWN = declared(ForAll).flags, declared(SubmitFlags).flags


@dataclass(frozen=True, kw_only=True, slots=True)
class Submit:
    """A chain of commands for a cluster."""

    chain: tuple[Link, ...]
    """In order."""
    call: ForAll
    typed_as = SubmitFlags

    @classmethod
    def parse(cls, arguments: Sequence[str], prog: str) -> Self:
        """Raises SystemExit after --help, InputError for what cannot be."""
        first = leading(arguments, OWN)
        if arguments[first : first + 1] and arguments[first] in HELP:
            SubmitFlags.parse(HELP[:1], prog)
        check_typed(SubmitFlags, arguments[: first + 1], prog)
        if not arguments[first:]:
            raise InputError(f"what shall be submitted? {', '.join(KINDS)} and its words are missing; {prog} --help")
        common = split(arguments[:first], OWN).own
        parts = [split(words, OWN) for words in links(arguments[first:])]
        whole = tuple(word for part in parts for word in split(part.own, OF_ALL).own)
        own = [split(part.own, OF_ALL).words for part in parts]
        chain = tuple(
            _link(part, SubmitFlags.parse((*common, *mine), prog).wanted, prog)
            for part, mine in zip(parts, own, strict=True)
        )
        return cls(chain=chain, call=SubmitFlags.parse((*common, *whole), prog).call)

    def execute(self) -> str:
        from launch.submit.submit import submit

        return submit(self.chain, self.call.cluster, self.call.jobs, of=self.call.of, dry_run=self.call.dry_run)


def _link(part: Split, wanted: ResourceOptions, prog: str) -> Link:
    name, *rest = part.words or ("",)
    if name not in KINDS:
        near = get_close_matches(name, KINDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"what can be: {', '.join(KINDS)}"
        raise InputError(f"avsync submit {name or '(nothing)'}: this cannot be submitted; {hint}")
    command = command_class(name).parse(rest, f"{prog} {name}")
    return Link(kind=name, words=(name, *rest), command=command, wanted=wanted)


@dataclass(frozen=True, kw_only=True, slots=True)
class Resubmit(Parsed):
    """Queue again what did not end well, as it was: same words, same cluster, same code; and what fell with it.

    Of a chain the first job that did not end well, and behind it those that waited for it, in whichever folder.
    """

    run: Annotated[Positional[str], arg(metavar="RUN"), IS_PATH]
    """Folder of a run or dataset, or of a job in it."""
    kind: Annotated[str, arg(metavar="KIND")] = ""
    """Only this one of its jobs: train, evaluate, pack ..."""
    new_code: bool = False
    """Run avsync as it is now, not as it was when the job was first submitted."""
    of: Annotated[str, arg(metavar="USER")] = ""
    """Take over jobs of a colleague, USER: the same words as jobs of your own, with your code, and the profile that the
    variable AVSYNC_CLUSTER names."""
    dry_run: bool = False
    """Print what would be queued; write and queue nothing."""

    def execute(self) -> str:
        from launch.submit.submit import resubmit

        return resubmit(self.run, self.kind, new_code=self.new_code, of=self.of, dry_run=self.dry_run)

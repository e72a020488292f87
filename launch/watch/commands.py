"""The commands that look at jobs and end them. The work is imported when a command runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from tyro.conf import Positional, arg

from launch.commands.parse import Parsed
from sharding.base.written_paths import IS_PATH
from sharding.errors import InputError

WATCH_S = 10
"""Between looks: a site's SLURM serves thousands."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Status(Parsed):
    """How jobs stand: in the queue and why, step, ETA, clips/s, data wait, attempts and why they ended, validation.

    Of one run: every attempt, and what to do next.
    """

    runs: Annotated[Positional[tuple[str, ...]], arg(metavar="[RUN|DATASET ...]"), IS_PATH] = ()
    """Folders that were submitted; without any: your jobs in the queue, and all below this folder."""
    json: bool = False
    """Print it as JSON, for scripts."""
    watch: Annotated[int, arg(metavar="SECONDS", help_behavior_hint=f"(without SECONDS: {WATCH_S})")] = 0
    """Look again every so many seconds."""

    @classmethod
    def parse(cls, arguments: Sequence[str], prog: str) -> Self:
        """`--watch` needs no number."""
        words = list(arguments)
        for place, word in reversed(list(enumerate(words))):
            if word == "--watch" and not "".join(words[place + 1 : place + 2]).lstrip("-").isdecimal():
                words.insert(place + 1, str(WATCH_S))
        return super(Status, cls).parse(words, prog)

    def __post_init__(self) -> None:
        if self.watch < 0:
            raise InputError(f"--watch {self.watch} must be a number of seconds above 0")
        if self.watch and self.json:
            raise InputError("--watch and --json do not go together; leave one out, and call it again and again")

    def execute(self) -> str:
        from launch.watch.watch import print_json, print_status, watch

        if self.json:
            return print_json(self.runs)
        return watch(self.runs, self.watch) if self.watch else print_status(self.runs)


@dataclass(frozen=True, kw_only=True, slots=True)
class Logs(Parsed):
    """Print what a job printed; with -f go on with it, over requeues, until the job is over for good."""

    run: Annotated[Positional[str], arg(metavar="RUN"), IS_PATH]
    """A run or dataset that was submitted."""
    follow: Annotated[bool, arg(aliases=["-f"])] = False
    """Go on until the job is over for good, or Ctrl-C."""
    lines: Annotated[int, arg(aliases=["-n"])] = 200
    """Only the last lines; 0: all."""
    task: int | None = None
    """Of an array: only this task, the first is 0."""
    errors: bool = False
    """Only what looks like an error, and why the job failed."""
    raw: bool = False
    """As it was printed, colours and all: what is in the log may steer your terminal. Without: escapes are shown."""
    kind: str = ""
    """Of several jobs on one folder, as train and evaluate: which; without: that which runs, else that ran last."""

    def __post_init__(self) -> None:
        if self.lines < 0:
            raise InputError(f"--lines {self.lines} must not be below 0; 0 is all")
        if self.errors and self.follow:
            raise InputError("--errors looks at what is there; leave --follow out")

    def execute(self) -> str:
        from launch.watch.logs import LogOptions, follow, job_to_show, show, show_errors

        wanted = LogOptions(lines=self.lines, task=self.task, raw=self.raw)
        paths = job_to_show(self.run, self.kind)
        if self.errors:
            return show_errors(paths, wanted)
        return follow(paths, wanted) if self.follow else show(paths, wanted)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cancel(Parsed):
    """End what waits and runs on a folder, and let it save first; also what waits for it in another folder.

    It stays ended, whatever SLURM does; avsync resubmit takes it up again.
    """

    run: Annotated[Positional[str], arg(metavar="RUN"), IS_PATH]
    """A run or dataset that was submitted."""
    now: bool = False
    """Do not wait for it to save; what came after its last checkpoint is lost."""
    wait: int = 180
    """Seconds that it gets to save."""
    kind: str = ""
    """Of several jobs on one folder, as train and evaluate: only this one; without: all that live."""

    def __post_init__(self) -> None:
        if self.wait < 0:
            raise InputError(f"--wait {self.wait} must not be below 0")

    def execute(self) -> str:
        from launch.watch.cancel import cancel

        return cancel(self.run, self.kind, 0 if self.now else self.wait)


@dataclass(frozen=True, kw_only=True, slots=True)
class Board(Parsed):
    """Start TensorBoard on a free port of this machine, and say how to reach it from elsewhere. Ctrl-C ends it."""

    runs: Annotated[Positional[tuple[Path, ...]], arg(metavar="[RUN ...]")] = ()
    """Runs to compare; without any: all below this folder."""
    port: int = 0
    """Which port; 0: one that is free."""
    host: str = "localhost"
    """Who may look: localhost lets in who is logged in here, by ssh too; 0.0.0.0 everybody who reaches this machine."""

    def __post_init__(self) -> None:
        if not 0 <= self.port < 65_536:
            raise InputError(f"--port {self.port} must be from 0, for a free one, to 65535")

    def execute(self) -> str:
        from launch.watch.board import board

        return board(self.runs, self.host, self.port)

"""`avsync logs`: what a job printed, attempt after attempt, and as it comes."""

import os
import re
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from launch.job.paths import JobPaths
from launch.job.srun import unlabelled
from launch.watch.gather import gather
from launch.watch.hints import about, command, next_of
from launch.watch.jobs import has_several, jobs_of, of_kind, short
from launch.watch.log_files import LogFile, added, last_lines, log_files, printable
from launch.watch.meant import ChainJob, all_said, meant_by_logs
from launch.watch.on_disk import read_queued
from launch.watch.status import OVER, JobStatus, Standing, ask_queue, read_status
from sharding.base.console import open_console
from sharding.base.text import LONGEST_MESSAGE, plain, shown
from sharding.errors import InputError

BEGINS = re.compile(r"avsync: attempt (\d{1,9}) of job (\S+) begins")
"""What each attempt prints first."""
LOOK_S = 0.5
ASK_S = 30.0
"""Between questions to SLURM, while a log is followed: whether the job has ended without a word."""
_ERROR = re.compile(
    r"Error\b|error:|\bException\b|Traceback|\bFATAL\b|\bKilled\b|oom.kill|CANCELLED AT|Segmentation|signal \d+"
    r"|NCCL WARN|avsync: attempt \d+ (begins|ended)|avsync: attempt \d+ of"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class LogOptions:
    """Which part."""

    lines: int
    """The last ones; 0: all."""
    task: int | None
    raw: bool = False
    """As it was printed, whatever it does to a terminal."""


def job_to_show(name: str, kind: str) -> JobPaths:
    """The job that is meant; of several it is said which one it is, and which there are. Raises InputError."""
    found = jobs_of(name)
    if kind or len(found) == 1:
        return of_kind(name, found, kind) if kind else found[0]
    jobs, _ = gather(name)
    meant = meant_by_logs(jobs.jobs)
    others = [job for job in meant.others if job.here]
    flags = " or ".join(f"--kind {job.kind}" for job in others)
    line = f"{about(JobPaths(meant.jobs[0].root))}; besides, by {flags}: {all_said(others)}"
    open_console(stderr=True).print(Text(plain(line), "dim"), soft_wrap=True)
    return JobPaths(meant.jobs[0].root)


def show(paths: JobPaths, wanted: LogOptions) -> str:
    """Print it. Raises InputError for a task that is not there."""
    printer = Printer(open_console(), wanted)
    printer.first(_files(paths, wanted))
    return "" if printer.shown else _nothing(paths)


def follow(paths: JobPaths, wanted: LogOptions) -> str:
    """Print it as it comes, until the job is over for good; over requeues, and when a file begins anew."""
    printer, asked, status = Printer(open_console(), wanted), 0.0, None
    printer.first(_files(paths, wanted))
    try:
        while True:
            if time.monotonic() - asked > ASK_S or os.path.lexists(paths.task(None).outcome):
                status, asked = read_status(paths, ask_queue([paths])), time.monotonic()
                if not printer.shown and status.standing is Standing.WAITING:
                    printer.note(f"{status.standing}: {status.why}")
            printer.more(_files(paths, wanted))  # after the look at its end: what came before it is shown
            if status and status.standing in (*OVER, Standing.SILENT):
                following = [command("logs", job.root, "-f") for job in _that_follow(status)]
                return "\n".join([_closing(status), *(f"Next: {line}" for line in following[:1])])
            time.sleep(LOOK_S)
    except KeyboardInterrupt:  # the way to end it
        return ""


def show_errors(paths: JobPaths, wanted: LogOptions) -> str:
    """Print what looks like an error, with tracebacks whole, and say why the job failed, if it did."""
    printer = Printer(open_console(), wanted, rules=False)
    for file in _files(paths, wanted):
        found = errors_in(last_lines(file.path, wanted.lines * 100)[0])
        printer.print(file, deque(found, wanted.lines) if wanted.lines else found)
    status = read_status(paths, ask_queue([paths]))
    return _closing(status)


def errors_in(lines: Iterable[str]) -> Iterator[str]:
    """Lines that tell of an error; of a traceback all, also where several tasks print theirs at once."""
    inside = set[int | None]()
    for line in lines:
        task, bare = unlabelled(line)
        if bare.startswith("Traceback (most recent call last)"):
            inside.add(task)
        if task in inside or _ERROR.search(bare):
            yield line
        if bare and not bare[0].isspace() and not bare.startswith("Traceback"):
            inside.discard(task)  # the error itself, which is a traceback's last line


@dataclass(slots=True)
class Printer:
    """Prints files and what is added to them."""

    console: Console
    wanted: LogOptions
    rules: bool = True
    """It is shown where attempts begin."""
    shown: bool = False
    _places: dict[LogFile, tuple[int, int]] = field(default_factory=dict[LogFile, tuple[int, int]])
    """The file's number on its disk, and the byte up to which it was printed."""
    _last: LogFile | None = None

    def first(self, files: list[LogFile]) -> None:
        """The last lines of each."""
        for file in files:
            number = _number(file)
            lines, end = last_lines(file.path, self.wanted.lines)
            self._places[file] = (number, end)
            self.print(file, lines)

    def more(self, files: list[LogFile]) -> None:
        """What has come since; all of a file that is new, or that begins anew."""
        for file in files:
            number, place = self._places.get(file, (0, 0))
            with suppress(OSError):  # it is gone, or being exchanged: the next look finds another one
                now = file.path.stat()
                lines, end = added(file.path, place if now.st_ino == number and now.st_size >= place else 0)
                self._places[file] = (now.st_ino, end)
                self.print(file, lines)

    def note(self, text: str) -> None:
        self.console.print(Text(plain(text), "dim"), soft_wrap=True)
        self.shown = True

    def print(self, file: LogFile, lines: Iterable[str]) -> None:
        """Lines of a file, with the name of its task where another one's stood last."""
        for line in lines:
            if file.task is not None and file != self._last:
                self._rule(f"task {file.task}")
            self._last, self.shown = file, True
            if self.rules and (found := BEGINS.search(line)):
                self._rule(f"attempt {found[1]}")
            if self.wanted.raw:
                sys.stdout.write(f"{line}\n")
            else:
                self.console.print(Text(printable(line)), soft_wrap=True)
        sys.stdout.flush()

    def _rule(self, title: str) -> None:
        if not self.wanted.raw:
            self.console.print(Rule(title, style="dim"))


def _files(paths: JobPaths, wanted: LogOptions) -> list[LogFile]:
    queued = read_queued(paths)
    files = log_files(paths, queued.ids if queued else ())
    if wanted.task is None:
        return files
    if files and files[0].task is None:
        raise InputError(f"--task {wanted.task}: {short(paths.target)} is no array; leave it out")
    return [file for file in files if file.task == wanted.task]


def _nothing(paths: JobPaths) -> str:
    status = read_status(paths, ask_queue([paths]))
    why = f" ({shown(status.why, LONGEST_MESSAGE)})" if status.why else ""
    yet = " yet" * (status.standing not in OVER)
    line = f"Nothing printed{yet}: {_kind(status)}{status.standing}{why}"
    following = [command("logs", job.root, "-f") for job in _waited_for(status)] or next_of(status)
    return f"{line}. Next: {following[0]}" if following else line


def _that_follow(status: JobStatus) -> list[ChainJob]:
    """What waited for it, and may begin now."""
    if not status.chain or status.standing is not Standing.DONE:
        return []
    jobs = gather(status.target)[0].jobs
    return [job for job in jobs if Path(status.folder) in job.before and job.live]


def _waited_for(status: JobStatus) -> list[ChainJob]:
    """What runs in another folder, and must end well before."""
    if status.standing is not Standing.WAITING or status.works_in:
        return []
    found, _ = gather(status.target)
    before = found.exactly(Path(status.folder)).before
    return [job for job in found.jobs if job.root in before and not job.here and job.began and job.live]


def _closing(status: JobStatus) -> str:
    why = f": {shown(status.why, LONGEST_MESSAGE)}" if status.why else ""
    return f"{_kind(status)}{status.standing}{why}"


def _kind(status: JobStatus) -> str:
    """Where the folder has several jobs."""
    return f"{status.kind}: " if has_several(Path(status.target)) else ""


def _number(file: LogFile) -> int:
    with suppress(OSError):
        return file.path.stat().st_ino
    return 0

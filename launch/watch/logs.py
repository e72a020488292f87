"""`avsync logs`: what a job printed, attempt after attempt, and as it comes."""

import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from launch.job.attempt import OFFSET
from launch.job.paths import JobPaths
from launch.job.srun import unlabelled
from launch.watch.gather import gather
from launch.watch.hints import about, command, next_of
from launch.watch.jobs import has_several, jobs_of, of_kind, short
from launch.watch.meant import ChainJob, all_said, meant_by_logs
from launch.watch.on_disk import read_queued
from launch.watch.status import OVER, JobStatus, Standing, ask_queue, read_status
from sharding.base.console import open_console
from sharding.base.text import plain
from sharding.errors import InputError

# The files that a job's attempts print to, and their last lines; read from the end, however long they are.

BLOCK = 65_536
BEGINS = re.compile(r"avsync: attempt (\d+) of job (\S+) begins")
"""What each attempt prints first."""
_OF_TASK = re.compile(r"(\d+)_(\d+)\.txt")
_OFFSET = re.compile(rf"{OFFSET}=['\"]?(\d+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class LogFile:
    """One file."""

    path: Path
    task: int | None
    """Number in the whole array; None: of a job that is none."""


def log_files(paths: JobPaths, ids: tuple[str, ...] = ()) -> list[LogFile]:
    """Those that are there, by task, the older of a task first. `ids`: of the array's pieces, in order."""
    if paths.log.is_file():
        return [LogFile(path=paths.log, task=None)]
    found = list[tuple[int, int, Path]]()
    for path in paths.logs.glob("*.txt"):
        if match := _OF_TASK.fullmatch(path.name):
            job, index = match.groups()
            found.append((_offset(paths, ids, job) + int(index), int(job), path))
    return [LogFile(path=path, task=task) for task, _, path in sorted(found)]


def _offset(paths: JobPaths, ids: tuple[str, ...], job: str) -> int:
    """An array larger than the site allows is several: where in the whole this one begins, its script says."""
    if len(ids) < 2 or job not in ids:
        return 0
    try:
        text = paths.script(ids.index(job), len(ids)).read_text(errors="replace")
    except OSError:
        return 0
    return int(found.group(1)) if (found := _OFFSET.search(text)) else 0


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a file; none where it cannot be read."""
    return last_lines(path, lines)[0]


def last_lines(path: Path, lines: int) -> tuple[list[str], int]:
    """The last whole and begun lines, and the byte after them."""
    try:
        with path.open("rb") as file:
            end = begin = file.seek(0, os.SEEK_END)
            data = b""
            while begin > 0 and data.count(b"\n") <= lines:
                begin = max(0, begin - BLOCK)
                file.seek(begin)
                data = file.read(end - begin)
    except OSError:
        return [], 0
    text = data.decode(errors="replace").splitlines()
    return text[-lines:] if lines else [], end


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
            if time.monotonic() - asked > ASK_S or paths.task(None).outcome.exists():
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
    console = open_console()
    for file in _files(paths, wanted):
        found = list(errors_in(last_lines(file.path, wanted.lines * 100 or sys.maxsize)[0]))
        if found and file.task is not None:
            console.print(Rule(f"task {file.task}", style="dim"))
        for line in found[-wanted.lines :]:
            console.print(Text(plain(line)), soft_wrap=True)
    status = read_status(paths, ask_queue([paths]))
    return _closing(status)


def errors_in(lines: Sequence[str]) -> Iterator[str]:
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
    shown: bool = False
    _places: dict[LogFile, tuple[int, int]] = field(default_factory=dict[LogFile, tuple[int, int]])
    """The file's number on its disk, and the byte up to which it was printed."""
    _last: LogFile | None = None

    def first(self, files: list[LogFile]) -> None:
        """The last lines of each."""
        for file in files:
            lines, end = last_lines(file.path, self.wanted.lines or sys.maxsize)
            self._places[file] = (_number(file), end)
            self._print(file, "\n".join(lines))

    def more(self, files: list[LogFile]) -> None:
        """What has come since; all of a file that is new, or that begins anew."""
        for file in files:
            number, place = self._places.get(file, (0, 0))
            with file.path.open("rb") as opened:
                now = _number(file)
                size = opened.seek(0, 2)
                opened.seek(place if now == number and size >= place else 0)
                data = opened.read()
                whole = data.rfind(b"\n") + 1  # a line that is half written comes with the next look
                self._places[file] = (now, opened.tell() - len(data) + whole)
            self._print(file, data[:whole].decode(errors="replace").rstrip("\n"))

    def note(self, text: str) -> None:
        self.console.print(Text(text, "dim"), soft_wrap=True)
        self.shown = True

    def _print(self, file: LogFile, text: str) -> None:
        if not text:
            return
        if file.task is not None and file != self._last:
            self.console.print(Rule(f"task {file.task}", style="dim"))
        self._last, self.shown = file, True
        for line in text.splitlines():
            if found := BEGINS.search(line):
                self.console.print(Rule(f"attempt {found[1]}", style="dim"))
            self.console.print(Text(line), soft_wrap=True)


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
    why = f" ({plain(status.why)})" if status.why else ""
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
    why = f": {plain(status.why)}" if status.why else ""
    return f"{_kind(status)}{status.standing}{why}"


def _kind(status: JobStatus) -> str:
    """Where the folder has several jobs."""
    return f"{status.kind}: " if has_several(Path(status.target)) else ""


def _number(file: LogFile) -> int:
    return file.path.stat().st_ino

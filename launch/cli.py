"""The console command `avsync`: finds the command, builds it, runs it, and says what went wrong in a person's words.

Nothing heavy is imported until a command is known: `avsync --help` must come at once, on any login node.

Exit codes: 0 done; 1 something the person can mend; 2 wrong command, flag or setting, which the same command will never
get past; 70 a bug; stopped by a signal: 128 and its number (130 Ctrl-C, 143 SIGTERM, 129 SIGHUP, 138 SIGUSR1, 140
SIGUSR2), 130 also by a file or another rank.
"""

import errno
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Self

from launch.commands.entries import COMMANDS, TRAIN, command_class
from launch.job.launcher import TORCHRUN, Launched, Starter, check_whole, launched, meet_in_step
from sharding.base.current_folder import leave_alone
from sharding.base.guarded import InTheWay
from sharding.base.housekeeping import why_refused
from sharding.base.libraries import check_loads, limit_trouble, load_trouble
from sharding.base.signals import TO_END, TO_SAVE, Handlers, exit_code, forget, install, note, restore, take_pending
from sharding.base.surroundings import check_here, restart_in_utf8, settle_account, speak_anywhere
from sharding.base.text import LONGEST_MESSAGE, plain_lines, shown
from sharding.errors import AvsyncError, InputError, PeerError, UsageError

if TYPE_CHECKING:
    from launch.commands.parse import Command

DONE, FAILED, USAGE, BUG, STOPPED = 0, 1, 2, 70, 130
"""70: EX_SOFTWARE of sysexits.h; 130: what a shell reports for Ctrl-C."""
LAST_S = 3.0
"""Processes of one run start about so far apart."""
ELSEWHERE = "choose another folder or change its rights"
REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "make room, then run the same command again"),
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY), ELSEWHERE
    ),
    **dict.fromkeys(
        (errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.ETIMEDOUT, errno.EREMOTEIO),
        "look after that disk or its mount, then run the same command again",
    ),
    **dict.fromkeys((errno.ENAMETOOLONG, errno.ELOOP), "no disk has such a file; name another one"),
}
"""What a disk answers -> what to do; of other errors the program is to blame."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code."""
    if arguments is None:
        restart_in_utf8()
        leave_alone()
    speak_anywhere()
    words = list(sys.argv[1:] if arguments is None else arguments)
    name, rest = (words[0], words[1:]) if words else ("--help", [])
    if name in ("-h", "--help", "help"):
        print(overview())
        return DONE
    if name in ("-V", "--version"):
        print(versions())
        return DONE
    if name not in COMMANDS:
        return _unknown(name)
    return _printed(name, _run(name, rest))


def _run(name: str, rest: Sequence[str]) -> int:
    code = USAGE  # until the command is built, errors are about what was typed
    try:
        process = _join(name)
    except PeerError:
        return _leave_last(code)
    except AvsyncError as error:
        return _complain(str(error), code)
    with SignalEnd() as ending:
        try:
            command = _build(name, rest)
            code = FAILED
            # only now: ~ in what was typed means a home that there is
            settle_account(compiles=COMMANDS[name].module == TRAIN)
            _check_paths(command)
            if COMMANDS[name].module == TRAIN:
                check_loads("torch")
            closing = command.execute()
            if ending.number is not None:  # it takes a wish to end for the way to end it, as of Ctrl-C
                return _stop(name, ending.code)
            if closing:
                print(plain_lines(closing))
            return DONE
        except KeyboardInterrupt as stop:
            return _stop(name, ending.code, getattr(stop, "report", ""))
        except Exception as error:  # the top of the program: the one place that may see anything
            # after the end of a connection, whatever is still written to its terminal fails
            return _fail(name, error, code, process) if ending.number is None else _stop(name, ending.code)


def _join(name: str) -> Launched:
    """Become one of several processes, where a launcher has started several.

    Raises InputError where that cannot be, and PeerError in all but the first: one word is enough.
    """
    process, several = launched(os.environ), COMMANDS[name].several
    if process.ranks > 1 and (process.by is Starter.MPI or not (several or process.by is Starter.SOMEBODY)):
        with_others = f"start it with srun, or {TORCHRUN}"
        how = with_others if several else "it works as one process: start it once (srun -n1)"
        message = f"{process.by} has started avsync {name} {process.ranks} times; {how}"
        raise PeerError(message) if process.rank else InputError(message)
    if several:
        check_whole(os.environ)
    if process.by is Starter.SLURM:
        meet_in_step(os.environ)
    if process.idle and several:
        print(f"avsync: one process: {process.idle}", file=sys.stderr)
    return process


def _fail(name: str, error: Exception, code: int, process: Launched) -> int:
    if isinstance(error, PeerError):
        return _leave_last(code)
    if isinstance(error, AvsyncError) and code == USAGE and process.rank and process.by is not Starter.SOMEBODY:
        _tell_launcher(str(error))
        return _leave_last(code)  # all say the same: the first one is enough
    if isinstance(error, AvsyncError):
        return _complain(str(error), USAGE if isinstance(error, UsageError) else code)
    if isinstance(error, BrokenPipeError):  # `avsync ... | head`: nobody is listening any more
        sys.stderr.close()
        return FAILED
    return _complain(reason, FAILED) if (reason := _explain(error)) else _report_bug(name)


def _build(name: str, rest: Sequence[str]) -> "Command":
    return command_class(name).parse(rest, f"avsync {name}")


def _check_paths(command: "Command") -> None:
    from launch.commands.parse import check_links

    check_here()
    check_links(command)


def _explain(error: Exception) -> str:
    """What to say about an error of the machine rather than of the program; empty when it is a bug."""
    if trouble := load_trouble(error) or limit_trouble(error):
        return trouble
    if isinstance(error, InTheWay):
        return str(error)
    if type(error).__module__ == "av.error":  # some of FFmpeg's errors are OSErrors too, about no file of ours
        return ""
    if isinstance(error, OSError) and (remedy := REMEDIES.get(error.errno or 0)):
        if error.filename or remedy is not ELSEWHERE:
            at = (
                os.path.abspath(os.fsdecode(error.filename)) if isinstance(error.filename, (str, bytes)) else "the disk"
            )
            return f"{at}: {why_refused(error, remedy)}"
    if isinstance(error, MemoryError):
        return "out of memory; use fewer --workers (pack), or a smaller --batch or --runtime.prefetch (train)"
    if type(error).__name__ == "OutOfMemoryError":  # torch's; named, because torch must not be imported here
        return f"out of GPU memory; raise --runtime.accumulate, or lower --batch or --view.crop ({error})"
    return ""


def _stop(name: str, code: int, report: str = "") -> int:
    """report: of a training, what is saved."""
    message = "stopped; nothing half-written is left"
    if COMMANDS[name].resumes:
        again = f"the same avsync {name} command again goes on"
        message = f"stopped: {report}; {again} there" if report else f"stopped; {again} from what is already whole"
    if int(os.environ.get("RANK") or 0) == 0:
        with suppress(OSError):  # its terminal is gone; what cannot be written must not change the exit code
            print(f"\navsync: {shown(message, LONGEST_MESSAGE)}", file=sys.stderr)
    return code


def _printed(name: str, code: int) -> int:
    """The exit code, when all that was printed has gone out. Work that is done is done, whoever could see it."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except ValueError:
            continue  # closed
        except OSError as error:
            with suppress(OSError, ValueError):  # else the interpreter tries again, and ends with a code of its own
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            if code == DONE and not COMMANDS[name].resumes and error.errno != errno.EPIPE:
                code = _complain(_explain(error), FAILED)
    return code


def _complain(message: str, code: int) -> int:
    """One line, however long the names in it are and whatever they hold."""
    message = shown(message, LONGEST_MESSAGE)
    print(f"avsync: error: {message}", file=sys.stderr)
    _tell_launcher(message)
    return code


def _tell_launcher(message: str) -> None:
    """What torchrun prints below, a traceback of its own, ends with these words then."""
    if path := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        words = {"message": f"avsync: error: {message}", "extraInfo": {"timestamp": str(int(time.time()))}}
        with suppress(OSError), open(path, "w") as file:
            json.dump({"message": words}, file)


def _leave_last(code: int) -> int:
    """Without a word, but not before the process that has one: launchers end all others when one leaves."""
    time.sleep(LAST_S)
    return code


def _report_bug(name: str) -> int:
    report = f"please report it with the lines above and:\n{versions()}"
    print(f"{plain_lines(traceback.format_exc())}\navsync: this is a bug in avsync {name}; {report}", file=sys.stderr)
    return BUG


def _unknown(name: str) -> int:
    from difflib import get_close_matches

    near = get_close_matches(name, COMMANDS, n=1)
    kind = "option" if name.startswith("-") else "command"
    hint = f"did you mean avsync {near[0]}?" if near else "avsync --help lists them all"
    return _complain(f"{kind} {name!r} is not known; {hint}", USAGE)


def overview() -> str:
    """The text of `avsync --help`."""
    lines = [f"  {f'{name} {entry.usage}':<26}{entry.does}" for name, entry in COMMANDS.items()]
    return "\n".join(
        (
            "avsync: videos in; a trained, explained audio-visual synchronisation network out",
            "",
            "usage: avsync COMMAND ...      avsync COMMAND --help      avsync --version",
            "",
            *lines,
        )
    )


def versions() -> str:
    """What runs here, read from installed metadata: nothing is imported for it."""
    from importlib.metadata import PackageNotFoundError, version
    from platform import platform, python_version

    def installed(name: str) -> str:
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            return f"{name} (not installed)"

    packages = ", ".join(installed(name) for name in ("torch", "av", "numpy"))
    return f"{installed('avsync')} on Python {python_version()}, {packages}, {platform()}"


# SIGTERM (the end of a job), SIGHUP (of a connection), SIGUSR1 and SIGUSR2 (warnings of a site) end a command as Ctrl-C
# does: tidily, with a word.

SIGNALS = (*TO_END, *TO_SAVE)


class SignalEnd:
    """A context manager: inside, these signals raise KeyboardInterrupt, and `number` tells which came.

    What is ignored stays ignored (nohup). While one is being obeyed, also by a training that saves and leaves, more of
    them change nothing; Ctrl-C still acts. One of several ranks is left alone: who started the ranks ends them, and a
    rank that waits for others must not stay; what asks to save waits there until the training has begun.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._before: Handlers = {}
        self._mask: set[signal.Signals] | None = None

    @property
    def code(self) -> int:
        """What a shell reports for a command that this signal, or Ctrl-C, has ended."""
        return exit_code()

    def __enter__(self) -> Self:
        forget()
        if int(os.environ.get("WORLD_SIZE") or 1) == 1:
            self._before = install(SIGNALS, self._end, replace=lambda current: current is signal.SIG_DFL)
        else:
            self._mask = {signal.Signals(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, TO_SAVE)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        restore(self._before)
        if self._mask is not None:
            take_pending()
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def _end(self, number: int, frame: FrameType | None) -> None:
        if note(number):
            self.number = number
            raise KeyboardInterrupt

"""Bytes from afar: an HTTP answer, a command's output or a file, each read piece by piece, none for ever.

All give the same: `read_some` waits at most so long for the next bytes, and says when the end came too early. What
goes wrong is an OSError; it is `Refused` when asking again would not help.
"""

import base64
import os
import select
import signal
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from threading import Event
from typing import Any, Protocol
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit, urlunsplit

from sharding.base.current_folder import persons_environment
from sharding.base.files import open_file
from sharding.base.text import plain

PIECE = 1 << 20
"""Bytes asked for at a time: few large reads are what network file systems like best; still in the core's cache when
they are written."""
PIPE_BYTES = 1 << 20
"""A pipe's usual 64 kB would wake us sixteen times as often."""
ASK_AGAIN = (408, 425, 429)
"""Of the answers 4xx, those that pass. All others say that this file cannot be had."""
SOCKET_BYTES = 1 << 18
"""More than a socket holds; what is asked for is also what memory is taken for."""
COMPLAINT_BYTES = 300
COMPLAINTS_AT_ONCE, COMPLAINTS_LEFT = 1 << 16, 4
"""Bytes read of them, and how often when the command has ended: a pipe holds one such piece."""
CLOSE_S = 5
LOOK_S, WAIT_S = 0.5, 0.05
"""How often who waits for a command looks whether somebody still waits for us."""


class Refused(OSError):
    """The origin has answered, and the answer is no."""


class ByteStream(Protocol):
    """An open file of a dataset, wherever it lies."""

    length: int | None
    """Bytes that were announced."""

    def read_some(self, view: memoryview) -> int:
        """At least one byte into `view`; 0 at the end, when all that there is has come. Raises OSError."""
        ...


@dataclass(slots=True)
class _File:
    """A file of a disk; its system decides how long a read may take."""

    raw: Any
    length: int | None

    def read_some(self, view: memoryview) -> int:
        return self.raw.readinto(view)


@contextmanager
def file_stream(path: Path) -> Iterator[ByteStream]:
    """A local file. Raises Refused when it is not there or no file."""
    try:
        raw = open_file(path)
    except OSError as error:
        raise Refused(error.strerror or str(error)) from error
    with raw:
        os.posix_fadvise(raw.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        yield _File(raw, os.fstat(raw.fileno()).st_size)


@dataclass(slots=True)
class _Answer:
    """The body of an HTTP answer."""

    response: Any
    length: int | None
    come: int = 0

    def read_some(self, view: memoryview) -> int:
        wanted = min(len(view), SOCKET_BYTES)
        if self.length is not None:
            wanted = min(wanted, self.length - self.come)
        if not wanted:
            return 0
        try:
            data = self.response.read1(wanted)  # one read of the socket, so that its time-out is ours
        except HTTPException as error:
            raise ConnectionError(f"the answer broke off: {error!r}") from error
        if not data and self.length is not None:
            raise ConnectionError(f"the answer broke off after {self.come:,} of {self.length:,} bytes")
        view[: len(data)] = data
        self.come += len(data)
        return len(data)


@contextmanager
def http_stream(url: str, stall_s: float) -> Iterator[ByteStream]:
    """GET `url`, redirects and the usual proxy variables followed; no program is needed for it."""
    from urllib.request import Request, urlopen  # late: it brings a lot, and most datasets lie in a folder

    try:
        bare, secrets = _without_password(url)
        request = Request(bare, headers={"User-Agent": "avsync"})
        for name, value in secrets.items():
            request.add_unredirected_header(name, value)  # the server that a redirect points to may be another's
        response = urlopen(request, timeout=stall_s)
    except HTTPError as error:
        error.close()
        passing = error.code in ASK_AGAIN or error.code >= 500
        raise (OSError if passing else Refused)(f"HTTP {error.code} {plain(str(error.reason))}") from error
    except URLError as error:
        sure = isinstance(error.reason, ssl.SSLCertVerificationError)
        raise (Refused if sure else OSError)(plain(str(error.reason))) from error
    except HTTPException as error:
        raise OSError(f"no answer of HTTP: {plain(repr(error))}") from error
    except ValueError as error:  # a host or port that cannot be
        raise Refused(plain(str(error))) from error
    with response:
        yield _Answer(response, response.length)


def _without_password(url: str) -> tuple[str, dict[str, str]]:
    """`https://user:word@host/...` as urllib wants it: name and password in a header."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, {}
    word = base64.b64encode(unquote(user).encode()).decode()
    return urlunsplit(parts._replace(netloc=host)), {"Authorization": f"Basic {word}"}


@dataclass(slots=True)
class _Output:
    """What a program writes. Its end counts only when it says that all went well."""

    program: subprocess.Popen[bytes]
    stall_s: float
    stop: Event
    length: int | None = None
    _complaints: bytes = b""
    """The end of what it complains of, which may have no end either."""

    def read_some(self, view: memoryview) -> int:
        pipe = self.program.stdout
        assert pipe is not None
        self._wait_for(pipe.fileno())
        if got := os.readv(pipe.fileno(), [view]):
            return got
        if code := self._code():
            raise OSError(f"the command {_ended(code)}{self._complaint()}")
        return 0

    def _wait_for(self, handle: int) -> None:
        """Until there is something to read, or the end."""
        until = time.monotonic() + self.stall_s
        while handle not in self._ready(min(LOOK_S, self.stall_s), handle):
            if self.stop.is_set():
                raise OSError("nobody wants it any more")
            if time.monotonic() > until:
                raise TimeoutError(f"nothing came for {self.stall_s:g} s")

    def _code(self) -> int:
        """Its exit code, when its output has ended."""
        until = time.monotonic() + self.stall_s
        while (code := self.program.poll()) is None:
            if time.monotonic() > until:
                raise TimeoutError(f"its output has ended, but not the command, for {self.stall_s:g} s")
            if self.program.stderr:
                self._ready(WAIT_S)
            else:
                with suppress(subprocess.TimeoutExpired):
                    self.program.wait(WAIT_S)
        for _ in range(COMPLAINTS_LEFT):  # whom it left behind may write on
            if not self._ready(0):
                break
        return code

    def _ready(self, wait_s: float, *handles: int) -> set[int]:
        """Which of these can be read, and its complaints, which are read at once: nobody else makes room for more."""
        poll, complaints = select.poll(), self.program.stderr
        for handle in (*handles, *((complaints.fileno(),) if complaints else ())):
            poll.register(handle, select.POLLIN)
        ready = {handle for handle, _ in poll.poll(wait_s * 1000)}
        if complaints and complaints.fileno() in ready:
            if more := os.read(complaints.fileno(), COMPLAINTS_AT_ONCE):
                self._complaints = (self._complaints + more)[-COMPLAINT_BYTES:]
            else:
                complaints.close()
                self.program.stderr = None
        return ready

    def _complaint(self) -> str:
        message = plain(" ".join(self._complaints.decode(errors="replace").split()))
        return f": {message}" if message else ""


def _ended(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


@contextmanager
def command_stream(command: str, stall_s: float, stop: Event) -> Iterator[ByteStream]:
    """What a shell's command writes. It has a session of its own, so that all of it ends when we leave."""
    complaints, theirs = os.pipe()  # of the usual size: of larger ones a user has few
    try:
        program = subprocess.Popen(
            command,
            shell=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=theirs,
            pipesize=PIPE_BYTES,
            bufsize=0,
            start_new_session=True,
            env=persons_environment(),
        )
    except BaseException:
        os.close(complaints)
        raise
    finally:
        os.close(theirs)
    program.stderr = os.fdopen(complaints, "rb", buffering=0)
    try:
        yield _Output(program, stall_s, stop)
    finally:
        _end(program, lambda: os.killpg(program.pid, signal.SIGKILL))


@contextmanager
def webdataset_stream(url: str, stall_s: float, stop: Event) -> Iterator[ByteStream]:
    """Whatever else webdataset opens: gs, hf, sftp, ... It starts a program for each."""
    from webdataset.gopen import Pipe, gopen  # late: it imports torch

    try:
        opened = gopen(url, "rb")
    except (ValueError, ImportError) as error:
        raise Refused(plain(str(error))) from error
    if not isinstance(opened, Pipe):
        opened.close()
        raise Refused("webdataset opens it, but not as a stream that can be waited for")
    try:
        yield _Output(opened.proc, stall_s, stop)
    finally:
        _end(opened.proc, opened.proc.kill)


def _end(program: subprocess.Popen[bytes], kill: Callable[[], None]) -> None:
    """At once, with all that it started, unless it is through."""
    if program.poll() is None:
        try:
            kill()
        except ProcessLookupError:
            pass  # ended this moment
    for pipe in (program.stdout, program.stderr):
        if pipe:
            pipe.close()
    with suppress(subprocess.TimeoutExpired):  # it hangs in the kernel: nobody can do more
        program.wait(CLOSE_S)

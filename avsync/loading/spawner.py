"""Starts worker processes, by way of one that is forked for them; one for each process that loads."""

import atexit
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from multiprocessing.connection import Connection, wait

from avsync.loading.worker import LEFT_TO_PARENT
from sharding.errors import AvsyncError

PROGRAM = (
    "import sys; sys.path[:] = sys.argv[2:]\n"
    "import socket; from avsync.loading.worker import serve\n"
    "serve(socket.socket(fileno=int(sys.argv[1])))"
)
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""Workers multiply no matrices; and a process without threads is safe to fork."""
LEAVE_S = 2.0
"""How long it may take to leave."""
CAUSE_S = 5.0
"""How long to wait for the news of why a worker has ended."""


class Spawner:
    """The process that workers are forked from. It leaves when this one does, however that ends."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ended: dict[int, tuple[int, float]] = {}
        before = signal.pthread_sigmask(signal.SIG_BLOCK, LEFT_TO_PARENT)  # inherited: also while it is starting
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(theirs.fileno()), *sys.path],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=os.environ | ONE_THREAD,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()

    def spawn(self, memory: int) -> Connection:
        """A new worker, over the shared memory with this descriptor. Its first message is its pid.

        Raises AvsyncError when this process has ended.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._listen()  # news nobody asks for must not fill the line
                socket.send_fds(self._control, [b"w"], [theirs.fileno(), memory])
            except OSError as error:
                ours.close()
                self._process.wait()  # its end of the line is closed, so it is leaving
                raise AvsyncError(
                    f"the process that starts workers has ended with code {self._process.poll()}; its message stands "
                    "above, if it had one: was it killed, or is memory short?"
                ) from error
        return Connection(ours.detach())

    @property
    def lives(self) -> bool:
        return self._process.poll() is None

    def cause(self, pid: int, since: float) -> str:
        """Why a worker that was there at `since` (monotonic seconds) has ended, in words."""
        until = time.monotonic() + CAUSE_S
        if pid in self._ended and self._ended[pid][1] < since:
            del self._ended[pid]  # an earlier process had the same number
        while pid not in self._ended and (left := until - time.monotonic()) > 0 and wait([self._control], left):
            if not self._listen():
                break
        code, _ = self._ended.pop(pid, (None, 0.0))
        if code is None:
            return "ended"
        return f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"

    def _listen(self) -> bool:
        """Take what has come in; False at the end."""
        try:
            while message := self._control.recv(64, socket.MSG_DONTWAIT):
                number, status = map(int, message.split())
                self._ended[number] = os.waitstatus_to_exitcode(status), time.monotonic()
            return False
        except BlockingIOError:
            return True
        except ConnectionError:
            return False

    def close(self) -> None:
        """Its workers have left or leave by themselves."""
        with suppress(OSError):  # it may have ended before
            self._control.shutdown(socket.SHUT_RDWR)
        try:
            self._process.wait(LEAVE_S)
        except subprocess.TimeoutExpired:  # somebody has stopped it
            self._process.kill()
            self._process.wait()
        self._control.close()


_spawners: dict[int, Spawner] = {}


def spawner_of(pid: int) -> Spawner:
    """The one of this process; `pid` is os.getpid(), so that a fork gets its own, and one that was killed another.

    The first call costs 0.2 s, which pass while it returns.
    """
    if pid not in _spawners or not _spawners[pid].lives:
        _spawners[pid] = Spawner()
        atexit.register(_spawners[pid].close)
    return _spawners[pid]

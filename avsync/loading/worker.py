"""A worker process's life, and that of the process it is forked from. No torch: it starts fast and stays small.

The first one imports what all workers need, then forks one whenever it is told to: forking the training process itself,
with its threads and its GPU, is what locks up.
"""

import gc
import os
import select
import signal
import socket
import sys
import time
import traceback
from mmap import mmap
from multiprocessing.connection import Connection

import msgspec

from avsync.loading.fetch import Fetcher
from avsync.loading.request import Reply, Request, Setup, Stage
from sharding.errors import AvsyncError, SkipClip
from sharding.format.codec import codec_named

LEFT_TO_PARENT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Whoever stops a run stops its trainer, which may need its workers until it has saved; they leave when it does."""

NICENESS = 5
"""Whoever trains comes first: it hands out work and launches kernels, and has little to do of either."""


def serve(control: socket.socket) -> None:
    """Fork a worker for each message (its connection and its memory as descriptors), until `control` closes.

    The pid of each goes back, and when it has ended, pid and wait status, 8 bytes each.
    """
    for number in LEFT_TO_PARENT:
        signal.signal(number, signal.SIG_IGN)
    gc.freeze()  # else each worker's first full collection writes to, and so copies, all that it shares with the others
    ended, bell = socket.socketpair()
    bell.setblocking(False)
    signal.set_wakeup_fd(bell.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        ready, _, _ = select.select([control, ended], [], [])
        if ended in ready:
            ended.recv(4096)
            _tell_of_the_dead(control)
        if control in ready:
            handles = _handles(control)
            if not handles:
                signal.set_wakeup_fd(-1)
                return
            pid = os.fork()
            if not pid:
                signal.set_wakeup_fd(-1)
                for other in (control, ended, bell):
                    other.close()
                _work(Connection(handles[0]), handles[1])
            for handle in handles:
                os.close(handle)


def _handles(control: socket.socket) -> list[int]:
    """Those of the next worker; none when the parent has left, however it did."""
    try:
        return socket.recv_fds(control, 1, 2)[1]
    except ConnectionError:
        return []


def _tell_of_the_dead(control: socket.socket) -> None:
    try:
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            control.send(f"{pid} {status}".encode(), socket.MSG_DONTWAIT)
    except (ChildProcessError, OSError):
        return  # none is left, or nobody listens


def _work(connection: Connection, memory: int) -> None:
    """Never returns."""
    code = 1
    try:
        work(connection, memory)
        code = 0
    except (EOFError, BrokenPipeError, ConnectionResetError):
        code = 0  # the parent has left
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def work(connection: Connection, memory: int) -> None:
    """Answer requests until the parent closes the connection (EOFError, OSError)."""
    os.nice(NICENESS)
    connection.send_bytes(str(os.getpid()).encode())
    setup = msgspec.msgpack.decode(connection.recv_bytes(), type=Setup)
    layout, shared = setup.layout, mmap(memory, setup.layout.bytes)
    os.close(memory)
    me = layout.board(shared)[setup.worker]
    fetcher = Fetcher(codec_named(setup.codec))

    def tell(stage: Stage) -> None:
        me[1], me[2] = stage, time.monotonic_ns()

    while True:
        request = msgspec.msgpack.decode(connection.recv_bytes(), type=Request)
        me[0] = request.number
        try:
            row = fetcher.fill(request, *layout.row(shared, request.slot, request.row), tell)
            reply = Reply(number=request.number, json=row.json, read_ns=row.read_ns, decode_ns=row.decode_ns)
        except SkipClip as error:
            reply = Reply(number=request.number, error=str(error))
        except AvsyncError as error:
            reply = Reply(number=request.number, trouble=str(error))
        except Exception:
            reply = Reply(number=request.number, bug=traceback.format_exc())
        tell(Stage.IDLE)
        connection.send_bytes(msgspec.msgpack.encode(reply))

"""A worker process: what it is asked, how it fills a row, its life, and that of the process it is forked from.

No torch: it starts fast and stays small.

The first one imports what all workers need, then forks one whenever it is told to: forking the training process itself,
with its threads and its GPU, is what locks up.
"""

import errno
import gc
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from mmap import mmap
from multiprocessing.connection import Connection
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from avsync.loading.shape import SlotLayout
from sharding.base.files import from_json
from sharding.base.signals import STOPS
from sharding.errors import AvsyncError, SkipClip, WrongClip
from sharding.format.claims import ClipShape
from sharding.format.clip import ColorMatrix
from sharding.format.codec import codec_named
from sharding.format.form import ClipForm
from sharding.format.reader import OF_THE_MACHINE, ClipLocation, ShardReader, StoredClip

# What parent and worker say to each other: plain values as msgpack, nothing pickled.


class Stage(IntEnum):
    """What a worker is doing."""

    IDLE = 0
    READ = 1
    DECODE = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """The first message to a worker."""

    worker: int
    form: bytes
    """What every clip of the dataset has to be, a ClipForm as JSON: fractions are no msgpack."""
    layout: SlotLayout


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One row: which clip, what of it, and where it goes."""

    number: int
    """Counts the requests of a pass; names this one."""
    slot: int
    row: int
    location: ClipLocation
    frames: tuple[int, int, int]
    """First picture, end, step."""
    sounds: tuple[tuple[int, int], ...]
    """Of each sound window: its first sample, and the samples by which it is turned round cyclically."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """The row is there, or why not."""

    number: int
    json: bytes = b""
    """The clip's json member, which says what index and dataset.json do."""
    matrix: ColorMatrix = "bt601"
    """As the json names it."""
    error: str = ""
    """Why the clip could not be read: a fault of the data."""
    wrong: bool = False
    """That is how it was packed: no other copy of it can be better."""
    trouble: str = ""
    """Why no clip can be read: the machine's fault, and the end of the pass."""
    bug: str = ""
    """A traceback: a fault of the program."""
    read_ns: int = 0
    decode_ns: int = 0


Tell = Callable[[Stage], None]
"""Called when a stage begins."""


class FetchedRow(NamedTuple):
    """What is known of a filled row."""

    json: bytes
    matrix: ColorMatrix
    read_ns: int
    decode_ns: int


class Fetcher:
    """Fills rows: a clip is read, its window decoded straight into the row. One per process, which may close it."""

    def __init__(self, form: ClipForm) -> None:
        self._form, self._codec, self._reader = form, codec_named(form.codec), ShardReader(form)
        self._decoder = self._codec.decoder()
        self._sound = np.empty((0, 1), np.int16)

    def __enter__(self) -> "Fetcher":
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.__exit__()

    def fill(self, request: Request, yuv: NDArray[np.uint8], audio: NDArray[np.int16], tell: Tell) -> FetchedRow:
        """Fill a row. yuv: (T, H*3/2, W), audio: (K, S, C). Raises SkipClip; the row then holds anything."""
        frames = range(*request.frames)
        started = time.perf_counter_ns()
        tell(Stage.READ)
        stored, placed = self._read(request, frames, yuv)
        read = time.perf_counter_ns()
        tell(Stage.DECODE)
        shape, json = self._agreed(stored, request.location)
        if not placed:
            self._decoder.decode_video(stored.video, frames, yuv, shape)
        self._fill_sounds(request, stored, audio, shape)
        done = time.perf_counter_ns()
        return FetchedRow(json, shape.matrix or "bt601", read - started, done - read)

    def _agreed(self, stored: StoredClip, location: ClipLocation) -> tuple[ClipShape, bytes]:
        """What the clip has to be, and its json, which says so, too: nobody need ask it again. Raises WrongClip."""
        json = bytes(stored.json)
        meta = self._form.read_json(json, key=location.key, action=location.action, frames=location.frames)
        return self._form.shape(meta.frames, meta.matrix), json

    def _read(self, request: Request, frames: range, yuv: NDArray[np.uint8]) -> tuple[StoredClip, bool]:
        """The clip, and whether its pictures are in place already."""
        location = request.location
        head = self._codec.video_head((location.frames, *yuv.shape[1:])) if frames.step == 1 else None
        if head is None or location.video_bytes != len(head) + location.frames * yuv[0].nbytes:
            return self._reader.read(location), False
        first = frames.start * yuv[0].nbytes
        return self._reader.read_into(location, head, first, yuv), True

    def _fill_sounds(self, request: Request, stored: StoredClip, audio: NDArray[np.int16], shape: ClipShape) -> None:
        """All windows from one pass over the member: decoding starts at its beginning each time."""
        samples, channels = audio.shape[1:]
        first = min(start for start, _ in request.sounds)
        span = max(start for start, _ in request.sounds) + samples - first
        if self._sound.shape[0] < span or self._sound.shape[1] != channels:
            self._sound = np.empty((span, channels), np.int16)
        self._decoder.decode_audio(stored.audio, first, self._sound[:span], shape)
        for (start, roll), target in zip(request.sounds, audio, strict=True):
            heard = self._sound[start - first :][:samples]
            target[roll:], target[:roll] = heard[: samples - roll], heard[samples - roll :]


LEFT_TO_PARENT = STOPS
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
    fetcher = Fetcher(from_json(setup.form, ClipForm, "the form"))

    def tell(stage: Stage) -> None:
        me[1], me[2] = stage, time.monotonic_ns()

    while True:
        request = msgspec.msgpack.decode(connection.recv_bytes(), type=Request)
        me[0] = request.number
        try:
            row = fetcher.fill(request, *layout.row(shared, request.slot, request.row), tell)
            reply = Reply(number=request.number, **row._asdict())
        except SkipClip as error:
            reply = Reply(number=request.number, error=str(error), wrong=isinstance(error, WrongClip))
        except AvsyncError as error:
            reply = Reply(number=request.number, trouble=str(error))
        except MemoryError as error:
            reply = Reply(number=request.number, trouble=f"out of memory ({error}); {OF_THE_MACHINE[errno.ENOMEM]}")
        except Exception:
            reply = Reply(number=request.number, bug=traceback.format_exc())
        tell(Stage.IDLE)
        connection.send_bytes(msgspec.msgpack.encode(reply))

"""A process of its own for what is measured: it may run out of memory, hang or die, and the table goes on."""

import gc
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, cast

from benchmarks.train_settings import Computed, Machine, Streamed, Trained, Trouble

if TYPE_CHECKING:
    from benchmarks.train_jobs import Job  # torch with it: only what a job needs is imported, and only there

Answer = Machine | Computed | Streamed | Trained | Trouble
OUT_OF_MEMORY = "out of memory"
LINE = 300
"""Characters of a message that are kept."""


def serve(connection: Connection) -> None:
    """Do jobs until the other end is closed."""
    while True:
        try:
            job: Job = connection.recv()
        except EOFError:
            return
        connection.send(answer(job.what, job.run))
        gc.collect()
        torch: Any = sys.modules.get("torch")
        if torch and torch.cuda.is_available():
            torch.cuda.empty_cache()


def answer(what: str, run: Callable[[], Answer]) -> Answer:
    """What a job gives, or why it gives nothing."""
    try:
        return run()
    except Exception as error:  # whatever it is, it becomes a line under the table
        if type(error).__name__ == "OutOfMemoryError":  # torch's
            return Trouble(what=what, why=OUT_OF_MEMORY)
        text = " ".join(str(error).split())
        return Trouble(what=what, why=f"{type(error).__name__}: {text}"[:LINE])


class Child:
    """The process; a new one where the last gave trouble, for a GPU's errors stay with a process."""

    def __init__(self) -> None:
        self._context, self._process = get_context("spawn"), None

    def ask(self, job: "Job", limit_s: float) -> Answer:
        """Its figures, or trouble: also when it takes longer than `limit_s`."""
        if self._process is None or not self._process.is_alive():
            self._start()
        assert self._process
        began = time.monotonic()
        try:
            self._pipe.send(job)
            if self._pipe.poll(limit_s):
                given = cast(Answer, self._pipe.recv())
            else:
                self._process.kill()
                given = Trouble(what=job.what, why=f"not done after {limit_s:.0f} s")
        except (EOFError, OSError):
            self._process.join(5)
            after = time.monotonic() - began
            given = Trouble(what=job.what, why=f"its process ended by {self._process.exitcode} after {after:.0f} s")
        if isinstance(given, Trouble) and given.why != OUT_OF_MEMORY:
            self.close()
        return given

    def close(self) -> None:
        """It leaves by itself when it is idle."""
        if self._process is None:
            return
        self._pipe.close()
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process = None

    def _start(self) -> None:
        self._pipe, other = self._context.Pipe()
        self._process = self._context.Process(target=serve, args=(other,), name="avsync-bench")
        self._process.start()
        other.close()

"""Checkpoints are written beside training: copied at the step boundary, written by a thread, published when whole.

torch, files and disks let go of the interpreter while they work, so training goes on meanwhile. The thread knows no
other rank: whatever ranks have to agree on is asked by who trains.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from types import TracebackType
from typing import Any, Self

from avsync.run.checkpoint import Saved, bytes_of, keep_checkpoint
from avsync.run.host_copy import HostCopy
from avsync.run.paths import RunPaths
from avsync.run.state import State
from sharding.base.text import size


class GivenUp(Exception):
    """Nobody waits for this checkpoint any more."""


class Saver:
    """One checkpoint at a time. A context manager: at its end all that was saved is on the disk, or it raises.

    Only a second Ctrl-C gives up what is being written.
    """

    def __init__(self, paths: RunPaths, keep: int, before: State, failed: Callable[[], None]) -> None:
        """before: what is on the disk already. failed: called at once, in the thread, when one cannot be written;
        `settle` raises why.
        """
        self._paths, self._keep, self._failed = paths, keep, failed
        self._thread = ThreadPoolExecutor(1, "avsync-saver")
        self._given_up = Event()
        self._writing: Future[None] | None = None
        self._copy: HostCopy | None = HostCopy()
        self.on_disk = before
        """Of the last checkpoint that is whole. Its best one is whole, too."""
        self.lasted_s = 0.0
        """Seconds that it took to write."""
        self.trouble = ""
        """Why training waits for each checkpoint; empty: it need not."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if not isinstance(error, KeyboardInterrupt):
                self.settle()  # its error came first, whatever has happened since
        finally:
            self._given_up.set()
            self._thread.shutdown()

    @property
    def busy(self) -> bool:
        """Whether something is being written."""
        return self._writing is not None and not self._writing.done()

    def reserve(self, model: dict[str, Any], optimizer: dict[str, Any]) -> None:
        """Have the memory that `save` will copy such tensors to; beside training, too."""
        self.settle()
        self._writing = self._thread.submit(self._reserve, (model, optimizer))

    def save(self, saved: Saved) -> bool:
        """Take a copy and begin to write it, when the one before is written. Raises what `settle` raises.

        False: there is no memory for a copy. Then nothing may change the tensors until `settle` returns.
        """
        self.settle()
        tensors = saved.model, saved.optimizer
        copied, ready = self._taken(tensors) or (tensors, _is_ready)
        model, optimizer = copied
        taken = Saved(state=saved.state, model=model, optimizer=optimizer)
        self._writing = self._thread.submit(self._write, taken, ready)
        return self._copy is not None

    def settle(self) -> None:
        """Wait until nothing is being written. Raises what kept it from the disk, once."""
        writing, self._writing = self._writing, None
        if writing:
            writing.result()

    def _write(self, saved: Saved, ready: Callable[[], None]) -> None:
        began = time.monotonic()
        try:
            ready()
            keep_checkpoint(self._paths, saved, self._keep, self._go_on)
        except GivenUp:
            return
        except BaseException:
            self._failed()
            raise
        self.lasted_s = time.monotonic() - began
        self.on_disk = saved.state

    def _go_on(self) -> None:
        if self._given_up.is_set():
            raise GivenUp

    def _taken(self, tensors: Any) -> tuple[Any, Callable[[], None]] | None:
        try:
            return self._copy.take(tensors) if self._copy else None
        except MemoryError:
            self._do_without(tensors)
            return None

    def _reserve(self, tensors: Any) -> None:
        try:
            if self._copy:
                self._copy.reserve(tensors)
        except MemoryError:
            self._do_without(tensors)

    def _do_without(self, tensors: Any) -> None:
        self._copy = None
        self.trouble = (
            f"no memory for a second copy of weights and optimiser ({size(bytes_of(tensors))}): training waits while "
            "a checkpoint is written"
        )


def _is_ready() -> None:
    """Nothing was copied."""

"""Memory that parent and workers share, as tensors. Made once for a pass, filled over and over.

Fresh memory costs more than the copy into it (measured: 112 against 15 ms a batch of eight raw clips).
"""

import errno
import os
import tempfile
from contextlib import ExitStack, suppress
from mmap import mmap
from types import TracebackType
from typing import Any, Self, cast

import torch
from torch import Tensor

from avsync.loading.shape import SlotLayout
from sharding.base.housekeeping import why_refused
from sharding.errors import InputError


class SharedSlots:
    """A context manager. `handle` is the descriptor that workers map; it has no name that could be left behind."""

    def __init__(self, layout: SlotLayout, pin: bool) -> None:
        """pin: page-locked, for asynchronous copies to a GPU. Raises InputError when there is no such memory."""
        self.layout = layout
        with ExitStack() as failing:
            try:
                self.handle = _nameless_file()
                failing.callback(os.close, self.handle)
                os.ftruncate(self.handle, layout.bytes)
                self.map = mmap(self.handle, layout.bytes)
            except OSError as error:
                what = f"{layout.slots} batches of {layout.bytes >> 20} MiB together"
                if error.errno == errno.EFBIG:  # shared memory counts as a file
                    raise InputError(
                        f"cannot keep {what}: {why_refused(error)}, or lower --runtime.prefetch"
                    ) from error
                raise InputError(
                    f"no memory for {what} ({error.strerror}): lower --runtime.prefetch or --batch"
                ) from error
            failing.pop_all()
        self.board = layout.board(self.map)
        whole = torch.frombuffer(self.map, dtype=torch.uint8)
        self._pinned = whole.data_ptr() if pin and _lock_pages(whole) else 0
        self._slots = [self._tensors(whole, slot) for slot in range(layout.slots)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The mapping itself goes with the last tensor over it."""
        if self._pinned:
            torch.cuda.synchronize()  # a copy may still be reading
            cast(Any, torch.cuda.cudart()).cudaHostUnregister(self._pinned)
        os.close(self.handle)

    def slot(self, number: int) -> tuple[Tensor, Tensor]:
        """Pictures (B, T, H*3/2, W) uint8 and sounds (B, K, S, C) int16."""
        return self._slots[number]

    def _tensors(self, whole: Tensor, slot: int) -> tuple[Tensor, Tensor]:
        layout = self.layout

        def part(start: int, shape: tuple[int, ...], kind: torch.dtype) -> Tensor:
            return whole[start : start + torch.Size(shape).numel() * kind.itemsize].view(kind).view(shape)

        return (
            part(layout.yuv_at(slot), layout.yuv_shape, torch.uint8),
            part(layout.audio_at(slot), layout.audio_shape, torch.int16),
        )


def _nameless_file() -> int:
    """In memory; on a disk where the system knows no such files (macOS)."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("avsync-slots")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _lock_pages(memory: Tensor) -> bool:
    """Tell CUDA of memory that is not its own. False where it refuses: copies then wait, and are still right."""
    refused = int(cast(Any, torch.cuda.cudart()).cudaHostRegister(memory.data_ptr(), memory.numel(), 0))
    if refused:
        with suppress(RuntimeError):  # else the next kernel's check takes this error for its own
            torch.zeros(1, device="cuda")
    return not refused

"""A second copy of a run's tensors, in memory of its own: what is written beside training must not change meanwhile.

The memory is kept from one checkpoint to the next. Fresh pages cost more than the bytes that go into them: the paper's
network with momentum, 288 MB, is copied in 66 ms into memory that is there, in 290 ms into memory that is not.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class HostCopy:
    """Of the tensors in nested dictionaries and lists: each time the same ones, or the difference is asked for anew."""

    def __init__(self) -> None:
        self._kept = list[Tensor]()

    def reserve(self, value: Any) -> None:
        """Have memory for `value`, that is really there. Raises MemoryError."""
        before, kept = iter(self._kept), list[Tensor]()

        def keep(tensor: Tensor) -> Tensor:
            old = next(before, None)
            kept.append(old if old is not None and _alike(old, tensor) else _memory_for(tensor))
            return tensor

        with_tensors(value, keep)
        self._kept = kept

    def take(self, value: Any) -> tuple[Any, Callable[[], None]]:
        """The copy, which holds until the next one is taken; and what to call before it is read, in any thread.

        Whatever is done to `value` after this returns, on the CPU or in its GPU's stream, the copy has it as it was.
        Raises MemoryError.
        """
        self.reserve(value)
        kept = iter(self._kept)
        copied = with_tensors(value, lambda tensor: _fill(next(kept), tensor))
        if not any(one.is_pinned() for one in self._kept):
            return copied, _nothing_to_wait_for
        done = torch.cuda.Event()
        done.record()
        return copied, done.synchronize


def with_tensors(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same dictionaries and lists, with other tensors in them."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        made = type(value)((key, with_tensors(inner, change)) for key, inner in value.items())
        if hasattr(value, "__dict__"):  # a network's dictionary carries the versions of its modules
            made.__dict__.update(value.__dict__)
        return made
    return type(value)(with_tensors(inner, change) for inner in value) if isinstance(value, (list, tuple)) else value


def _nothing_to_wait_for() -> None:
    """Of a CPU's copy."""


def _alike(kept: Tensor, tensor: Tensor) -> bool:
    return (kept.shape, kept.dtype, kept.stride(), kept.is_pinned()) == (
        tensor.shape,
        tensor.dtype,
        tensor.stride(),
        tensor.is_cuda,
    )


def _memory_for(tensor: Tensor) -> Tensor:
    """In the same order, with every page touched; page-locked for a GPU, which copies into it by itself."""
    try:
        memory = torch.empty_like(tensor, device="cpu", pin_memory=tensor.is_cuda, requires_grad=False)
    except RuntimeError as error:  # torch knows no MemoryError
        raise MemoryError(str(error).splitlines()[0]) from error
    _bytes_of(memory).fill(0)
    return memory


def _fill(kept: Tensor, tensor: Tensor) -> Tensor:
    if tensor.is_cuda or not _alike(kept, tensor):
        return kept.copy_(tensor.detach(), non_blocking=True)
    # by one thread: torch's, of which it takes one a core, wait for each other where loaders work beside them (1 s)
    np.copyto(_bytes_of(kept), _bytes_of(tensor.detach()))
    return kept


def _bytes_of(dense: Tensor) -> NDArray[np.uint8]:
    """As they lie."""
    return dense.as_strided((dense.numel(),), (1,)).view(torch.uint8).numpy()

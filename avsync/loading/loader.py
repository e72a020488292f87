"""Streams batches of a dataset, in the order they are wanted. What a step gets is decided elsewhere (data/draw.py).

Worker processes read and decode straight into shared slots: threads that decode take Python's lock so often that the
training thread's kernel launches slow down several times (docs/log.md). There is no state to save.
"""

import os
from collections.abc import Iterable, Iterator

from avsync.data.batch import Batch
from avsync.data.draw import Draw
from avsync.loading.meter import LoadMeter
from avsync.loading.options import ErrorBudget, LoaderOptions
from avsync.loading.shape import WindowShape
from avsync.loading.spawner import spawner_of
from avsync.loading.stream import Stream
from avsync.staging.shelf import Shelf
from sharding.format.dataset import Dataset


class Loader:
    """Iterates over batches for given rows. Use as a context manager: its processes leave when it closes."""

    def __init__(self, dataset: Dataset, shelf: Shelf, shape: WindowShape, options: LoaderOptions) -> None:
        """shelf: where the dataset's shards are found."""
        self.dataset, self.shelf, self.shape, self.options = dataset, shelf, shape, options
        self.meter, self.budget = LoadMeter(), ErrorBudget(options.error_budget)
        self._streams: list[Stream] = []
        spawner_of(os.getpid())  # takes a moment to import what workers need

    def __enter__(self) -> "Loader":
        return self

    def __exit__(self, *_: object) -> None:
        for stream in self._streams:
            stream.close()
        self._streams.clear()  # and with them their memory

    def batches(self, wanted: Iterable[list[Draw]]) -> Iterator[Batch]:
        """Batches for the rows of `wanted`, in order, on the options' device; rows of the first one are the most.

        On a CPU a batch is valid until the next one is asked for. Raises AvsyncError when too many clips in a row are
        unusable, or none comes in for too long.
        """
        stream = Stream(self.dataset, self.shelf, self.shape, self.options, self.meter, self.budget)
        self._streams.append(stream)
        return stream.run(wanted)

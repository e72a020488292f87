"""What a resumed run can show for itself: where it went on, and that no clip was left out or taken twice.

RUN/receipts.jsonl has a line for each attempt, the first one too, written when its first clips have come.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import tee, zip_longest

import msgspec
import numpy as np
from numpy.typing import NDArray

from avsync.data.batch import Batch
from avsync.data.order import Draw, Order
from avsync.run.checkpoint import STATE
from avsync.run.paths import RunPaths
from avsync.run.state import State
from sharding.base.files import Count, add_line, from_json, read_file
from sharding.base.housekeeping import housekeeping
from sharding.base.text import counted, duration
from sharding.errors import FormatError, InputError

MOST_BYTES = 2**24
"""Of receipts.jsonl: some ten thousand attempts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """How one attempt began: with the clips that follow those its checkpoint was trained on."""

    attempt: Count
    """1: the first."""
    begun: str
    """UTC, ISO 8601."""
    step: Count
    """Steps that the checkpoint has done; the attempt goes on with the next."""
    steps: Count
    """Of so many."""
    epoch: Count
    """Of the next step, from 0."""
    position: Count
    """Clips of this epoch trained on."""
    epoch_clips: Count
    """Clips that a whole epoch trains on."""
    clips: Count
    """Trained on so far, counted while the digest was worked out."""
    skipped: Count
    """Of the clips that are next in the order, those that were not among the first that came."""
    repeated: Count
    """Of the first clips that came, those that this epoch had been trained on, or that came twice."""
    unreadable: Count
    """Of `clips`, those that could not be read and so count for nothing."""
    digest: str
    """Of all clips trained on; the checkpoint's, worked out anew."""
    saved_s_ago: Count
    """Seconds since the checkpoint was written: what the end of the last attempt cost, with the time in between."""
    ranks_before: Count
    """Processes that trained the checkpoint."""
    ranks: Count
    """Processes now."""

    def __str__(self) -> str:
        if not self.step:
            return f"attempt {self.attempt} begins at the first clip of {counted(self.epoch_clips, 'clip')} an epoch"
        unreadable = f", {self.unreadable:,} of them unreadable" if self.unreadable else ""
        return (
            f"resumed at step {self.step} of {self.steps}: clips skipped {self.skipped}, repeated {self.repeated}, "
            f"digest of {counted(self.clips, 'clip')} matches ({self.digest}){unreadable}; attempt {self.attempt}, "
            f"epoch {self.epoch}, {self.position:,} of its {counted(self.epoch_clips, 'clip')} done; saved "
            f"{duration(self.saved_s_ago)} ago by {counted(self.ranks_before, 'process', 'processes')}, "
            f"now {counted(self.ranks, 'process', 'processes')}"
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Opening:
    """An attempt before its first clips: what the checkpoint proves. They make a receipt of it."""

    paths: RunPaths
    order: Order
    steps: int
    """Of the whole run."""
    before: State
    """The checkpoint's; of step 0 for a new run."""
    done: int
    """Steps in the digest, which was found to be the checkpoint's: worked out, not read."""
    ranks: int
    """Processes now."""

    def receipt(self, came: NDArray[np.int64]) -> Receipt:
        """came: the first clips of all processes, in the order of the global batch; they may be a part of a step.

        Raises RuntimeError when they are not those that come next.
        """
        order, before = self.order, self.before
        skipped, repeated = self._held_against(came)
        epoch, position = divmod(self.done, order.steps_per_epoch)
        if skipped or repeated:
            raise RuntimeError(
                f"the loader began in the wrong place: of the {counted(len(came), 'clip')} that come first at step "
                f"{self.done}, {skipped} are missing, and {repeated} of those that came had been trained on"
            )
        return Receipt(
            attempt=_attempts(self.paths) + 1,
            begun=datetime.now(UTC).isoformat(timespec="seconds"),
            step=before.step,
            steps=self.steps,
            epoch=epoch,
            position=position * order.batch,
            epoch_clips=order.steps_per_epoch * order.batch,
            clips=self.done * order.batch,
            skipped=skipped,
            repeated=repeated,
            unreadable=before.skipped,
            digest=before.digest,
            saved_s_ago=_age(self.paths, before.step),
            ranks_before=before.ranks,
            ranks=self.ranks,
        )

    def _held_against(self, came: NDArray[np.int64]) -> tuple[int, int]:
        """Clips skipped, clips repeated."""
        due = self.order.step(self.done).clips[: len(came)]
        if np.array_equal(came, due):
            return 0, 0  # an epoch has each place once: none of these had its turn
        first = self.done - self.done % self.order.steps_per_epoch
        gone = [self.order.step(step).clips for step in range(first, self.done)]
        repeated = len(came) - len(np.setdiff1d(came, np.concatenate(gone)) if gone else np.unique(came))
        return len(np.setdiff1d(due, came)), repeated


def _age(paths: RunPaths, step: int) -> int:
    """Whole seconds since the checkpoint was written; 0 for none, and where clocks disagree."""
    if step:
        with housekeeping("look at", paths.checkpoint(step)):
            return max(0, int(time.time() - (paths.checkpoint(step) / STATE).stat().st_mtime))
    return 0


def _lines(paths: RunPaths) -> list[bytes]:
    return read_file(paths.receipts, MOST_BYTES).splitlines() if os.path.lexists(paths.receipts) else []


def _attempts(paths: RunPaths) -> int:
    with housekeeping("read", paths.receipts, (OSError, FormatError)):
        return len(_lines(paths))
    return 0


def keep_receipt(paths: RunPaths, receipt: Receipt) -> None:
    """Add a line to the run's receipts: a record, without which the run goes on, too."""
    with housekeeping("write", paths.receipts):
        add_line(paths.receipts, msgspec.json.encode(receipt))


def read_receipts(paths: RunPaths) -> list[Receipt]:
    """Of every attempt, in order. Raises FormatError when the file is damaged, InputError when it cannot be read."""
    try:
        return [from_json(line, Receipt, str(paths.receipts)) for line in _lines(paths)]
    except OSError as error:
        raise InputError(f"cannot read {paths.receipts}: {error.strerror}; it is only a record: delete it") from error
    except FormatError as error:
        raise FormatError(f"{error}; it is only a record: delete it, and the run goes on without") from error


@dataclass(frozen=True, slots=True)
class _Named:
    """What a clip's json calls itself."""

    key: str


def in_order(load: Callable[[Iterable[list[Draw]]], Iterator[Batch]], wanted: Iterable[list[Draw]]) -> Iterator[Batch]:
    """What `load` brings for `wanted`, held against it: what is trained on is what the digest counts.

    Raises RuntimeError when batches are left out, the last one too, repeated or exchanged, or a clip's own json names
    another clip.
    """
    asked, expected = tee(wanted)
    for batch, draws in zip_longest(load(asked), expected):
        if batch is None or draws is None:
            fault = "ended early" if batch is None else "goes on when all has come"
            raise RuntimeError(f"the loader lost its place: it {fault}")
        named = (json and from_json(json, _Named, "a clip's json").key for json in batch.jsons)
        if list(batch.draws) != draws or any(
            name not in (None, key) for name, key in zip(named, batch.keys, strict=True)
        ):
            raise RuntimeError(f"the loader lost its place: {', '.join(batch.keys)} came where others were wanted")
        yield batch

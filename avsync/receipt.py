"""What a resumed run can show for itself: where it went on, and that no clip was left out or taken twice.

RUN/receipts.jsonl has a line for each attempt, the first one too.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import tee

import msgspec

from avsync.batch import Batch
from avsync.checkpoint import STATE, RunPaths
from avsync.draw import Draw
from avsync.order import Digest, Order
from avsync.state import State
from sharding.errors import FormatError
from sharding.files import from_json, publish
from sharding.words import counted, duration


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """One attempt: from its start to its end the clips follow the order without a gap."""

    attempt: int
    """1: the first."""
    begun: str
    """UTC, ISO 8601."""
    step: int
    """Steps that the checkpoint has done; the attempt goes on with the next."""
    steps: int
    """Of so many."""
    epoch: int
    """Of the next step, from 0."""
    position: int
    """Clips of this epoch trained on."""
    epoch_clips: int
    """Clips that a whole epoch trains on."""
    clips: int
    """Trained on so far, counted while the digest was worked out."""
    skipped: int
    """Clips of the order between the last one trained on and the next one."""
    repeated: int
    """Clips of the order that were trained on and come again within their epoch."""
    unreadable: int
    """Of `clips`, those that could not be read and so count for nothing."""
    digest: str
    """Of all clips trained on; the checkpoint's, worked out anew."""
    saved_s_ago: int
    """Seconds since the checkpoint was written: what the end of the last attempt cost, with the time in between."""
    ranks_before: int
    """Processes that trained the checkpoint."""
    ranks: int
    """Processes now."""

    @classmethod
    def of(cls, paths: RunPaths, order: Order, steps: int, before: State, digest: Digest, ranks: int) -> "Receipt":
        """For an attempt of `ranks` processes that goes on from `before`, whose digest was found to be `digest`."""
        epoch, position = divmod(before.step, order.steps_per_epoch)
        gap = (before.step - digest.steps) * order.batch  # the loader starts at the state's step
        return cls(
            attempt=len(_lines(paths)) + 1, begun=datetime.now(UTC).isoformat(timespec="seconds"),
            step=before.step, steps=steps, epoch=epoch, position=position * order.batch,
            epoch_clips=order.steps_per_epoch * order.batch, clips=digest.steps * order.batch,
            skipped=max(0, gap), repeated=max(0, -gap), unreadable=before.skipped, digest=before.digest,
            saved_s_ago=_age(paths, before.step), ranks_before=before.ranks, ranks=ranks,
        )  # fmt: skip

    def __str__(self) -> str:
        if not self.step:
            return f"attempt {self.attempt} begins at the first clip of {counted(self.epoch_clips, 'clip')} an epoch"
        return (
            f"resumed at step {self.step} of {self.steps}: clips skipped {self.skipped}, repeated {self.repeated}, "
            f"digest of {counted(self.clips, 'clip')} matches ({self.digest}); attempt {self.attempt}, "
            f"epoch {self.epoch}, {self.position:,} of its {counted(self.epoch_clips, 'clip')} done; saved "
            f"{duration(self.saved_s_ago)} ago by {_processes(self.ranks_before)}, now {_processes(self.ranks)}"
        )


def _processes(count: int) -> str:
    return "1 process" if count == 1 else f"{count} processes"


def _age(paths: RunPaths, step: int) -> int:
    """Whole seconds since the checkpoint was written; 0 for none, and where clocks disagree."""
    if not step:
        return 0
    return max(0, int(time.time() - (paths.checkpoint(step) / STATE).stat().st_mtime))


def _lines(paths: RunPaths) -> list[bytes]:
    return paths.receipts.read_bytes().splitlines() if paths.receipts.is_file() else []


def keep_receipt(paths: RunPaths, receipt: Receipt) -> None:
    """Add a line to the run's receipts."""
    lines = [*_lines(paths), msgspec.json.encode(receipt)]
    with publish(paths.receipts) as file:
        file.write(b"\n".join(lines) + b"\n")


def read_receipts(paths: RunPaths) -> list[Receipt]:
    """Of every attempt, in order. Raises FormatError when the file is damaged."""
    try:
        return [from_json(line, Receipt, str(paths.receipts)) for line in _lines(paths)]
    except FormatError as error:
        raise FormatError(f"{error}; it is only a record: delete it, and the run goes on without") from error


@dataclass(frozen=True, slots=True)
class _Named:
    """What a clip's json calls itself."""

    key: str


def in_order(load: Callable[[Iterable[list[Draw]]], Iterator[Batch]], wanted: Iterable[list[Draw]]) -> Iterator[Batch]:
    """What `load` brings for `wanted`, held against it: what is trained on is what the digest counts.

    Raises RuntimeError when batches are left out, repeated or exchanged, or a clip's own json names another clip.
    """
    asked, expected = tee(wanted)
    for batch, draws in zip(load(asked), expected, strict=False):
        named = (json and from_json(json, _Named, "a clip's json").key for json in batch.jsons)
        if list(batch.draws) != draws or any(
            name not in (None, key) for name, key in zip(named, batch.keys, strict=True)
        ):
            raise RuntimeError(f"the loader lost its place: {', '.join(batch.keys)} came where others were wanted")
        yield batch

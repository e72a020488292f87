"""Which clips a run was trained on, and how they were cut: worked out from run.json and the dataset's index alone.

The order is a function (data/order.py), so nothing was written down while training, and any batch can be made again.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from avsync.data.batch import TENSORS, Batch
from avsync.data.order import Draw, Order, check_batch
from avsync.data.selection import sampler_of
from avsync.loading.feed import Feed
from avsync.loading.options import LoaderOptions
from avsync.run.checkpoint import STATE
from avsync.run.info import RunInfo, check_same_run, read_run
from avsync.run.paths import RunPaths
from avsync.run.resume import describe
from avsync.run.state import State
from avsync.staging.location import Location
from avsync.staging.mirror import StagedDataset
from sharding.base.files import read_json
from sharding.base.text import plain
from sharding.base.written_paths import is_url
from sharding.errors import FormatError, InputError


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipRow:
    """One clip of one step."""

    step: int
    """From 0; TensorBoard draws step 0 at 1, when it is done."""
    epoch: int
    row: int
    """Place in the global batch."""
    clip: int
    """Row of the index."""
    key: str
    shard: int
    picture: int
    """First frame of the picture window, in the clip."""
    sounds: tuple[int, ...]
    """First frame of each sound window."""
    rolls: tuple[int, ...]
    """Frames by which each was turned round; 0 in honest pairs."""
    in_sync: tuple[bool, ...]
    flip: bool
    top: int
    left: int
    """Corner of the crop in the stored picture, pixels."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class History:
    """A run and its data, found to be what they were."""

    paths: RunPaths
    info: RunInfo
    feed: Feed
    order: Order

    def draws(self, step: int, rank: int = 0, ranks: int = 1, accumulate: int = 1) -> list[list[Draw]]:
        """Rows of one process in that step, one list per accumulation pass."""
        return self.feed.draws(self.order, step, rank, ranks, accumulate)

    def rows(self, steps: Iterable[int]) -> Iterator[ClipRow]:
        """Every clip of these steps, in the order of the global batch."""
        index = self.feed.dataset.index
        for step in steps:
            epoch = step // self.order.steps_per_epoch
            for number, draw in enumerate(self.draws(step)[0]):
                sounds = draw.pair.sounds
                yield ClipRow(
                    step=step,
                    epoch=epoch,
                    row=number,
                    clip=draw.clip,
                    key=index.key(draw.clip),
                    shard=int(index.shard[draw.clip]),
                    picture=draw.pair.picture,
                    sounds=tuple(sound.frame for sound in sounds),
                    rolls=tuple(sound.roll for sound in sounds),
                    in_sync=tuple(sound.in_sync for sound in sounds),
                    flip=draw.flip,
                    top=draw.top,
                    left=draw.left,
                )

    def newest(self) -> State | None:
        """Of the newest checkpoint; None before the first. Raises FormatError where its folder says another step."""
        steps = self.paths.saved_steps()
        if not steps:
            return None
        state = read_json(self.paths.checkpoint(steps[0]) / STATE, State)
        if state.step != steps[0] or state.step > self.info.config.steps:
            raise FormatError(
                f"{self.paths.checkpoint(steps[0])} is of step {state.step}, by its {STATE}, of a run of "
                f"{self.info.config.steps}: it was changed; delete it, and an older checkpoint is used"
            )
        return state


def open_history(run: Path, dataset: str | Path | None = None) -> History:
    """`dataset`: the folder where the data lies now; by default where it lay when the run began.

    Of run.json, which may come from anybody, no URL is opened: one may be a command. Nor is anything written where it
    says.

    Raises InputError when there is no run, or the data or the software is not what it was, saying what has changed.
    """
    paths = RunPaths(run)
    info = read_run(paths)
    folder = _folder(run, info.dataset_path, dataset)
    try:
        source = StagedDataset.of_folder(folder)
        feed = Feed.of(source, "train", info.config.pairs, info.config.view, sampler=sampler_of(info.config))
    except InputError as error:
        moved = "" if dataset else "; if it was moved, give --dataset"
        raise InputError(f"{error}{moved}") from error
    order = feed.training_order(info.config)
    check_same_run(info, describe(source, info.config, feed, None, order), run)
    return History(paths=paths, info=info, feed=feed, order=order)


def _folder(run: Path, recorded: str, dataset: str | Path | None) -> Path:
    """Of the dataset. Raises InputError for a URL: clips are found again in a folder."""
    if dataset is None and is_url(recorded):
        raise InputError(
            f"{run} was trained from {plain(recorded)}, and a URL that a file names is not opened: say which folder "
            "holds the dataset with --dataset DIR"
        )
    location = Location.of(recorded if dataset is None else dataset)
    if location.folder is None:
        raise InputError(f"{location} is a URL, and a run's clips are found again in a folder: give --dataset DIR")
    return location.folder


def rebuild(
    run: Path,
    step: int,
    *,
    dataset: str | Path | None = None,
    rank: int = 0,
    ranks: int = 1,
    accumulate: int | None = None,
) -> list[Batch]:
    """The batches that process `rank` of `ranks` was given in that step, from 0: one for each accumulation pass.

    accumulate: passes of a step; as many as the run began with by default.

    Bit by bit the same, on the CPU. Raises InputError as `open_history` does, when the run has no such step, or when
    so many cannot share a batch.
    """
    history = open_history(run, dataset)
    config = history.info.config
    passes = config.runtime.accumulate if accumulate is None else accumulate
    if not 0 <= step < config.steps:
        raise InputError(f"{run} has no step {step}: its steps are 0 to {config.steps - 1}")
    if not 0 <= rank < ranks or passes < 1:
        raise InputError(f"there is no process {rank} of {ranks} with {passes} passes: processes count from 0")
    check_batch(config.batch, ranks, passes)
    every = config.low_rate.every if step < config.low_rate.steps else 1
    wanted = history.draws(step, rank, ranks, passes)
    with history.feed.loader(LoaderOptions(error_budget=config.batch + 1), every) as loader:
        return [_kept(batch) for batch in loader.batches(wanted)]


def _kept(batch: Batch) -> Batch:
    """A copy of its own: the loader uses the memory again."""
    return replace(batch, **{name: getattr(batch, name).clone() for name in TENSORS})

"""What a crop that does not follow the mouth well costs a trained network: the same clips, shaken, turned and squeezed.

    python -m benchmarks.faces.unsteady RUN DATASET [--split test] [--windows 4] [--markdown FILE]

RUN: a run, or faces. DATASET: mouth crops, action = speaker; judged are clips of speakers that are not in train. What
is done to a window is drawn from its clip alone, so that every network is asked about the same pictures.
"""

from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avsync.config import AugmentConfig
from avsync.data.augment import Changes, changed_pictures, changes_of, whole_pictures
from avsync.data.batch import Batch
from avsync.data.order import Draw, View, clip_rng
from avsync.data.transforms import NetworkInput, sounds_of
from avsync.models.parts import SyncNet
from avsync.run.network import load_network
from avsync.run.paths import run_of
from benchmarks.base.table import Table, command, report, wide_console
from benchmarks.faces.candidate import Candidate, Losses
from benchmarks.faces.judge import OFFSETS_MS, Verdict, judge, named, open_unseen

JITTER = 0.05
"""Standard deviation, of the stored picture's side."""
SMOOTH = 9
"""Pictures over which a slow one wanders."""
TURN_DEG, ZOOM, NARROW = 5.0, 1.1, 0.7
"""NARROW: a mouth seen half from the side is about as wide as cos 45 degrees of one seen from the front."""

Floats = NDArray[np.float32]
Change = Callable[[Changes, View], Changes]


def jittered(changes: Changes, view: View, over: int = 1) -> Changes:
    """Each picture by itself, or wandering: as far, a moving mean of `over` pictures."""
    draws, frames, _ = changes.move.shape
    moves = [clip_rng(0, 0, int(seed)).normal(size=(frames + over - 1, 2)) for seed in changes.seeds]
    mean = np.ones(over) / np.sqrt(over)
    smooth = [np.stack([np.convolve(axis, mean, "valid") for axis in move.T], -1) for move in moves]
    sides = np.array([view.width / view.crop_width, view.height / view.crop_height])
    return replace(changes, move=(2 * JITTER * sides * np.stack(smooth)).astype(np.float32).reshape(draws, frames, 2))


CHANGES: dict[str, Change] = {
    "steady": lambda changes, _: changes,
    f"jitter, {JITTER:.0%} of the side": jittered,
    "wandering as far": lambda changes, view: jittered(changes, view, SMOOTH),
    f"turned by {TURN_DEG:g} degrees": lambda changes, _: replace(
        changes, turn=changes.turn + np.float32(np.deg2rad(TURN_DEG))
    ),
    f"{ZOOM - 1:.0%} smaller": lambda changes, _: replace(changes, zoom=changes.zoom * np.float32(ZOOM)),
    f"narrower by {1 - NARROW:.0%}": lambda changes, _: replace(
        changes, zoom=changes.zoom / np.array([NARROW, 1], np.float32)
    ),
}


class Trained(Candidate):
    """A network that was trained, as `judge` asks."""

    level = 0.0

    def __init__(self, network: SyncNet) -> None:
        super().__init__()
        self.network = network

    def losses(self, batch: Batch, step: int) -> Losses:
        """It is not trained here."""
        raise NotImplementedError

    def score(self, frames: Tensor, sounds: Tensor) -> Tensor:
        """The logit of the whole window."""
        return self.network(frames, sounds).logit


def steady(draws: Sequence[Draw], frames: int) -> Changes:
    """Nothing is changed; as seeds stand the clips, whatever is drawn for one is the same for every network."""
    clips = np.array([max(0, draw.clip) for draw in draws], np.int64)
    return replace(changes_of(draws, frames, AugmentConfig(), 0, 0), seeds=clips)


def shown(change: Change, batch: Batch, view: View) -> NetworkInput:
    """A batch as the network sees it, changed."""
    changes = change(steady(batch.draws, batch.yuv.shape[1]), view)
    pictures = changed_pictures(whole_pictures(batch, view), batch.draws, view, changes)
    return NetworkInput(pictures, sounds_of(batch, 0))


def table_of(found: dict[str, Verdict]) -> Table:
    """A row for each change, and what it costs."""
    table = Table("choice on crops that follow badly", ("crop", *map(named, OFFSETS_MS), "cost, mean"))
    base = next(iter(found.values())).choice
    for name, verdict in found.items():
        cost = np.mean([base[at] - verdict.choice[at] for at in base])
        table.add(name, *(f"{100 * verdict.choice[named(ms)]:.1f} %" for ms in OFFSETS_MS), f"{100 * cost:+.1f} points")
    return table


def main(options: Namespace) -> None:
    """Judge and write."""
    loaded = load_network(run_of(options.run), "best", torch.device("cpu"))
    feed = open_unseen(options.dataset, options.split, loaded.config.view)
    found = {
        name: judge(
            Trained(loaded.model), feed, options.windows, lambda batch, view, one=change: shown(one, batch, view)
        )
        for name, change in CHANGES.items()
    }
    one = next(iter(found.values()))
    about = f"{options.run}, split {options.split}, {one.clips} clips, {one.pairs} choices at each offset, 1.5 s each"
    report([table_of(found)], about, wide_console(), options, {name: asdict(one) for name, one in found.items()})


if __name__ == "__main__":
    parser = command("faces.unsteady", __doc__, outputs=True)
    parser.add_argument("run", type=Path, help="a run, or faces")
    parser.add_argument("dataset", type=Path, help="folder of a packed dataset")
    parser.add_argument("--split", choices=["val", "test"], default="val", help="who is judged on")
    parser.add_argument("--windows", type=int, default=4, help="judged of each clip")
    main(parser.parse_args())

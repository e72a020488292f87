"""Files with a known offset, made of the clips of a split: what `avsync score` would be told by a network about them.

A clip is looked at once, by a few windows, and its sound is heard once, from each offset's frame on; every window meets
every sound. A file whose sound is s frames late is then a part of that table: pictures and sounds from different frames
on, neither reaching beyond the other, as a real file that is off. With another clip's sound there is nothing to find.

n windows, m sounds, D offsets, L frames of a clip that are looked at, T frames of a window, S samples, C channels.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avsync.confidence.file_evidence import ScoreEvidence, decibels, mean_motion, offset_step, usual_hop
from avsync.config import REACH_S
from avsync.data.batch import Batch
from avsync.data.order import Draw, batches_of_rank, clip_rng
from avsync.data.pairs import Pair, SoundWindow
from avsync.data.selection import WindowShape
from avsync.data.transforms import NetworkInput, prepare
from avsync.loading.feed import Feed
from avsync.loading.loader import Loader
from avsync.loading.options import LoaderOptions
from avsync.run.network import LoadedNetwork
from avsync.world import World
from sharding.format.clip import Clock

WINDOWS = 7
"""Of a clip, at most: enough that some can be asked about every offset that is planted."""
AT_ONCE = 16
"""Sounds, and pairs, of one pass."""
LONG_ENOUGH = 0.75
"""Of the clips, so many are to be as long as what is looked at of each."""
FEWEST_OFFSETS = 4
"""Either way of 0, or there is hardly anything to be confused with."""
SHIFTED = 5
"""Files with an offset other than 0, of each clip; one without stands beside them."""
IN_SYNC = 1 / 3
"""How many files are in sync, of those whose sound belongs to them."""
OTHERS_EVERY = 3
"""Every so many clips one is asked about the sound of another clip, too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipGrid:
    """Which windows and which sounds of every clip are looked at."""

    clock: Clock
    window: int
    """T"""
    length: int
    """L"""
    step: int
    """Frames from one sound to the next, and between offsets."""
    starts: tuple[int, ...]
    """First frames of the windows, multiples of `step`."""

    @classmethod
    def of(cls, feed: Feed, window: int) -> Self | None:
        """None where the clips are hardly longer than a window."""
        clock, index = feed.dataset.info.clock, feed.dataset.index
        step = offset_step(clock.fps)
        reach = round(REACH_S * float(clock.fps))
        common = int(np.quantile(index.frames[feed.clips], 1 - LONG_ENOUGH, method="lower"))
        length = min(common, window + 2 * reach)
        room = (length - window) // step * step
        if room < 2 * FEWEST_OFFSETS * step:
            return None
        length = window + room
        hop = usual_hop(float(length / clock.fps), float(window / clock.fps)) * float(clock.fps)
        count = min(WINDOWS, int(room / hop) + 1)
        starts = sorted({round(float(at) / step) * step for at in np.linspace(0, room, count)})
        return cls(clock=clock, window=window, length=length, step=step, starts=tuple(starts))

    def clips(self, feed: Feed, most: int) -> list[int]:
        """At most so many of those that are long enough, of as many sources as there are."""
        index = feed.dataset.index
        return spread_clips(feed.clips[index.frames[feed.clips] >= self.length], index.group, most)

    @property
    def room(self) -> int:
        """The last frame that a window or a sound may begin at."""
        return self.length - self.window

    @property
    def sounds(self) -> range:
        return range(0, self.room + 1, self.step)

    @property
    def most(self) -> int:
        """Largest offset that is planted, frames: some windows of the file can still be asked about it."""
        return self.room // 3 // self.step * self.step

    @property
    def pairs(self) -> int:
        """That a network is asked about for one clip, on average."""
        return len(self.starts) * len(self.sounds) * (OTHERS_EVERY + 1) // OTHERS_EVERY


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ClipAnswers:
    """Every window of a clip with every sound: of its own, and of another clip."""

    clip: int
    logit: NDArray[np.float32]
    """(2, n, m): its own sound, another one; nan: was not asked"""
    loudness_db: NDArray[np.float32]
    """(2, m) of each sound"""
    motion: NDArray[np.float32]
    """(n,)"""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PlantedFile:
    """What is true of a file, and what the network would answer about it."""

    planted_s: float | None
    """None: its sound is another one."""
    evidence: ScoreEvidence
    weight: float
    """Of all files of a clip with its own sound it is 1, as of the one with another sound."""
    clip: int


def spread_clips(clips: NDArray[np.int64], group: NDArray[np.integer], most: int) -> list[int]:
    """At most so many of the clips: the first of every source, then the second of each. group: of each clip."""
    met, turns = dict[int, int](), list[tuple[int, int]]()
    for clip in clips.tolist():
        source = int(group[clip])
        met[source] = met.get(source, -1) + 1
        turns.append((met[source], clip))
    return [clip for _, clip in sorted(turns)[:most]]


def planted_files(grid: ClipGrid, answers: ClipAnswers) -> Iterator[PlantedFile]:
    """Of one clip: one in sync, some that are off, one with another sound where that was asked; always the same."""
    if np.isnan(answers.logit[0]).all():
        return
    offsets = np.array([step for step in range(-grid.most, grid.most + 1, grid.step) if step])
    rng = clip_rng(0, 0, answers.clip)
    shifts = [0, *np.sort(rng.permutation(offsets)[:SHIFTED]).tolist()]
    for shift in shifts:
        yield PlantedFile(
            planted_s=float(shift / grid.clock.fps),
            evidence=_evidence(grid, answers, shift, 0),
            weight=(1 - IN_SYNC) / (len(shifts) - 1) if shift else IN_SYNC,
            clip=answers.clip,
        )
    if not np.isnan(answers.logit[1]).all():
        yield PlantedFile(planted_s=None, evidence=_evidence(grid, answers, 0, 1), weight=1.0, clip=answers.clip)


def _evidence(grid: ClipGrid, answers: ClipAnswers, shift: int, which: int) -> ScoreEvidence:
    """Of the file whose picture begins `shift` frames into the clip, or its sound where that is below 0."""
    picture, sound, room = max(0, shift), max(0, -shift), grid.room - abs(shift)
    reach = min(grid.room, round(REACH_S * float(grid.clock.fps))) // grid.step * grid.step
    offsets = np.arange(-reach, reach + 1, grid.step)
    rows = [row for row, start in enumerate(grid.starts) if picture <= start <= picture + room]
    starts = np.array([grid.starts[row] - picture for row in rows], np.int64)
    heard = starts[:, None] + offsets
    there = (heard >= 0) & (heard <= room)
    column = np.where(there, (heard + sound) // grid.step, 0)
    table = answers.logit[which][rows]
    return ScoreEvidence(
        clock=grid.clock,
        window=grid.window,
        starts=starts,
        offsets=offsets,
        logit=np.where(there, np.take_along_axis(table, column, axis=1), np.nan).astype(np.float32),
        loudness_db=answers.loudness_db[which][(starts + sound) // grid.step],
        motion=answers.motion[rows],
        peaks=np.zeros(0, np.float32),
    )


@torch.inference_mode()
def ask_clips(
    network: LoadedNetwork,
    feed: Feed,
    grid: ClipGrid,
    clips: list[int],
    world: World,
    options: LoaderOptions,
    guarded: Callable[[Iterator[Batch]], Iterator[Batch]],
) -> list[ClipAnswers]:
    """The answers about all clips, the same on every rank; every rank must call it. Batches pass through `guarded`."""
    top, left = feed.view.centre()
    whole = Pair(0, (SoundWindow(0, 0, in_sync=True),))
    draws = [Draw(clip, whole, top, left, False) for clip in clips]
    shape = WindowShape(window=grid.length, every=1, samples=grid.clock.sample_at(grid.length), sounds=1)
    asker, tables = _Asker(network, feed, grid), list[Tensor]()
    with Loader(feed.dataset, feed.shelf, shape, options) as loader:
        for batch in guarded(loader.batches(batches_of_rank(draws, 1, world.rank, world.ranks))):
            tables.append(asker.row(batch).to(world.device))
    rows = world.gather(torch.cat(tables)).cpu().numpy()
    return [_of_row(grid, row) for row in rows if row[0] >= 0]


class _Asker:
    """Asks about one clip after the other, and remembers the last one's sound."""

    def __init__(self, network: LoadedNetwork, feed: Feed, grid: ClipGrid) -> None:
        self._network, self._feed, self._grid = network, feed, grid
        self._done, self._before = 0, list[tuple[int, Tensor, NDArray[np.float32]]]()

    def row(self, batch: Batch) -> Tensor:
        """(1, columns): clip, or -1 where it could not be read; then what ClipAnswers holds, flat."""
        windows, sounds = len(self._grid.starts), len(self._grid.sounds)
        logit = torch.full((2, windows, sounds), torch.nan)
        loud, motion = np.full((2, sounds), np.nan, np.float32), np.full(windows, np.nan, np.float32)
        clip = batch.draws[0].clip if bool(batch.valid[0]) else -1
        if clip >= 0:
            group, cuts = int(self._feed.dataset.index.group[clip]), self._sounds(batch)
            heard = torch.cat([self._hear(batch, some) for some in cuts.split(AT_ONCE)])
            loud[0] = [decibels(one) for one in cuts.cpu().numpy()]
            another = [one for one in self._before if one[0] != group and self._done % OTHERS_EVERY == 0]
            for number, start in enumerate(self._grid.starts):
                seen = self._see(batch, start)
                for which, sound in enumerate((heard, *(sound for _, sound, _ in another))):
                    logit[which, number] = self._meet(seen, sound)
                motion[number] = mean_motion(batch.yuv[0, start : start + self._grid.window].cpu().numpy())
            for _, _, loudness in another:
                loud[1] = loudness
            self._before, self._done = [(group, heard, loud[0])], self._done + 1
        flat = (logit.flatten(), torch.from_numpy(loud).flatten(), torch.from_numpy(motion))
        return torch.cat((torch.tensor([float(clip)]), *flat)).double().unsqueeze(0)

    def _sounds(self, batch: Batch) -> Tensor:
        """(m, S, C): the clip's sound from each frame of `grid.sounds` on."""
        audio, clock = batch.audio[0, 0], self._grid.clock
        samples = clock.sample_at(self._grid.window)
        firsts = [min(clock.sample_at(frame), len(audio) - samples) for frame in self._grid.sounds]
        return torch.stack([audio[first : first + samples] for first in firsts])

    def _hear(self, batch: Batch, sounds: Tensor) -> Tensor:
        """Features of sounds (K, S, C), of which a picture alone is prepared along."""
        given = self._prepared(replace(batch, yuv=batch.yuv[:, :1], audio=sounds.unsqueeze(0)))
        return self._network.model.audio(given.sounds[0])

    def _see(self, batch: Batch, start: int) -> Tensor:
        """Features of one window's pictures."""
        cut = replace(batch, yuv=batch.yuv[:, start : start + self._grid.window], audio=batch.audio[:, :, :1])
        return self._network.model.video(self._prepared(cut).frames)

    def _meet(self, seen: Tensor, sounds: Tensor) -> Tensor:
        """(m,) logits."""
        parts = [self._network.model.fuse(seen, some).logit[0] for some in sounds.split(AT_ONCE)]
        return torch.cat(parts).float().cpu()

    def _prepared(self, batch: Batch) -> NetworkInput:
        return prepare(batch, self._feed.view, self._network.config.pairs.mute_samples)


def _of_row(grid: ClipGrid, row: NDArray[np.float64]) -> ClipAnswers:
    windows, sounds = len(grid.starts), len(grid.sounds)
    logit, loud, motion = np.split(row[1:].astype(np.float32), np.cumsum((2 * windows * sounds, 2 * sounds)))
    return ClipAnswers(
        clip=int(row[0]),
        logit=logit.reshape(2, windows, sounds),
        loudness_db=loud.reshape(2, sounds),
        motion=motion,
    )

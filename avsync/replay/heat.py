"""Where trained networks listen: their maps on the same clips, and their heat around the join of a shifted sound."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from avsync.config import PairConfig
from avsync.data.order import Draw
from avsync.evaluate.truth import cropped
from avsync.figures import HeatScale, to_uint8
from avsync.models.cam import heat_in_time, hottest_of
from avsync.replay.answers import answers_of, honest
from avsync.replay.result import Which
from avsync.run.network import LoadedNetwork, load_network

CLIPS = 6
"""On a sheet of maps."""
REACH_S = 1.0
"""To either side of the join."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Shown:
    """One clip with its true sound at the moment where the map is hottest."""

    key: str
    picture: NDArray[np.uint8]
    """(H, W, 3)"""
    heat: NDArray[np.float32]
    """(h, w) cells"""
    scale: HeatScale
    """Of the whole window."""
    boxes: NDArray[np.floating]
    """(N, 4) true sources at that moment, as fractions of the picture; none where they are not known."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class HeatAroundJoin:
    """Heat around the join, over all places, in times of the window's mean."""

    offset_s: NDArray[np.floating]
    """Middle of each span; 0 is the join."""
    heat: NDArray[np.floating]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Joined:
    """A sound that was shifted cyclically."""

    sound: NDArray[np.floating]
    """(S,) -1 to 1"""
    rate: int
    join: int
    """First sample behind the join."""


def shown_maps(run: Path, dataset: Path, which: Which) -> list[Shown]:
    """Of symmetric pairs of the test split, always the same clips of a dataset."""
    network = load_network(run, which, torch.device("cpu"))
    found = list[Shown]()
    for got, feed in answers_of(network, dataset, honest(network.config.pairs), clips=CLIPS, per_clip=1):
        answer = got.answer
        for row, (draw, meta) in enumerate(zip(answer.batch.draws, answer.batch.metas, strict=True)):
            if meta is None:
                continue
            number = next(at for at, sound in enumerate(draw.pair.sounds) if sound.in_sync)
            frames = to_uint8(answer.given.frames[row])
            heat = heat_in_time(answer.output.cam[row, number], len(frames))
            moment = hottest_of(answer.output.cam[row, number], len(frames)).frame
            known = meta.boxes[draw.pair.picture + moment] if meta.boxes else ()
            boxes = cropped(known, feed.view) if known else np.empty((0, 4))
            found.append(
                Shown(key=meta.key, picture=frames[moment], heat=heat[moment], scale=HeatScale.of(heat), boxes=boxes)
            )
    return sorted(found, key=lambda one: one.key)


def around_join(run: Path, dataset: Path, cyclic: PairConfig) -> tuple[HeatAroundJoin, Joined | None]:
    """Where a run's last network is hot when it hears sounds of the test split that are shifted as by `cyclic`.

    And one of these sounds, as it is stored; None if there is none.
    """
    network = load_network(run, "last", torch.device("cpu"))
    pairs = replace(cyclic, mute_samples=network.config.pairs.mute_samples)
    fps, rate = network.dataset.clock.fps, network.dataset.clock.sample_rate
    offsets, heats, joined = list[NDArray[np.floating]](), list[NDArray[np.floating]](), list[Joined]()
    for got, _ in answers_of(network, dataset, pairs):
        answer = got.answer
        for row, draw in enumerate(answer.batch.draws):
            if draw.clip < 0 or not draw.pair.sounds[0].roll:
                continue
            offset, heat = _heat_by_offset(answer.output.cam[row, 0], answer.given.frames.shape[2], draw, float(fps))
            offsets.append(offset)
            heats.append(heat)
            sound = answer.batch.audio[row, 0, :, 0].numpy().astype(np.float32) / 32768
            joined.append(
                Joined(sound=sound, rate=rate, join=network.dataset.clock.sample_at(draw.pair.sounds[0].roll))
            )
    return _mean_by_offset(offsets, heats, _cell_s(network)), _usual(joined)


def _cell_s(network: LoadedNetwork) -> float:
    """Width of the spans that heat is gathered in: two pictures."""
    return 2 / float(network.dataset.clock.fps)


def _heat_by_offset(
    cam: torch.Tensor, frames: int, draw: Draw, fps: float
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """cam: (t, h, w) -> seconds from the join (t,), heat in times of the window's mean (t,)."""
    heat = cam.detach().abs().mean(dim=(1, 2)).double().cpu().numpy()
    moments = (np.arange(len(heat)) + 0.5) * frames / len(heat)
    return (moments - draw.pair.sounds[0].roll) / fps, heat / max(heat.mean(), 1e-12)


def _mean_by_offset(
    offsets: list[NDArray[np.floating]], heats: list[NDArray[np.floating]], width: float
) -> HeatAroundJoin:
    half = max(1, round(REACH_S / width))
    middles = np.arange(-half, half + 1) * width
    if not offsets:
        return HeatAroundJoin(offset_s=middles, heat=np.full(len(middles), np.nan))
    bins = np.round(np.concatenate(offsets) / width).astype(int) + half
    heat, kept = np.concatenate(heats), (bins >= 0) & (bins <= 2 * half)
    count = np.bincount(bins[kept], minlength=len(middles))
    total = np.bincount(bins[kept], heat[kept], minlength=len(middles))
    return HeatAroundJoin(offset_s=middles, heat=total / np.maximum(count, 1))


def _usual(joined: list[Joined]) -> Joined | None:
    """The one whose jump is the median of all: no show-piece."""
    if not joined:
        return None
    return sorted(joined, key=lambda one: abs(float(one.sound[one.join] - one.sound[one.join - 1])))[len(joined) // 2]

"""Does a map light up where nothing in the picture sounds? Asked with silence, noise and another source's sound.

Juanola et al. 2024 (arXiv 2410.01020) ask so of localisation models, with one threshold for all; AVATAR (Choi et al.
2025) adds sound from off screen. The maps asked are those of sounds in sync; noise is white and as loud as the clip's
own sound, always the same of a clip. N maps; t h w cells, T frames, H W pixels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from avsync.evaluate.pointing import PointingResult, ciou
from avsync.evaluate.truth import CELLS, out_of_sight, truth_at
from avsync.figures import to_uint8
from avsync.honesty.swap import Examined, donors
from avsync.loading.feed import Feed
from avsync.models.cam import MapReading, evidence, hottest_of, readings
from avsync.models.parts import SyncNet, SyncOutput
from sharding.format.clip import ClipMeta

CONTROLS = ("silence", "noise", "swap")
KEPT, KEPT_SIDE = 400, 96
"""Maps that are kept to be looked at, the first ones, and the pixels of their pictures' sides at most."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ShownMap:
    """A map at its hottest moment, to be looked at."""

    key: str
    picture: NDArray[np.uint8]
    """(H, W, 3)"""
    heat: NDArray[np.float32]
    """(h, w)"""
    truth: NDArray[np.bool_]
    """(CELLS, CELLS)"""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class AskedMap:
    """What came of one picture whose sound's source is known."""

    group: int
    case: str
    """As its clip says; empty: it does not."""
    off_screen: bool
    """Nothing that sounds is in the picture, all the time."""
    heat: float
    """The most of it, with its own sound."""
    point: PointingResult | None = None
    """None: nothing is in sight at the hottest moment."""
    ciou: float = float("nan")
    controls: dict[str, float]
    """The most heat under each; without one that could not be asked."""
    kept: ShownMap | None = None


@dataclass(slots=True)
class MapExaminer:
    """Asks batch by batch, and holds the answers."""

    network: SyncNet
    feed: Feed
    answers: dict[MapReading, list[AskedMap]] = field(default_factory=dict)
    """As each reading has them; none where of no picture the truth is known."""
    read: Callable[[Tensor, Tensor, int, MapReading], Tensor] = evidence
    """cam (N, t, h, w), logit (N,), T -> heat (N, T, h, w), at least 0."""

    @torch.no_grad()
    def ask(self, got: Examined) -> None:
        """One batch: the pictures of which the truth is known, each with its sound in sync."""
        batch, group = got.answer.batch, self.feed.dataset.index.group
        known = {
            row: meta
            for row, meta in enumerate(batch.metas)
            if meta is not None and meta.boxes and any(one.in_sync for one in batch.draws[row].pair.sounds)
        }
        if not known:
            return
        rows, sources = list(known), [int(group[batch.draws[row].clip]) for row in known]
        own, frames = batch.in_sync[rows].argmax(1), got.answer.given.frames.shape[2]
        donor = donors(sources)
        alone, output = torch.tensor([one < 0 for one in donor], device=own.device), got.answer.output
        shown = SyncOutput(output.logit[rows, own], output.cam[rows, own])
        given = self._controlled(got, rows, own, donor)
        for reading in readings(self.feed.dataset.info.clock.fps):
            heats = self.read(shown.cam, shown.logit, frames, reading)
            most = {
                name: self.read(its.cam, its.logit, frames, reading).flatten(1).amax(1) for name, its in given.items()
            }
            most["swap"] = most["swap"].masked_fill(alone, torch.nan)
            answers = self.answers.setdefault(reading, [])
            for number, (row, meta) in enumerate(known.items()):
                controls = {name: float(heat[number]) for name, heat in most.items() if torch.isfinite(heat[number])}
                keeps = len(answers) < KEPT
                answers.append(self._answer(got, row, meta, sources[number], heats[number], controls, keeps=keeps))

    def _controlled(
        self, got: Examined, rows: list[int], own: Tensor, donor: Sequence[int]
    ) -> Mapping[str, SyncOutput]:
        """What the network says of each row under each control, (N,) and (N, t, h, w)."""
        sounds = got.answer.given.sounds[rows, own]  # (N, C, S)
        heard = got.heard.unflatten(0, got.answer.given.sounds.shape[:2])[rows, own]
        other = torch.tensor([max(0, one) for one in donor], device=heard.device)
        noise = white(sounds, [got.answer.batch.draws[row].clip for row in rows])
        silence = self.network.audio(torch.zeros_like(sounds[:1])).expand_as(heard)
        given = {"silence": silence, "noise": self.network.audio(noise), "swap": heard[other]}
        found = {name: self.network.fuse(got.seen[rows], given[name]) for name in CONTROLS}
        return {name: SyncOutput(out.logit[:, 0], out.cam[:, 0]) for name, out in found.items()}

    def _answer(
        self,
        got: Examined,
        row: int,
        meta: ClipMeta,
        source: int,
        cells: Tensor,
        controls: dict[str, float],
        *,
        keeps: bool,
    ) -> AskedMap:
        frames, pictures = got.answer.given.frames[row], got.answer.given.frames.shape[2]
        first = got.answer.batch.draws[row].pair.picture
        hottest = hottest_of(cells, pictures)
        answer = AskedMap(
            group=source,
            case=meta.case or "",
            off_screen=out_of_sight(meta, range(first, first + pictures)),
            heat=float(cells.max()),
            controls=controls,
        )
        truth = truth_at(meta, first + hottest.frame, self.feed.view)
        if not truth:
            return answer
        mask, step = truth.mask(), int(cells.flatten(1).amax(1).argmax())
        kept = None
        if keeps:
            picture = to_uint8(smaller(frames[:, hottest.frame : hottest.frame + 1]))[0]
            kept = ShownMap(
                key=got.answer.batch.keys[row], picture=picture, heat=cells[step].float().cpu().numpy(), truth=mask
            )
        return replace(
            answer, point=PointingResult.of(hottest, truth), ciou=ciou(on_grid(cells[step]), mask), kept=kept
        )


def white(sounds: Tensor, clips: Sequence[int]) -> Tensor:
    """Noise as loud as each sound (N, C, S); the same of a clip each time, on whatever device."""
    drawn = [torch.randn(sounds.shape[1:], generator=torch.Generator().manual_seed(clip)) for clip in clips]
    loudness = sounds.square().mean(dim=(1, 2), keepdim=True).sqrt()
    return (torch.stack(drawn).to(sounds) * loudness).clamp(-1, 1)


def on_grid(heat: Tensor) -> NDArray[np.float32]:
    """(h, w) -> (CELLS, CELLS), straight lines between the cells' middles."""
    fine = functional.interpolate(heat[None, None].float(), (CELLS, CELLS), mode="bilinear", align_corners=False)
    return fine[0, 0].cpu().numpy()


def smaller(frames: Tensor) -> Tensor:
    """(3, T, H, W) -> the same, sides of KEPT_SIDE at most."""
    shrink = max(1.0, max(frames.shape[2:]) / KEPT_SIDE)
    return (
        frames
        if shrink == 1
        else functional.interpolate(frames[None].float(), scale_factor=(1, 1 / shrink, 1 / shrink))[0]
    )

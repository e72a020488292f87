"""What a separation is worth, in decibels, and what it is held against: nothing done, the ceiling, another picture.

SI-SDR is Le Roux et al. 2019, "SDR - half-baked or well done?"; SDR is their SNR, the ratio of the wanted sound to all
that is wrong with the estimate, loudness among it. Both are a line each; torchmetrics has them, and would bring two
packages for these lines.

B pictures, M = B / 2 mixtures, C audio channels, S samples, F frequencies, n moments.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avsync.config import SeparateConfig
from avsync.data.batch import Batch
from avsync.data.mixtures import Mixtures, mixed_fixed
from avsync.data.order import FIXED_SEED, Draw, View, partnered
from avsync.data.transforms import NetworkInput, prepare
from avsync.loading.feed import Feed
from avsync.models.separator import Separator
from avsync.models.spectrum import Spectrum

LEAST = 1e-3
"""Added to an error's share of the mixture: what is better than 30 dB is not made better still."""
TINY = 1e-10


def si_sdr(estimate: Tensor, target: Tensor) -> Tensor:
    """(..., S) each -> (...): 10 log10 |a s|^2 / |a s - e|^2 with a = <e, s> / |s|^2, whatever the estimate's gain."""
    scale = (estimate * target).sum(-1, keepdim=True) / (target.square().sum(-1, keepdim=True) + TINY)
    return _db(scale * target, scale * target - estimate)


def sdr(estimate: Tensor, target: Tensor) -> Tensor:
    """(..., S) each -> (...): 10 log10 |s|^2 / |s - e|^2."""
    return _db(target, target - estimate)


def _db(wanted: Tensor, wrong: Tensor) -> Tensor:
    return 10 * ((wanted.square().sum(-1) + TINY) / (wrong.square().sum(-1) + TINY)).log10()


def ideal_mask(own: Tensor, whole: Tensor, kind: str) -> Tensor:
    """(B, C, F, n) spectrograms -> the best mask (B, F, n) that a network could draw, within the bounds it has."""
    power = whole.abs().square().sum(1) + TINY
    best = (own * whole.conj()).sum(1) / power
    if kind == "ratio":
        return torch.complex(best.real.clamp(0, 1), torch.zeros_like(best.real))
    return torch.complex(best.real.clamp(-0.5, 1.5), best.imag.clamp(-1, 1))


class Errors(NamedTuple):
    """How far masks are from the truth, in decibels of the mixture's power: -6 for who divides it in half."""

    own: Tensor
    """(B,) from the row's own part"""
    other: Tensor
    """(B,) from the other part: less than `own` where the wrong one was taken"""


def errors_of(masks: Tensor, mixtures: Mixtures, spectrum: Spectrum) -> Errors:
    """masks: (B, F, n), or (M, F, n) of a blind network."""
    whole = spectrum.of_sound(mixtures.sounds).repeat_interleave(2, dim=0)
    own, other = spectrum.of_sound(mixtures.parts), spectrum.of_sound(mixtures.others)
    masks = masks.repeat_interleave(len(whole) // len(masks), dim=0)
    drawn, power = masks.unsqueeze(1) * whole, whole.abs().square().sum(dim=(1, 2, 3)) + TINY
    found = [((part - drawn).abs().square().sum(dim=(1, 2, 3)) / power + LEAST).log10() * 10 for part in (own, other)]
    return Errors(*found)


def wanted_error(errors: Errors, config: SeparateConfig) -> Tensor:
    """(B,) what is trained: the picture's own part; blindly either, whichever is nearer (permutation-invariant)."""
    return errors.own if config.task == "screen" else torch.minimum(errors.own, errors.other)


FEWEST = 4
"""Rows of a batch that is judged: two mixtures, so that each has a stranger's picture."""


def fixed_mixtures(feed: Feed, clips: NDArray[np.int64], per_clip: int = 1) -> list[Draw]:
    """Draws of these clips, each two rows partners of different sources, always the same ones; at most one is left.

    Who meets whom is as random as in training: datasets are sorted by action, and clips one half of all apart would
    always be of the same two.
    """
    clips = np.random.default_rng(FIXED_SEED).permutation(clips)[: len(clips) // 2 * 2]
    draws = feed.fixed_draws(partnered(clips, feed.dataset.index.group[clips]), per_clip)
    return [draw for number in range(per_clip) for draw in draws[number::per_clip]]


COLUMNS = (
    "clip",
    "other",
    "group",
    "loss",
    "right",
    "before",
    "after",
    "rest",
    "swapped",
    "ceiling",
    "sdr_before",
    "sdr_after",
)
"""Of `Judgement.rows`: clip, and that which it was mixed with; source; decibels of wanted_error; was the picture's own
part taken; SI-SDR of the mixture, of what was taken for the picture's, how much better the rest is than the mixture, of
what is taken with another clip's picture (NaN where the batch has no stranger's), of the ideal mask; SDR."""


class Judgement(NamedTuple):
    """A batch, taken apart."""

    rows: Tensor
    """(rows that count, COLUMNS) float64"""
    given: NetworkInput
    mixtures: Mixtures
    taken: Tensor
    """(B, C, S): what was taken for each picture's own"""


@torch.no_grad()
def judged(
    network: Separator, batches: Iterable[Batch], view: View, config: SeparateConfig, group: Tensor
) -> Iterator[Judgement]:
    """Batches of fixed mixtures, and what the network makes of them. group: source of each clip of the dataset."""
    for batch in batches:
        yield _judge(network, batch, view, config, group)


def _judge(network: Separator, batch: Batch, view: View, config: SeparateConfig, group: Tensor) -> Judgement:
    given = prepare(batch, view)
    mixtures, spectrum = mixed_fixed(given.sounds[:, 0], batch, config.spread_db), network.spectrum
    sounds = mixtures.sounds
    whole = spectrum.of_sound(sounds).repeat_interleave(2, dim=0)
    samples = sounds.shape[-1]

    def heard(masks: Tensor) -> Tensor:
        return spectrum.to_sound(masks.unsqueeze(1) * whole, samples)

    masks = network(given.frames, sounds)
    errors = errors_of(masks, mixtures, spectrum)
    if config.task == "blind":  # it cannot know: it is told which of its two parts is meant
        masks = masks.repeat_interleave(2, dim=0)
        masks = torch.where((errors.own < errors.other)[:, None, None], masks, 1 - masks)
        swapped = masks
    else:  # picture i with the mixture of the pair before: neither of its sounds is of that picture
        swapped = network(given.frames.roll(2, dims=0), sounds)
    mono, own, other = sounds.repeat_interleave(2, dim=0).mean(1), mixtures.parts.mean(1), mixtures.others.mean(1)
    taken, clips = heard(masks), torch.tensor([draw.clip for draw in batch.draws])
    source = group[clips.clamp(min=0)].to(mono.device)
    donor = source.where(clips.to(mono.device) >= 0, -1).roll(2, dims=0)
    stranger = (donor >= 0) & (donor != source) & (donor != source.view(-1, 2).flip(1).flatten())
    columns = (
        clips.to(mono.device),
        clips.view(-1, 2).flip(1).flatten().to(mono.device),
        source,
        wanted_error(errors, config),
        errors.own < errors.other,
        si_sdr(mono, own),
        si_sdr(taken.mean(1), own),
        si_sdr(mono - taken.mean(1), other) - si_sdr(mono, other),
        torch.where(stranger, si_sdr(heard(swapped).mean(1), own), float("nan")),
        si_sdr(heard(ideal_mask(spectrum.of_sound(mixtures.parts), whole, config.mask)).mean(1), own),
        sdr(mono, own),
        sdr(taken.mean(1), own),
    )
    rows = torch.stack([column.double() for column in columns], dim=1)
    return Judgement(rows[mixtures.counts], given, mixtures, taken)

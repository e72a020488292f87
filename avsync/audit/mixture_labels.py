"""Labels of mixtures: does a mixture alone tell which of its two parts is the picture's own? It must not.

A network that takes sounds apart is trained on two clips' sounds mixed, heard with the picture of the one and with
that of the other (avsync.data.mixtures). Here the same law mixes them. Probes are given the two parts themselves, which
is more than any network hears, in an order that knows nothing of the picture (the clip that was packed first comes
first), and are asked whether the first one is the picture's own: by loudness, by what a rule finds in a part (a join, a
quiet start, what a codec left), by a small network that hears both.

N rows: a mixture and one of its pictures; C T of a sound's map.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from avsync.audit.config import AuditConfig
from avsync.audit.evidence import ROWS, Advance, chosen_clips, couples, joined
from avsync.audit.features import every_for, rule_values, sound_map
from avsync.audit.leak import Leakage, leakage
from avsync.audit.networks import SoundNet, guess
from avsync.audit.probes import ProbeAnswers, by_stump, guesses_of, judged
from avsync.audit.result import Guesses
from avsync.audit.rules import RULES
from avsync.data.batch import Batch
from avsync.data.mixtures import Mixtures, mixed
from avsync.data.order import Draw, batches_of_rank, clip_rng
from avsync.data.transforms import prepare
from avsync.loading.feed import Feed
from avsync.loading.options import LoaderOptions
from avsync.run.network import pick_device

ASKED: dict[str, str] = {"loudness": "Is the picture's own part the louder one, or the softer?"} | {
    name: listed.asks.replace("sounds of one label", "the picture's own parts") for name, listed in RULES.items()
}
"""The rules, each one number of a part, of which probes get the difference."""
BY_EAR = "both parts"
PROBES = 1 + len(ASKED)
"""How many questions there are."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MixtureRows:
    """What is kept of rows that a training would count."""

    maps: NDArray[np.float16]
    """(N, 2 * C, T): the first part's, then the second's"""
    values: NDArray[np.float32]
    """(N, ASKED): the first part's less the second's"""
    clips: NDArray[np.int64]
    """(N, 2): of the first part and of the second"""
    mixture: NDArray[np.int64]
    """(N,) number of the mixture"""
    own_first: NDArray[np.bool_]
    """(N,) the label"""


def gather_mixtures(feed: Feed, config: AuditConfig, advance: Advance) -> MixtureRows:
    """Mix clips of different sources as training does, each two sources always with each other, so that who is asked
    about one has heard neither. Raises AvsyncError when too many clips in a row cannot be read.
    """
    batches = batches_of_rank(mixture_draws(feed, config), ROWS, 0, 1)
    options = LoaderOptions(device=pick_device(config.device))
    parts = list[MixtureRows]()
    with feed.loader(options, every_for(feed.sampler.window)) as loader:
        for number, batch in enumerate(loader.batches(batches)):
            sounds = prepare(batch, feed.view).sounds[:, 0]
            mixtures = mixed(sounds, batch, config.seed, number, config.separate.spread_db)
            parts.append(keep_mixtures(mixtures, batch, number, feed.dataset.info.clock.sample_rate))
            advance("reading mixtures", number + 1, len(batches))
    return joined(parts)


def mixture_draws(feed: Feed, config: AuditConfig) -> list[Draw]:
    """Rows 2i and 2i + 1 are partners."""
    clips = chosen_clips(feed, config.clips, config.seed)
    frames, window = feed.dataset.index.frames, feed.sampler
    two = [couple for both, met in couples(feed, clips, config.seed) if met for couple in both if len(couple) == 2]
    return [
        Draw(clip, window(int(frames[clip]), clip_rng(config.seed, number, clip)), 0, 0, False)
        for couple in two
        for number in range(config.pairs_per_clip)
        for clip in couple
    ]


@torch.no_grad()
def keep_mixtures(mixtures: Mixtures, batch: Batch, step: int, rate: int) -> MixtureRows:
    """Features of a step's rows: of both parts of each row's mixture, the one of the lower clip number first."""
    parts = mixtures.parts.mean(1).cpu()
    maps = torch.cat([sound_map(some, rate).half() for some in parts.split(4)]).numpy()
    loudness = parts.square().mean(1, keepdim=True).sqrt()
    values = torch.cat((loudness, torch.cat([rule_values(some, rate) for some in parts.split(4)])), 1).numpy()
    clip = np.array([draw.clip for draw in batch.draws])
    row = np.arange(len(clip))
    other = row ^ 1  # the partner's row
    own_first = clip < clip[other]
    first, second = np.where(own_first, row, other), np.where(own_first, other, row)
    counts = mixtures.counts.cpu().numpy()
    return MixtureRows(
        maps=np.concatenate((maps[first], maps[second]), 1)[counts],
        values=(values[first] - values[second])[counts],
        clips=np.stack((clip[first], clip[second]), 1)[counts],
        mixture=(step * len(clip) + np.minimum(row, other))[counts],
        own_first=own_first[counts],
    )


def law_of_mixtures(rows: MixtureRows) -> Leakage:
    """What a mixture tells about the label to who has counted how often it came with each picture."""
    _, number = np.unique(rows.mixture, return_inverse=True)
    if not len(number):
        return Leakage(bits=0, accuracy=0.5, auc=0.5)
    if len({*rows.own_first.tolist()}) == 1:  # never the other one: there is nothing to ask
        return Leakage(bits=1, accuracy=1, auc=1)
    joint = np.zeros((2, int(number.max()) + 1))
    np.add.at(joint, (rows.own_first.astype(int), number), 1 / len(number))
    return leakage(joint)


def probe_mixtures(
    rows: MixtureRows, source: NDArray[np.integer], seed: int, z: float, device: torch.device, advance: Advance
) -> Iterator[Guesses]:
    """The answers of all probes. source: of each clip of the index; z: standard deviations of the strict interval."""
    label, group = rows.own_first, source[rows.clips].min(axis=1).astype(np.int64)
    for number, (name, asks) in enumerate(ASKED.items()):
        advance(name, number, PROBES)
        score = by_stump(rows.values[:, number].astype(np.float64), label, group, seed)
        yield guesses_of(name, "rule", asks, judged(score, label, group), z)
    advance(BY_EAR, PROBES - 1, PROBES)
    heard: ProbeAnswers = judged(guess(SoundNet, rows.maps, label, group, seed, device), label, group)
    yield guesses_of(BY_EAR, "network", "Do both parts, heard, tell which of them is the picture's own?", heard, z)
    advance("done", PROBES, PROBES)

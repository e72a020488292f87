"""The table of probes: each asks one question of real labels and gives its right guesses. To add one: a line in PROBES.

A probe learns from half of the sources and is asked about the other half, and the other way round: so every example is
guessed once, by who never met its source.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from avsync.audit.config import AuditConfig
from avsync.audit.evidence import Advance, AuditEvidence, folds, gather
from avsync.audit.networks import Make, PictureNet, SoundNet, guess
from avsync.audit.position import Blocks, compare_places, heard, place_scores, seen, which_is_later
from avsync.audit.result import Guesses, Kind
from avsync.audit.rules import RULES
from avsync.loading.feed import Feed
from avsync.metrics import proportion_of, roc_auc
from avsync.run.network import pick_device


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ProbeAnswers:
    """What a probe answered. N examples."""

    hits: NDArray[np.bool_]
    """(N,)"""
    group: NDArray[np.int64]
    """(N,) examples of one number are not independent"""
    auc: float
    note: str = ""


Ask = Callable[[AuditEvidence, torch.device], ProbeAnswers | None]
"""None: there is nothing to ask."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelProbe:
    """A question, and who answers it."""

    kind: Kind
    asks: str
    ask: Ask


def run_probes(feed: Feed, config: AuditConfig, z: float, advance: Advance) -> Iterator[Guesses]:
    """Ask all. z: standard deviations that the strict interval reaches.

    Raises AvsyncError when too many clips in a row cannot be read.
    """
    return ask_all(gather(feed, config, advance), z, advance, pick_device(config.device))


def ask_all(evidence: AuditEvidence, z: float, advance: Advance, device: torch.device) -> Iterator[Guesses]:
    """The answers of all probes that have something to ask."""
    for number, (name, probe) in enumerate(PROBES.items()):
        advance(name, number, len(PROBES))
        answers = probe.ask(evidence, device)
        if answers is not None:
            yield guesses_of(name, probe.kind, probe.asks, answers, z)
    advance("done", len(PROBES), len(PROBES))


def guesses_of(name: str, kind: Kind, asks: str, answers: ProbeAnswers, z: float) -> Guesses:
    """What a probe answered, to be judged."""
    return Guesses(
        probe=name,
        kind=kind,
        asks=asks,
        accuracy=proportion_of(answers.hits, answers.group),
        strict=proportion_of(answers.hits, answers.group, z),
        auc=answers.auc,
        note=answers.note,
    )


def judged(score: NDArray, label: NDArray[np.bool_], group: NDArray[np.int64], note: str = "") -> ProbeAnswers:
    """Of scores (N,) that are above 0 for a guess of "yes"."""
    return ProbeAnswers(hits=(score > 0) == label, group=group, auc=roc_auc(score, label), note=note)


def _sounds(evidence: AuditEvidence) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Label and source of each sound, in the order of rows, then of a row's sounds."""
    label = evidence.labels.in_sync
    return label.ravel(), np.repeat(evidence.label_group, label.shape[1])


def _sound_network(evidence: AuditEvidence, device: torch.device) -> ProbeAnswers:
    label, group = _sounds(evidence)
    maps = evidence.labels.maps
    return _by_network(SoundNet, maps.reshape(-1, *maps.shape[2:]), label, group, evidence.seed, device)


def _picture_network(evidence: AuditEvidence, device: torch.device) -> ProbeAnswers:
    label, group = evidence.labels.in_sync, evidence.label_group
    if (sounds := label.shape[1]) > 1:  # it cannot know which of them is asked about
        note = "By construction: every picture comes with both labels."
        return judged(np.zeros(label.size), label.ravel(), np.repeat(group, sounds), note)
    return _by_network(PictureNet, evidence.labels.pictures, label[:, 0], group, evidence.seed, device)


def _by_network(
    make: Make, given: NDArray, label: NDArray[np.bool_], group: NDArray[np.int64], seed: int, device: torch.device
) -> ProbeAnswers:
    return judged(guess(make, given, label, group, seed, device), label, group)


def _rule(number: int, evidence: AuditEvidence, device: torch.device) -> ProbeAnswers:
    label, group = _sounds(evidence)
    values = evidence.labels.rules[..., number].ravel().astype(np.float64)
    return judged(by_stump(values, label, group, evidence.seed), label, group)


def by_stump(
    values: NDArray[np.float64], label: NDArray[np.bool_], group: NDArray[np.int64], seed: int
) -> NDArray[np.float64]:
    """(N,) scores by one threshold of one number, learned from other sources."""
    score = np.zeros(len(values))
    for learn, ask in folds(group, seed):
        if learn.any() and ask.any():
            sign, threshold = stump(values[learn], label[learn])
            score[ask] = sign * (values[ask] - threshold)
    return score


def stump(values: NDArray[np.float64], label: NDArray[np.bool_]) -> tuple[int, float]:
    """Sign and threshold with which `sign * (value - threshold) > 0` is most often the label."""
    order = np.argsort(values, kind="stable")
    value, gain = values[order], np.where(label[order], -1, 1).cumsum()
    edges = np.flatnonzero(np.append(np.diff(value) > 0, True))  # equal values stay on one side
    right = int(label.sum()) + np.append(0, gain[edges])  # "in sync" above an edge, the first lies below all values
    between = (value[edges] + value[np.minimum(edges + 1, len(value) - 1)]) / 2
    thresholds = np.append(value[0] - 1, between)
    thresholds[-1] = value[-1] + 1
    sign = 1 if right.max() >= len(label) - right.min() else -1
    return sign, float(thresholds[int(right.argmax() if sign > 0 else right.argmin())])


def _place_of(blocks: Callable[..., Blocks], evidence: AuditEvidence) -> NDArray[np.float64]:
    return place_scores(blocks(evidence.early), blocks(evidence.late), evidence.place_group, evidence.seed)


def _place(blocks: Callable[..., Blocks], evidence: AuditEvidence, device: torch.device) -> ProbeAnswers | None:
    if not len(evidence.places.clip):
        return None
    apart = which_is_later(_place_of(blocks, evidence), evidence.seed)
    label = np.repeat((True, False), len(apart))
    return ProbeAnswers(hits=apart > 0, group=evidence.place_group, auc=roc_auc(np.concatenate((apart, -apart)), label))


def _both_places(evidence: AuditEvidence, device: torch.device) -> ProbeAnswers | None:
    if not (evidence.places.couple >= 0).any():
        return None
    closer, group = compare_places(evidence, _place_of(heard, evidence), _place_of(seen, evidence))
    label = np.repeat((True, False), len(closer))
    note = "Asked with the sound of another source at the same places: what is seen and heard there cannot help."
    return ProbeAnswers(hits=closer > 0, group=group, auc=roc_auc(np.concatenate((closer, -closer)), label), note=note)


PROBES: Mapping[str, LabelProbe] = {
    "sound alone": LabelProbe(kind="network", asks="Does the sound alone tell the label?", ask=_sound_network),
    "picture alone": LabelProbe(kind="network", asks="Does the picture alone tell the label?", ask=_picture_network),
    **{
        name: LabelProbe(kind="rule", asks=listed.asks, ask=partial(_rule, number))
        for number, (name, listed) in enumerate(RULES.items())
    },
    "place of the sound": LabelProbe(
        kind="position", asks="Does the sound tell which of two windows comes later?", ask=partial(_place, heard)
    ),
    "place of the picture": LabelProbe(
        kind="position", asks="Does the picture tell which of two windows comes later?", ask=partial(_place, seen)
    ),
    "places in both": LabelProbe(
        kind="both", asks="Can picture and sound be matched by their places in the file alone?", ask=_both_places
    ),
}

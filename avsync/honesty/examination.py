"""What a whole validation found: accuracies by one stream alone, audited accuracy, and a score for each map; maps.csv.

Knows no ranks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from avsync.honesty.maps import MapScores
from avsync.honesty.predict import Predictions
from avsync.metrics import Z95, Proportion, proportion_of
from sharding.base.csv_table import csv_bytes
from sharding.base.files import publish
from sharding.base.housekeeping import housekeeping
from sharding.base.text import percent

CHANCE = 0.5
UNASKED = "not audited, for all clips are of one source"


class Maps(NamedTuple):
    """A map for each sound in sync. M maps."""

    clip: NDArray[np.int64]
    """(M,) clip ids"""
    listened: NDArray[np.float64]
    """(M,) 0: the same map whatever is heard; 1: another one"""
    spatial: NDArray[np.float64]
    """(M,) 0: whole frames are lit; 1: one cell is"""
    logit: NDArray[np.float32]

    def mean(self) -> MapScores:
        return MapScores(float(np.mean(self.listened)), float(np.mean(self.spatial)))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Examination:
    """One row per example (picture, sound), in the order of `got`. N examples; NaN: it could not be asked."""

    got: Predictions
    group: NDArray[np.int64]
    """(N,) source of the clip"""
    other: NDArray[np.float64]
    """(N,) logit with another clip's picture"""
    muted: NDArray[np.float64]
    """(N,) logit with its sound muted"""
    listened: NDArray[np.float64]
    spatial: NDArray[np.float64]

    @classmethod
    def of(cls, table: Tensor, group: NDArray[np.integer]) -> "Examination":
        """From rows as swap.examined_rows makes them. group: source of each clip of the dataset."""
        got = Predictions.of(table)
        kept = table[table[:, 4] > 0.5].double().cpu().numpy()
        other, muted, listened, spatial = kept[:, 5:9].T
        groups = group[got.clip].astype(np.int64)
        return cls(got=got, group=groups, other=other, muted=muted, listened=listened, spatial=spatial)

    @property
    def accuracy(self) -> float:
        return float(self.got.hits.mean()) if len(self.got.hits) else float("nan")

    def with_another_picture(self, z: float = Z95) -> Proportion:
        """Accuracy by the sound alone."""
        return self._by(self.other, z)

    def with_muted_sound(self, z: float = Z95) -> Proportion:
        """Accuracy by the picture alone."""
        return self._by(self.muted, z)

    def _by(self, logit: NDArray[np.float64], z: float) -> Proportion:
        asked = np.isfinite(logit)
        hits = upper_half(logit[asked]) == self.got.in_sync[asked]
        return proportion_of(hits, self.group[asked], z)

    @property
    def audited(self) -> float | None:
        """The accuracy, less what one stream alone is worth; None where no clip found a picture of another source."""
        if not self.with_another_picture().count:
            return None
        return audited(self.accuracy, self.with_another_picture().value, self.with_muted_sound().value)

    @property
    def maps(self) -> Maps | None:
        """None when no sound was in sync."""
        chosen = np.isfinite(self.spatial)
        if not chosen.any():
            return None
        got = self.got
        return Maps(got.clip[chosen], self.listened[chosen], self.spatial[chosen], got.logit[chosen])


def in_words(got: Examination) -> str:
    """For the line of a validation in the log."""
    by_one = (("another picture", got.with_another_picture()), ("muted", got.with_muted_sound()))
    asked = [f"{words} {percent(found.value)}" for words, found in by_one if found.count]
    if maps := got.maps:
        asked.append(f"maps {maps.mean()}")
    worth = UNASKED if got.audited is None else f"audited {percent(got.audited)}"
    return f"accuracy {percent(got.accuracy)}, {worth} ({', '.join(asked)})"


def upper_half(logit: NDArray[np.floating]) -> NDArray[np.bool_]:
    """The higher half of the answers, to be read as "in sync" where only the order of the answers is to count.

    A network that was shown a picture that never fits may say "shifted" to all, and still hear which sound is the
    shifted one: at logit 0 that would look honest. Equal answers stay together, so the cut may lie off the middle.
    """
    values, counts = np.unique(-logit, return_counts=True)
    cuts = np.concatenate(([0], counts.cumsum()))
    nearest = int(np.abs(2 * cuts - len(logit)).argmin())
    return -logit <= values[nearest - 1] if nearest else np.zeros(len(logit), bool)


def audited(accuracy: float, *by_one_stream: float) -> float:
    """What is left of an accuracy once the worth of the better single stream is taken off.

    Worth is what lies above chance; below it there is none, and a stream that could not be asked (NaN) has none.
    Never more than the accuracy, and never less than the lower of accuracy and chance: a network that only cheats
    knows nothing, not less than nothing.
    """
    worth = max((one - CHANCE for one in by_one_stream if one == one), default=0.0)
    return max(min(accuracy, CHANCE), accuracy - max(0.0, worth))


def write_maps(path: Path, got: Examination, key_of: Callable[[int], str]) -> None:
    """maps.csv, clip by clip, the deafest first. A disk that takes no more does not end the training."""
    maps = sorted(zip(*got.maps, strict=True), key=lambda row: row[1]) if got.maps else ()
    rows = ((key_of(int(clip)), *(f"{score:.4f}" for score in scores)) for clip, *scores in maps)
    with housekeeping("write", path), publish(path, lasting=False) as file:
        file.write(csv_bytes(Maps._fields, rows))

"""How a network's logits are to be read so that the confidence of `avsync score` is true: found on files with known
offsets, made of the val split, and kept in trust.json.

The threshold is the one with which what is true of the files is least surprising (mean -log of the probability given to
it). Then the trust is the one with which the confidence, held against whether the best offset is the true one, is least
surprising, and so is the probability that is kept for "none of these offsets". What the confidence is then still off by
is taken out by Platt's two numbers. Every source counts the same, however
many clips it has; a few files have another sound.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from avsync.confidence.curve import NONE_PRIOR, Reading, Votes, log_odds, posterior
from avsync.confidence.file_evidence import blind_windows
from avsync.confidence.planted import ClipGrid, PlantedFile, ask_clips, planted_files
from avsync.config import MOST_TRUST, TRUST
from avsync.data.batch import Batch
from avsync.data.order import clip_rng
from avsync.loading.feed import Feed
from avsync.loading.options import LoaderOptions
from avsync.metrics import AS_IT_IS, Calibration, Reliability
from avsync.run.network import LoadedNetwork
from avsync.run.paths import RunPaths
from avsync.run.state import NetworkTrust, State, TrustRecord
from avsync.world import World
from sharding.base.files import read_json
from sharding.base.text import counted, percent
from sharding.errors import FormatError

TRUSTS = np.geomspace(0.1, MOST_TRUST, 47)
"""Those that are tried: 10 % apart."""
THRESHOLDS, FINER = range(-5, 6), 0.5
"""Those that are tried, and then, beside the best of them."""
MOST_PAIRS = 30_000
"""Of a window and a sound that are asked about: a minute of a small network on two cores."""
FEWEST_CLIPS = 24
"""With fewer the trust would be luck."""
NONES = (0.02, 0.05, 0.1, NONE_PRIOR)
"""Those that are tried."""
ANOTHER_SOUND = 0.02
"""How many of the files have another sound: the confidence is to be true of those that people ask about."""
RESAMPLES = 200
"""Of the sources, for the interval."""
UNLIKELY = 0.01
"""Nothing is taken for less probable: no single file may decide."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrustPlan:
    """What is to be asked."""

    grid: ClipGrid
    clips: list[int]

    @classmethod
    def of(cls, feed: Feed, window: int) -> "TrustPlan | str":
        """By clips of `feed`, the val split. window: frames that the network sees. Or why nothing can be found."""
        few = f"{FEWEST_CLIPS} are needed: pack with a larger --val-percent"
        if len(feed.clips) < FEWEST_CLIPS:
            return f"the val split has {counted(len(feed.clips), 'clip')}, {few}"
        grid = ClipGrid.of(feed, window)
        if grid is None:
            return "the val split's clips are hardly longer than a window, so no offset can be planted"
        chosen = grid.clips(feed, max(FEWEST_CLIPS, MOST_PAIRS // grid.pairs))
        if len(chosen) < FEWEST_CLIPS:
            return f"the val split has {counted(len(chosen), 'clip')} that are long enough, {few}"
        return cls(grid=grid, clips=chosen)


def find_trust(
    network: LoadedNetwork,
    feed: Feed,
    plan: TrustPlan,
    world: World,
    options: LoaderOptions,
    guarded: Callable[[Iterator[Batch]], Iterator[Batch]],
) -> NetworkTrust:
    """Of a network. The same on every rank; every rank must call it. Batches pass through `guarded`, which may end it
    all.
    """
    answers = ask_clips(network, feed, plan.grid, plan.clips, world, options, guarded)
    if len(answers) < FEWEST_CLIPS:
        why = f"only {counted(len(answers), 'clip')} of the val split could be read"
        return NetworkTrust(step=network.step, trust=None, why=why)
    files = [file for one in answers for file in planted_files(plan.grid, one)]
    return fit_trust(network.step, files, feed.dataset.index.group)


def fit_trust(step: int, files: Sequence[PlantedFile], group: NDArray[np.integer]) -> NetworkTrust:
    """The reading that fits these files best. group: source of each clip of the dataset."""
    weight, sources = _weights(files, group)
    tried = dict[float, _Tried]()

    def least(thresholds: Iterable[float]) -> float:
        tried.update({at: _Tried.of(files, at) for at in thresholds if at not in tried})
        return min(tried, key=lambda at: (float((weight @ tried[at].surprise).min()), abs(at)))

    coarse = least(map(float, THRESHOLDS))
    threshold = least((coarse - FINER, coarse + FINER))
    found = tried[threshold]
    at = int((weight @ found.doubt).argmin())
    none, best = divmod(at, len(TRUSTS))
    names, number = np.unique(sources, return_inverse=True)
    draws = clip_rng(0, 0, 1).multinomial(len(names), np.full(len(names), 1 / len(names)), RESAMPLES)
    others = ((draws[:, number] * weight) @ found.doubt).argmin(axis=1) % len(TRUSTS)
    low, high = TRUSTS[np.quantile(others, (0.05, 0.95)).round().astype(int)].tolist()
    sure, right = log_odds(found.confidence[:, at]), found.near
    calibration = Calibration.of(sure, right, weight * len(weight)) or AS_IT_IS
    default = _Tried.of(files, 0.0, np.array([TRUST]), (NONE_PRIOR,))
    return NetworkTrust(
        step=step,
        trust=float(TRUSTS[best]),
        threshold=threshold,
        none=NONES[none],
        confidence=(calibration.scale, calibration.threshold),
        low=low,
        high=high,
        error=Reliability.of(calibration.probability(sure), right, sources).error,
        before=Reliability.of(default.confidence[:, 0], default.near, sources).error,
        clips=len({file.clip for file in files}),
        sources=len(names),
    )


def _weights(files: Sequence[PlantedFile], group: NDArray[np.integer]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(F,) what each file counts, and its source."""
    sources = group[[file.clip for file in files]].astype(np.int64)
    other = np.array([file.planted_s is None for file in files])
    weight = np.array([file.weight for file in files])
    for kind, share in ((other, ANOTHER_SOUND), (~other, 1 - ANOTHER_SOUND)):
        for source in np.unique(sources[kind]):
            mine = kind & (sources == source)
            weight[mine] *= share / (weight[mine].sum() * len(np.unique(sources[kind])))
    return weight, sources


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Tried:
    """F files, read with one threshold and R = nones x trusts readings."""

    surprise: NDArray[np.float64]
    """(F, R) -log of the probability of what is true"""
    confidence: NDArray[np.float64]
    """(F, R)"""
    near: NDArray[np.bool_]
    """(F,) the best offset is near the true one, whatever the reading"""

    @property
    def doubt(self) -> NDArray[np.float64]:
        """(F, R) -log of the confidence where the best offset is near the true one, else of what it leaves."""
        return _surprise(np.where(self.near[:, None], self.confidence, 1 - self.confidence))

    @classmethod
    def of(
        cls,
        files: Sequence[PlantedFile],
        threshold: float,
        trusts: NDArray[np.float64] = TRUSTS,
        nones: Sequence[float] = NONES,
    ) -> Self:
        true, confidence, near = list[NDArray[np.float64]](), list[NDArray[np.float64]](), list[bool]()
        for file in files:
            blind = blind_windows(file.evidence)
            curve = Votes.of(file.evidence, blind, Reading(trust=1.0, threshold=threshold)).curve()
            probability = np.concatenate([posterior(trusts[:, None] * curve.support, none) for none in nones])
            reach, planted = curve.capture_s + 1e-9, file.planted_s
            confidence.append(probability[:, np.abs(curve.offsets_s - curve.best_s) <= reach].sum(axis=1))
            if planted is None:
                true.append(1 - probability.sum(axis=1))
                near.append(False)
            else:
                true.append(probability[:, np.abs(curve.offsets_s - planted) <= reach].sum(axis=1))
                near.append(abs(curve.best_s - planted) <= reach)
        return cls(surprise=_surprise(np.array(true)), confidence=np.array(confidence), near=np.array(near))


def _surprise(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    return -np.log(probability.clip(UNLIKELY, 1))


@dataclass(frozen=True, kw_only=True, slots=True)
class Trusted:
    """How a file's logits are read, and where that comes from."""

    reading: Reading
    words: str
    """For the terminal."""


def trust_words(found: NetworkTrust) -> str:
    """For the terminal."""
    if found.trust is None:
        return f"how far the confidence of avsync score goes could not be found: {found.why}"
    clips, sources = counted(found.clips, "clip"), counted(found.sources, "source")
    return (
        f"step {found.step}: trust {found.trust:.2g} ({found.low:.2g} to {found.high:.2g}), found on {clips} of "
        f"{sources} of val: calibration error {percent(found.error)} there, {percent(found.before)} with {TRUST:g}"
    )


def reading_of(run: Path, step: int, named: float | None) -> Trusted:
    """Of the checkpoint of `step`; named: a trust that a person asks for. Raises FormatError for a damaged record."""
    found = _recorded(RunPaths(run), step)
    if found is None:
        words = "the run does not say how far this network's confidence goes"
    else:
        words = trust_words(found)
    kept = Reading()
    if found and found.trust is not None:
        kept = Reading(
            trust=found.trust, threshold=found.threshold, none=found.none, confidence=Calibration(*found.confidence)
        )
    if named is not None:
        return Trusted(
            reading=replace(kept, trust=named, confidence=AS_IT_IS), words=f"trust {named:g}, as --trust says"
        )
    if found is None or found.trust is None:
        words += f"; {TRUST:g} is used, lower it with --trust where sure answers prove wrong"
    return Trusted(reading=kept, words=words)


def recorded(paths: RunPaths, state: State) -> bool:
    """Whether the run says it, readably, of what it keeps as of `state`."""
    steps = {state.step, state.best.step if state.best else state.step}
    with suppress(FormatError, OSError):
        return all(_recorded(paths, step) is not None for step in steps)
    return False


def _recorded(paths: RunPaths, step: int) -> NetworkTrust | None:
    if not paths.trust.is_file():
        return None
    try:
        return read_json(paths.trust, TrustRecord).of(step)
    except FormatError as error:
        raise FormatError(f"{error}; delete it, and {TRUST:g} is used for the trust") from error

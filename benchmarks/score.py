"""How well `avsync score` knows offsets, and how well it knows what it knows: scenes with planted offsets.

avsync scenes long --seconds 40 --count 40 --seed 7
python -m benchmarks.score RUN SCENES LONG FOLDER [CASES]

RUN was trained on SCENES (`avsync demo` makes both), whose test split is used. FOLDER keeps what the network said, so
a second call adds nothing. Files are coded anew, cut so that neither stream is longer than the other: nothing but the
content tells the offset. Half of the scenes choose `trust`; the tables are about the other half.
"""

import argparse
import csv
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from math import ceil
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from avsync.localize.film import FilmWriter, Picture, read_pictures
from avsync.metrics import proportion_of
from avsync.run.network import load_network
from avsync.score.config import ScoreConfig
from avsync.score.curve import Votes
from avsync.score.decide import SyncDecision, blind_windows, decide
from avsync.score.listen import ScoreEvidence
from avsync.score.score import Scorer
from sharding.base.files import publish
from sharding.format.clip import Clock
from sharding.media.audio import AudioTimeline
from sharding.media.probe import Probe, probe

FPS, RATE = 15, 16_000
REACH_S, IN_SYNC_SHARE = 2.0, 1 / 3
KINDS = {"short": 1, "long": 1, "other sound": 3, "noise": 3, "silence": 9, "still": 9}
"""What files there are, and for every how many scenes there is one of them."""
NEGATIVE = ("other sound", "noise", "silence", "still")
TRUSTS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0)
BINS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99, 1.0)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Case:
    """One file, what is true of it, and what the network said."""

    kind: str
    number: int
    planted_s: float
    evidence: ScoreEvidence


def plant(picture: Probe, wave: NDArray[np.int16], planted_s: float, target: Path, *, still: bool = False) -> None:
    """Write the picture of one scene with `wave`, (S, 1), `planted_s` late; neither reaches beyond the other."""
    skipped = ceil(max(0.0, planted_s) * FPS)
    frames = [one.rgb for one in read_pictures(picture)]
    count = min(len(frames), int(len(wave) * FPS / RATE)) - ceil(abs(planted_s) * FPS)
    first = round((skipped / FPS - planted_s) * RATE)
    height, width = frames[0].shape[:2]
    tick = 90_000 // FPS
    with publish(target) as file, FilmWriter(file, height=height, width=width, rate=RATE, channels=1) as film:
        film.sound(wave[first : first + count * RATE // FPS])
        for number in range(count):
            film.show(Picture(number * tick, tick, frames[skipped + (0 if still else number)]))


def sound_of(source: Probe) -> NDArray[np.int16]:
    """(S, 1)"""
    with closing(AudioTimeline(source, sample_rate=RATE, channels=1, first_sample=0)) as lane:
        return lane.read(0, int(source.audio.end * RATE)).audio


def scenes_of(folder: Path) -> list[Path]:
    """The test split, or all of it where there is none."""
    with (folder / "scenes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [folder / row["path"] for row in rows if row["split"] == "test"] or [folder / row["path"] for row in rows]


def planted_cases(short: Sequence[Path], long: Sequence[Path], count: int) -> Iterator[tuple[str, int, float]]:
    """(kind, number of the scene, seconds)."""
    rng = np.random.default_rng(0)
    for number in range(count):
        offset = 0.0 if rng.random() < IN_SYNC_SHARE else float(rng.uniform(-REACH_S, REACH_S))
        for kind, every in KINDS.items():
            if number % every == 0 and number < len(long if kind == "long" else short):
                yield kind, number, 0.0 if kind in NEGATIVE else offset


def make(kind: str, scenes: Sequence[Path], number: int, planted_s: float, target: Path) -> None:
    """Write the file of one case."""
    source = probe(scenes[number])
    wave = sound_of(source)
    rng = np.random.default_rng(number)
    changed = {
        "other sound": lambda: sound_of(probe(scenes[(number + 1) % len(scenes)])),
        "noise": lambda: rng.normal(0, 1000, wave.shape).astype(np.int16),
        "silence": lambda: np.zeros_like(wave),
    }
    plant(source, changed.get(kind, lambda: wave)(), planted_s, target, still=kind == "still")


def cases(scorer: Scorer, short: Sequence[Path], long: Sequence[Path], count: int) -> Iterator[Case]:
    """What the network says of each, kept in the scorer's folder."""
    for kind, number, offset in planted_cases(short, long, count):
        place = scorer.folder / f"{kind.replace(' ', '-')}-{number:03}.npz"
        if not place.exists():
            video = place.with_suffix(".mp4")
            make(kind, long if kind == "long" else short, number, offset, video)
            keep(place, scorer.ask(video)[1])
            video.unlink()
        yield Case(kind=kind, number=number, planted_s=offset, evidence=kept(place))


ARRAYS = ("starts", "offsets", "logit", "loudness_db", "motion", "peaks")


def keep(place: Path, evidence: ScoreEvidence) -> None:
    """Write it."""
    columns = {name: getattr(evidence, name) for name in ARRAYS}
    with publish(place) as file:
        np.savez(file, window=evidence.window, fps=str(evidence.clock.fps), **columns)


def kept(place: Path) -> ScoreEvidence:
    """Read it again."""
    with np.load(place) as data:
        clock = Clock(fps=Fraction(str(data["fps"])), sample_rate=RATE)
        return ScoreEvidence(clock=clock, window=int(data["window"]), **{name: data[name] for name in ARRAYS})


def surprise(some: Sequence[Case], config: ScoreConfig) -> float:
    """Mean -log of the probability given to what is true; lower is better."""
    total = 0.0
    for case in some:
        curve = Votes.of(case.evidence, blind_windows(case.evidence), config).curve()
        near = np.abs(curve.offsets_s - case.planted_s) <= curve.capture_s
        true = 1 - curve.probability.sum() if case.kind in NEGATIVE else curve.probability[near].sum()
        total -= float(np.log(max(true, 1e-6)))
    return total / len(some)


def near(case: Case, found: SyncDecision) -> bool:
    """The best offset is as near the true one as its confidence is about."""
    assert found.curve is not None
    return abs(found.curve.best_s - case.planted_s) <= found.curve.capture_s


def error_table(some: Sequence[tuple[Case, SyncDecision]], config: ScoreConfig) -> Table:
    """Of files with a planted offset."""
    table = Table(title="planted offsets -2 to +2 s, a third in sync")
    for name in (
        "files",
        "count",
        "can't tell",
        "of the others: near",
        "median ms",
        "90 % ms",
        "in sync or not, right",
    ):
        table.add_column(name, justify="right")
    for kind in ("short", "long"):
        mine = [(case, found) for case, found in some if case.kind == kind]
        told = [(case, found) for case, found in mine if found.verdict != "can't tell"]
        if not told:
            continue
        errors = [abs(found.curve.best_s - case.planted_s) * 1000 for case, found in told if found.curve]
        right = [in_tolerance(case, config) == (found.verdict == "in sync") for case, found in told]
        hits = proportion_of(np.array([near(*one) for one in told]), np.arange(len(told)))
        fine = proportion_of(np.array(right), np.arange(len(told)))
        table.add_row(
            kind, str(len(mine)), f"{1 - len(told) / len(mine):.0%}",
            f"{hits.value:.0%} ({hits.low:.0%} to {hits.high:.0%})",
            f"{np.median(errors):.0f}", f"{np.percentile(errors, 90):.0f}",
            f"{fine.value:.0%} ({fine.low:.0%} to {fine.high:.0%})",
        )  # fmt: skip
    return table


def in_tolerance(case: Case, config: ScoreConfig) -> bool:
    """By its planted offset."""
    return -config.early_ms <= case.planted_s * 1000 <= config.late_ms


def negative_table(some: Sequence[tuple[Case, SyncDecision]]) -> Table:
    """Of files whose sound tells nothing about their picture."""
    table = Table(title="nothing to tell")
    for name in ("files", "count", "can't tell", "in sync", "off", "changes"):
        table.add_column(name, justify="right")
    for kind in NEGATIVE:
        verdicts = [found.verdict for case, found in some if case.kind == kind]
        table.add_row(
            kind,
            str(len(verdicts)),
            *(str(verdicts.count(name)) for name in ("can't tell", "in sync", "off", "changes")),
        )
    return table


def calibration_table(some: Sequence[tuple[Case, SyncDecision]]) -> Table:
    """Confidence against truth."""
    table = Table(title="does the confidence mean what it says (planted offsets and other sound)")
    for name in ("confidence", "count", "mean", "near the truth"):
        table.add_column(name, justify="right")
    rows = [
        (found.curve.confidence, case.kind not in NEGATIVE and near(case, found))
        for case, found in some
        if found.curve and case.kind in ("short", "long", "other sound")
    ]
    for low, high in pairwise(BINS):
        mine = [(sure, hit) for sure, hit in rows if low <= sure < high or (high == 1 and sure == 1)]
        if mine:
            hits = proportion_of(np.array([hit for _, hit in mine]), np.arange(len(mine)))
            mean = np.mean([sure for sure, _ in mine])
            table.add_row(
                f"{low:.0%} to {high:.0%}", str(len(mine)), f"{mean:.1%}",
                f"{hits.value:.1%} ({hits.low:.0%} to {hits.high:.0%})",
            )  # fmt: skip
    return table


def main(run: Path, short: Path, long: Path, folder: Path, count: int) -> None:
    """Ask, choose on one half, report on the other."""
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    device = torch.device("cpu")
    config = ScoreConfig()
    scorer = Scorer(network=load_network(run, "best", device), run=run, config=config, device=device, folder=folder)
    every = list(cases(scorer, scenes_of(short), scenes_of(long), count))
    console = Console(width=120)
    chosen = [case for case in every if case.number % 2 == 0]
    for trust in TRUSTS:
        console.print(f"trust {trust}: surprise {surprise(chosen, replace(config, trust=trust)):.3f} on the first half")
    told = [(case, decide(case.evidence, config)[0]) for case in every if case.number % 2]
    for table in (error_table(told, config), negative_table(told), calibration_table(told)):
        console.print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("run", "scenes", "long", "folder"):
        parser.add_argument(name, type=Path, metavar=name.upper())
    parser.add_argument("cases", type=int, nargs="?", default=60, metavar="CASES", help="of each kind")
    given = parser.parse_args()
    main(given.run, given.scenes, given.long, given.folder, count=given.cases)

"""How well `avsync score` knows offsets, and how well it knows what it knows: scenes with planted offsets.

avsync scenes long --seconds 40 --count 40 --seed 7
python -m benchmarks.score RUN SCENES LONG FOLDER [CASES]

RUN was trained on SCENES (`avsync demo` makes both), whose test split is used. FOLDER keeps the network's answers, so
a second call adds nothing. Files are coded anew, cut so that neither stream is longer than the other: nothing but the
content tells the offset. The tables are about half of the scenes, read as the run says; the other half shows which
trust would have been best.

python -m benchmarks.score faces --speed VIDEO ...

How long VIDEOs take of their own length, once the network is there: with one thread, and with what the machine has.
"""

import csv
import time
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

from avsync.confidence.curve import Reading, Votes
from avsync.confidence.file_evidence import ScoreEvidence, blind_windows
from avsync.confidence.trust import reading_of
from avsync.localize.film import FilmWriter, Picture, read_pictures
from avsync.metrics import proportion_of
from avsync.run.network import load_network
from avsync.run.paths import run_of
from avsync.score.config import ScoreConfig
from avsync.score.decide import SyncDecision, decide
from avsync.score.score import Scorer
from benchmarks.base.table import Table, command
from sharding.base.files import publish
from sharding.base.text import interval, percent
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
    """One file, what is true of it, and what the network answered."""

    kind: str
    number: int
    planted_s: float
    evidence: ScoreEvidence


def plant(
    picture: Probe, wave: NDArray[np.int16], planted_s: float, path: Path, *, still: bool = False, fps: int = FPS
) -> None:
    """Write the picture of one scene with `wave`, (S, 1), `planted_s` late; neither reaches beyond the other."""
    skipped = ceil(max(0.0, planted_s) * fps)
    frames = [one.rgb for one in read_pictures(picture)]
    count = min(len(frames), int(len(wave) * fps / RATE)) - ceil(abs(planted_s) * fps)
    first = round((skipped / fps - planted_s) * RATE)
    height, width = frames[0].shape[:2]
    tick = 90_000 // fps
    with publish(path) as file, FilmWriter(file, height=height, width=width, rate=RATE, channels=1) as film:
        film.sound(wave[first : first + count * RATE // fps])
        for number in range(count):
            film.show(Picture(number * tick, tick, frames[skipped + (0 if still else number)]))


def sound_of(source: Probe) -> NDArray[np.int16]:
    """(S, 1)"""
    with closing(AudioTimeline(source, sample_rate=RATE, channels=1, first_sample=0)) as timeline:
        return timeline.read(0, int(source.audio.end * RATE)).audio


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


def make(kind: str, scenes: Sequence[Path], number: int, planted_s: float, path: Path) -> None:
    """Write the file of one case."""
    source = probe(scenes[number])
    wave = sound_of(source)
    rng = np.random.default_rng(number)
    changed = {
        "other sound": lambda: sound_of(probe(scenes[(number + 1) % len(scenes)])),
        "noise": lambda: rng.normal(0, 1000, wave.shape).astype(np.int16),
        "silence": lambda: np.zeros_like(wave),
    }
    plant(source, changed.get(kind, lambda: wave)(), planted_s, path, still=kind == "still")


def cases(scorer: Scorer, short: Sequence[Path], long: Sequence[Path], count: int) -> Iterator[Case]:
    """The evidence of each, kept in the scorer's folder."""
    for kind, number, offset in planted_cases(short, long, count):
        path = scorer.folder / f"{kind.replace(' ', '-')}-{number:03}.npz"
        if not path.exists():
            video = path.with_suffix(".mp4")
            make(kind, long if kind == "long" else short, number, offset, video)
            keep(path, scorer.ask(video)[1])
            video.unlink()
        yield Case(kind=kind, number=number, planted_s=offset, evidence=kept(path))


ARRAYS = ("starts", "offsets", "logit", "loudness_db", "motion", "peaks")


def keep(path: Path, evidence: ScoreEvidence) -> None:
    """Write it."""
    columns = {name: getattr(evidence, name) for name in ARRAYS}
    with publish(path) as file:
        np.savez(file, window=evidence.window, fps=str(evidence.clock.fps), **columns)


def kept(path: Path) -> ScoreEvidence:
    """Read it again."""
    with np.load(path) as data:
        clock = Clock(fps=Fraction(str(data["fps"])), sample_rate=RATE)
        return ScoreEvidence(clock=clock, window=int(data["window"]), **{name: data[name] for name in ARRAYS})


def surprise(some: Sequence[Case], reading: Reading) -> float:
    """Mean -log of the probability given to what is true; lower is better."""
    total = 0.0
    for case in some:
        curve = Votes.of(case.evidence, blind_windows(case.evidence), reading).curve()
        near = np.abs(curve.offsets_s - case.planted_s) <= curve.capture_s
        true = 1 - curve.probability.sum() if case.kind in NEGATIVE else curve.probability[near].sum()
        total -= float(np.log(max(true, 1e-6)))
    return total / len(some)


def near(case: Case, found: SyncDecision) -> bool:
    """The best offset is as near the true one as its confidence is about."""
    assert found.curve is not None
    return abs(found.curve.best_s - case.planted_s) <= found.curve.capture_s


def right(hits: Sequence[bool], digits: int = 0) -> str:
    """Of how many, with the interval."""
    found = proportion_of(np.array(hits), np.arange(len(hits)))
    return f"{percent(found.value, digits)} ({interval(found.low, found.high, digits)})"


def error_table(some: Sequence[tuple[Case, SyncDecision]], config: ScoreConfig) -> Table:
    """Of files with a planted offset."""
    columns = ("files", "count", "can't tell", "of the others: near", "median ms", "90 % ms", "in sync or not, right")
    table = Table("planted offsets -2 to +2 s, a third in sync", columns)
    for kind in ("short", "long"):
        mine = [(case, found) for case, found in some if case.kind == kind]
        decided = [(case, found) for case, found in mine if found.verdict != "can't tell"]
        if not decided:
            continue
        errors = [abs(found.curve.best_s - case.planted_s) * 1000 for case, found in decided if found.curve]
        middle, most = np.median(errors), np.percentile(errors, 90)
        sync = [in_tolerance(case, config) == (found.verdict == "in sync") for case, found in decided]
        hits, unsure = right([near(*one) for one in decided]), percent(1 - len(decided) / len(mine), 0)
        table.add(kind, len(mine), unsure, hits, f"{middle:.0f}", f"{most:.0f}", right(sync))
    return table


def in_tolerance(case: Case, config: ScoreConfig) -> bool:
    """By its planted offset."""
    return -config.early_ms <= case.planted_s * 1000 <= config.late_ms


def negative_table(some: Sequence[tuple[Case, SyncDecision]]) -> Table:
    """Of files whose sound tells nothing about their picture."""
    names = ("can't tell", "in sync", "off", "changes")
    table = Table("nothing to tell", ("files", "count", *names))
    for kind in NEGATIVE:
        verdicts = [found.verdict for case, found in some if case.kind == kind]
        table.add(kind, len(verdicts), *map(verdicts.count, names))
    return table


def calibration_table(some: Sequence[tuple[Case, SyncDecision]]) -> Table:
    """Confidence against truth."""
    title = "does the confidence mean what it says (planted offsets and other sound)"
    table = Table(title, ("confidence", "count", "mean", "near the truth"))
    rows = [
        (found.curve.confidence, case.kind not in NEGATIVE and near(case, found))
        for case, found in some
        if found.curve and case.kind in ("short", "long", "other sound")
    ]
    for low, high in pairwise(BINS):
        mine = [(sure, hit) for sure, hit in rows if low <= sure < high or (high == 1 and sure == 1)]
        if mine:
            mean = float(np.mean([sure for sure, _ in mine]))
            hits = right([hit for _, hit in mine], 1)
            table.add(interval(low, high, 0), len(mine), percent(mean), hits)
    return table


def speed_table(run: Path, videos: Sequence[Path]) -> Table:
    """Length over time, of a second call: the first one warms the disk's cache."""
    device, run = torch.device("cpu"), run_of(run)
    network = load_network(run, "best", device)
    reading = reading_of(run, network.step, None).reading
    table = Table(
        "length over time", ("video", "length s", "faces", "seconds", "of its length", "processor s", "of its length")
    )
    for video in videos:
        for crop in ("auto", "all"):  # a video without a face is asked about all of it, too
            config = ScoreConfig(crop=crop)
            scorer = Scorer(network=network, run=run, config=config, device=device, folder=Path(), reading=reading)
            scorer.ask(video)
            wall, processor = time.perf_counter(), time.process_time()
            answer, _ = scorer.ask(video)
            took, worked = time.perf_counter() - wall, time.process_time() - processor
            what = "all of the picture" if crop == "all" else max(len(answer.faces), bool(answer.windows))
            shares = (f"1/{answer.seconds / one:.1f}" for one in (took, worked))
            cells = zip((f"{took:.2f}", f"{worked:.2f}"), shares, strict=True)
            table.add(video.name, f"{answer.seconds:.1f}", what, *(cell for pair in cells for cell in pair))
    return table


def main(run: Path, short: Path, long: Path, folder: Path, count: int) -> None:
    """Ask, choose on one half, report on the other."""
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    device = torch.device("cpu")
    config = ScoreConfig()
    network = load_network(run, "best", device)
    trusted = reading_of(run, network.step, None)
    scorer = Scorer(network=network, run=run, config=config, device=device, folder=folder, reading=trusted.reading)
    every = list(cases(scorer, scenes_of(short), scenes_of(long), count))
    console = Console(width=120)
    chosen = [case for case in every if case.number % 2 == 0]
    console.print(trusted.words)
    for trust in TRUSTS:
        found = surprise(chosen, replace(trusted.reading, trust=trust))
        console.print(f"trust {trust}: surprise {found:.3f} on the first half")
    rest = [(case, decide(case.evidence, config, trusted.reading)[0]) for case in every if case.number % 2]
    for table in (error_table(rest, config), negative_table(rest), calibration_table(rest)):
        console.print(table.rich())


if __name__ == "__main__":
    parser = command("score", __doc__)
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--speed", type=Path, nargs="+", metavar="VIDEO", help="how long these take, and nothing else")
    for name in ("scenes", "long", "folder"):
        parser.add_argument(name, type=Path, nargs="?", metavar=name.upper())
    parser.add_argument("cases", type=int, nargs="?", default=60, metavar="CASES", help="of each kind")
    given = parser.parse_args()
    if given.speed:
        Console(width=120).print(speed_table(given.run, given.speed).rich())
        raise SystemExit
    if given.folder is None:
        parser.error("SCENES, LONG and FOLDER are needed, or --speed VIDEO ...")
    main(given.run, given.scenes, given.long, given.folder, count=given.cases)

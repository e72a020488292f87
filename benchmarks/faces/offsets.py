"""Does `avsync score` find how late the sound of a clip of a few seconds is? Clips of people it never saw, moved.

    python -m benchmarks.faces.offsets RUN CLIPS FOLDER [--split test] [--each 13] [--markdown FILE]

RUN: a run, or faces. CLIPS: a CSV as `pack` reads it (path, split, group) of mouth crops. Of each clip there is one as
it is and others whose sound is up to 0.8 s early or late, cut so that neither stream is longer than the other. FOLDER
keeps the files and the answers: a second call adds nothing.
"""

import csv
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from avsync.metrics import proportion_of
from avsync.run.paths import run_of
from avsync.score.config import ScoreConfig
from avsync.score.score_set import read_lines, score_set
from avsync.score.set_summary import SetLine
from benchmarks.base.table import Table, command, report, wide_console
from benchmarks.score import plant, sound_of
from sharding.base.text import interval, percent
from sharding.media.probe import probe

FPS = 25
FURTHEST_S, PICTURE_MS = 0.8, 40
OUTCOMES = ("right", "wrong and sure", "can't tell")


@dataclass(frozen=True, kw_only=True, slots=True)
class Planted:
    """One file, and how late its sound is."""

    path: Path
    group: str
    clip: str
    offset_s: float


def plant_all(clips: Path, split: str, folder: Path, each: int) -> Iterator[Planted]:
    """Write what is not there yet."""
    with clips.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    for number, row in enumerate(rows):
        rng = np.random.default_rng(number)
        source = probe(clips.parent / row["path"])
        for at in range(each):
            offset = float(rng.uniform(-FURTHEST_S, FURTHEST_S)) if at else 0.0
            name = f"{row['group']}-{Path(row['path']).stem}-{at:02}"
            path = folder / f"{name}.mp4"
            if not path.exists():
                plant(source, sound_of(source), offset, path, fps=FPS)
            yield Planted(path=path, group=row["group"], clip=row["path"], offset_s=offset)


def outcome(planted: Planted, line: SetLine) -> str:
    """One of OUTCOMES. A verdict is a sure one."""
    if line.verdict == "can't tell" or line.offset_ms is None:
        return "can't tell"
    return "right" if abs(line.offset_ms - 1000 * planted.offset_s) <= PICTURE_MS else "wrong and sure"


def table_of(planted: Sequence[Planted], outcomes: Sequence[str]) -> Table:
    """A row for each person; intervals are by clip."""
    table = Table(f"offsets within {PICTURE_MS} ms", ("person", "files", *OUTCOMES))
    for group in (*sorted({one.group for one in planted}), "all"):
        mine = [number for number, one in enumerate(planted) if group in (one.group, "all")]
        clips = sorted({planted[number].clip for number in mine})
        groups = np.array([clips.index(planted[number].clip) for number in mine])
        shares = (proportion_of(np.array([outcomes[at] == name for at in mine]), groups) for name in OUTCOMES)
        table.add(group, len(mine), *(f"{percent(one.value)} ({interval(one.low, one.high)})" for one in shares))
    return table


def main(options: Namespace) -> None:
    """Plant, score and count."""
    folder = options.folder.resolve()
    (folder / "files").mkdir(parents=True, exist_ok=True)
    planted = list(plant_all(options.clips, options.split, folder / "files", options.each))
    lines = folder / "lines.jsonl"
    score_set(run_of(options.run), [folder / "files"], ScoreConfig(crop="all"), lines)
    known = read_lines(lines)
    outcomes = [outcome(one, known[str(one.path)]) for one in planted]
    found = [
        asdict(one) | {"path": one.path.name, "outcome": what} for one, what in zip(planted, outcomes, strict=True)
    ]
    about = f"{options.run}, {len({one.clip for one in planted})} clips, split {options.split}"
    report([table_of(planted, outcomes)], about, wide_console(), options, found)


if __name__ == "__main__":
    parser = command("faces.offsets", __doc__, outputs=True)
    parser.add_argument("run", type=Path, help="a run, or faces")
    parser.add_argument("clips", type=Path, metavar="CLIPS")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--split", default="test")
    parser.add_argument("--each", type=int, default=13, help="files of each clip")
    main(parser.parse_args())

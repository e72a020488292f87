"""What `avsync curate` finds of planted truth.

    python -m benchmarks.curate RECORDINGS FOLDER [--network RUN] [--people s4 s31 s32] [--each 2] [--markdown FILE]
    python -m benchmarks.curate SCENES FOLDER --network RUN --alone --fps 15

RECORDINGS: a folder for each person, of clips that are joined to one of up to a minute; with --alone each video below
it stands for itself. FOLDER keeps the planted videos and the answers: a second call adds nothing. --whole: clips of
whole pictures, in folders of the same names, two of which are set side by side. What is chosen is chosen on some
people; the table that counts is of others.
"""

import json
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from zlib import crc32

import numpy as np

from avsync.curate.config import CurateConfig, CurateOptions
from avsync.curate.curate import curate
from avsync.curate.rows import AnsweredSource, rows_of
from benchmarks.base.table import Table, command, report, wide_console
from benchmarks.curate.judged import Second, judged, table_of
from benchmarks.curate.planted import PLANTS, Reel, Truth, reel_of, side_by_side, write
from sharding.base.files import publish
from sharding.sources.source import is_video

MOST_CLIPS = 20


def reels_of(folder: Path, people: list[str], fps: int, *, alone: bool) -> list[Reel]:
    """A reel for each person, or for each video."""
    if alone:
        videos = sorted(path for path in folder.rglob("*") if is_video(path.name))
        return [reel_of(path.stem, [path], fps) for path in videos]
    names = people or sorted(path.name for path in folder.iterdir() if path.is_dir())
    clips = {name: sorted(path for path in (folder / name).iterdir() if is_video(path.name)) for name in names}
    return [reel_of(name, some[:MOST_CLIPS], fps) for name, some in clips.items()]


def plant_all(reels: list[Reel], folder: Path, each: int, kinds: list[str]) -> None:
    """Write each kind of each reel, with its truth beside it; what is there stays."""
    for number, reel in enumerate(reels):
        other = reels[(number + 1) % len(reels)]
        for kind in kinds:
            for at in range(each):
                path = folder / "all" / f"{reel.name}-{kind.replace(' ', '-')}-{at}.mp4"
                if path.exists():
                    continue
                path.parent.mkdir(parents=True, exist_ok=True)
                rng = np.random.default_rng(crc32(path.stem.encode()))
                frames, wave, truth = (side_by_side if kind == "two faces" else PLANTS[kind])(reel, other, rng)
                with publish(path.with_suffix(".json")) as file:
                    file.write(json.dumps(asdict(truth)).encode())
                write(path, frames, wave, reel.fps)


def truth_of(video: Path) -> Truth:
    """As planted."""
    data = json.loads(video.with_suffix(".json").read_text())
    return Truth(**data | {"offsets": tuple(map(tuple, data["offsets"]))})


def judged_all(found: list[AnsweredSource]) -> list[Second]:
    """Every second of every video; of two faces each by itself."""
    seconds = list[Second]()
    for one in found:
        truth, rows = truth_of(one.source.path), rows_of(one)
        if truth.kind != "two faces":
            seconds += judged(one.source.rel, truth, rows)
            continue
        for path in one.answer.tracks:
            left = float(path.corner(path.knots[0].time)[0] + path.width / 2) < truth.middle
            seconds += judged(one.source.rel, truth.of_face(speaks=left), rows, path.track)
    return seconds


def main(options: Namespace) -> None:
    """Plant, curate and compare."""
    folder, kinds = options.folder.resolve(), [kind for kind in PLANTS if not options.only or kind in options.only]
    reels = reels_of(options.recordings, options.people, options.fps, alone=options.alone)
    plant_all(reels, folder, options.each, kinds)
    config = CurateConfig(network=options.network, crop="all", workers=options.workers)
    tables = list[Table]()
    seconds = judged_all(curate(folder / "all", folder / "all.csv", config, CurateOptions()))
    tables.append(table_of(seconds, "mouths cut out already, or scenes"))
    if options.whole:
        whole = reels_of(options.whole, options.people, options.fps, alone=False)
        plant_all(whole, folder / "whole", options.each, ["two faces"])
        config = CurateConfig(network=options.network, crop="faces", workers=options.workers)
        found = curate(folder / "whole" / "all", folder / "whole.csv", config, CurateOptions())
        tables.append(table_of(judged_all(found), "whole pictures"))
    about = f"network {options.network}, {options.each} of each kind and person"
    report(tables, about, wide_console(), options, [asdict(table) for table in tables])


if __name__ == "__main__":
    parser = command("curate", __doc__, outputs=True)
    parser.add_argument("recordings", type=Path, metavar="RECORDINGS")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--network", default="faces", help="a run, or faces")
    parser.add_argument("--people", nargs="+", default=[], help="some of the folders in RECORDINGS")
    parser.add_argument("--only", nargs="+", default=[], choices=list(PLANTS), help="some kinds")
    parser.add_argument("--each", type=int, default=1, help="videos of each kind and person")
    parser.add_argument("--fps", type=int, default=25, help="of the recordings")
    parser.add_argument("--alone", action="store_true", help="each video below RECORDINGS stands for itself")
    parser.add_argument("--whole", type=Path, help="clips of whole pictures, in folders of the same names")
    parser.add_argument("--workers", type=int, default=1)
    main(parser.parse_args())

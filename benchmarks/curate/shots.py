"""Are cuts found, as many as PySceneDetect finds? In pieces of real videos, joined by cuts and by dissolves.

    python -m benchmarks.curate.shots VIDEOS FOLDER [--pieces 80] [--markdown FILE]

Of the videos below VIDEOS, in an order that depends on their names alone, pieces of 2.5 s are taken from their middles.
What is found elsewhere is a video's own cut, or nothing: a number to compare, not an error. FOLDER keeps the videos and
PySceneDetect's environment.
"""

import json
import subprocess
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from zlib import crc32

import av
import numpy as np
from numpy.typing import NDArray

from benchmarks.base.runner import ROOT
from benchmarks.base.table import Table, command, report, wide_console
from benchmarks.curate.planted import RATE, write
from benchmarks.peers.install import PEERS, home
from sharding.errors import RejectError
from sharding.faces.shots import find_shots
from sharding.media.probe import probe
from sharding.media.video import VideoTimeline
from sharding.sources.source import is_video

FPS, WIDTH, HEIGHT = 30, 320, 240
PICTURES = 75
"""Of a piece."""
DISSOLVE = 15
"""Pictures in which one piece becomes the next."""
NEAR = {"cuts": 2, "dissolves": 12}
"""Pictures by which a place may be missed."""

Frames = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What one way finds of one video."""

    joined_by: str
    way: str
    places: int
    hits: int
    others: int
    cpu_s: float


def pieces_of(folder: Path, count: int) -> Iterator[Frames]:
    """(T, H, W, 3) each."""
    videos = sorted((one for one in folder.rglob("*") if is_video(one.name)), key=lambda one: crc32(one.name.encode()))
    for video in videos:
        if not count:
            return
        try:
            source = probe(video)
            first, end = (int(one * FPS) for one in source.stretches[0])
            if end - first < 2 * PICTURES:
                continue
            start = (first + end - PICTURES) // 2
            timeline = VideoTimeline(
                source, fps=Fraction(FPS), width=WIDTH, height=HEIGHT, fit="squash", first_slot=start
            )
            with closing(timeline) as pictures:
                yuv = pictures.read(start, PICTURES).yuv
        except RejectError:
            continue
        frames = [av.VideoFrame.from_ndarray(one, "yuv420p").to_ndarray(format="rgb24") for one in yuv]
        yield np.stack(frames).astype(np.uint8, copy=False)
        count -= 1


def joined(pieces: Sequence[Frames], dissolve: int) -> tuple[Frames, list[int]]:
    """One after the other, and where one becomes the next."""
    parts, places, at = [pieces[0]], list[int](), len(pieces[0])
    for piece in pieces[1:]:
        places.append(at - dissolve + dissolve // 2)
        if dissolve:
            weight = (np.arange(1, dissolve + 1) / (dissolve + 1))[:, None, None, None]
            parts[-1], last = parts[-1][:-dissolve], parts[-1][-dissolve:]
            parts.append((last * (1 - weight) + piece[:dissolve] * weight).astype(np.uint8))
        parts.append(piece[dissolve:])
        at += len(piece) - dissolve
    return np.concatenate(parts), places


def ours(video: Path) -> tuple[list[int], float]:
    """As `avsync curate` finds them, as pictures, and CPU seconds."""
    started = time.process_time()
    source = probe(video)
    shots = find_shots(source, source.stretches[0])
    middles = [(before[1] + after[0]) / 2 for before, after in pairwise(shots)]
    return [round(middle * FPS) for middle in middles], time.process_time() - started


def counted(joined_by: str, way: str, places: Sequence[int], cuts: Sequence[int], cpu_s: float) -> Found:
    """How many of the places are among the cuts."""
    near = NEAR[joined_by]
    hits = sum(any(abs(cut - place) <= near for cut in cuts) for place in places)
    others = sum(all(abs(cut - place) > near for place in places) for cut in cuts)
    return Found(joined_by=joined_by, way=way, places=len(places), hits=hits, others=others, cpu_s=cpu_s)


def main(options: Namespace) -> None:
    """Join, find, count."""
    console, folder = wide_console(), options.folder.resolve()
    peer = home(folder / "peers", PEERS["scenedetect"])
    if peer.trouble:
        console.print(f"left out: PySceneDetect does not install here: {peer.trouble}", markup=False)
    pieces = list(pieces_of(options.videos, options.pieces))
    found = list[Found]()
    for joined_by, dissolve in (("cuts", 0), ("dissolves", DISSOLVE)):
        video = folder / f"{joined_by}-{len(pieces)}.mp4"
        frames, places = joined(pieces, dissolve)
        if not video.exists():
            noise = np.random.default_rng(0).integers(-99, 99, len(frames) * RATE // FPS).astype(np.int16)
            write(video, frames, noise, FPS)
        ways: dict[str, tuple[list[int], float]] = {"avsync": ours(video)}
        if not peer.trouble:
            script = ROOT / "benchmarks" / "peers" / "scenedetect.py"
            done = subprocess.run([peer.python, str(script), str(video)], check=True, capture_output=True, text=True)
            ways |= json.loads(done.stdout)
        found += [counted(joined_by, way, places, cuts, cpu_s) for way, (cuts, cpu_s) in ways.items()]
    table = Table(f"pieces of {PICTURES / FPS:g} s", ("joined by", "way", "found", "elsewhere", "CPU s a minute"))
    minutes = len(pieces) * PICTURES / FPS / 60
    for one in found:
        table.add(one.joined_by, one.way, f"{one.hits} of {one.places}", one.others, f"{one.cpu_s / minutes:.1f}")
    report([table], f"{len(pieces)} videos", console, options, [asdict(one) for one in found])


if __name__ == "__main__":
    parser = command("curate.shots", __doc__, outputs=True)
    parser.add_argument("videos", type=Path, metavar="VIDEOS")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--pieces", type=int, default=80)
    main(parser.parse_args())

"""Does `avsync score --json` judge sets rightly? What is done to a set's sound must lower its score, more of it more.

python -m benchmarks.score_set RUN VIDEOS FOLDER [--crop all]

VIDEOS are in sync. Copies with their sound shifted, muted and swapped are written into FOLDER, in growing doses, and
scored; pictures keep their bytes. Exit code 1 when a dose does not lower what the one before it left: of the mean
probability of being in sync, the share known to be in sync, and DeSync (which must rise) none may get better, and one
must get worse.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from avsync.score.config import ScoreConfig
from avsync.score.score_set import score_set
from avsync.score.set_summary import SetSummary
from benchmarks.base.table import Table, command
from benchmarks.score import RATE, sound_of
from sharding.base.files import publish_folder
from sharding.media.probe import probe

Wave = NDArray[np.int16]
SHIFTS_MS = (0, 120, 240, 480, 960)
SHARES = (0.0, 0.25, 0.5, 1.0)
"""Of the files: those of a smaller dose are among those of a larger one."""
PIECE = 1600
"""Samples of a packet."""
SLACK = 0.005
"""By which a measure may fail to move: offsets of the material itself scatter."""


def shifted(waves: Sequence[Wave], milliseconds: float) -> list[Wave]:
    """All later by so much; what falls out at the end comes in at the beginning, so that no silence tells."""
    return [np.roll(wave, round(milliseconds * RATE / 1000), axis=0) for wave in waves]


def muted(waves: Sequence[Wave], share: float) -> list[Wave]:
    """The first ones silent."""
    return [wave if number >= share * len(waves) else np.zeros_like(wave) for number, wave in enumerate(waves)]


def swapped(waves: Sequence[Wave], share: float) -> list[Wave]:
    """The first ones with another's sound, repeated or cut to their length."""
    others = [np.resize(waves[(number + 1) % len(waves)], wave.shape) for number, wave in enumerate(waves)]
    return [wave if number >= share * len(waves) else others[number] for number, wave in enumerate(waves)]


DONE: dict[str, tuple[Callable[[Sequence[Wave], float], list[Wave]], Sequence[float]]] = {
    "shift": (shifted, SHIFTS_MS),
    "mute": (muted, SHARES),
    "swap": (swapped, SHARES),
}
"""What is done -> how, and its doses, the first one none."""


def remux(video: Path, wave: Wave, path: Path) -> None:
    """Write the pictures of `video`, as they are, with another sound, (S, 1)."""
    with av.open(str(video)) as source, av.open(str(path), "w") as copy:
        pictures = copy.add_stream_from_template(source.streams.video[0])
        sound = copy.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = pictures
                copy.mux(packet)
        for first in range(0, len(wave), PIECE):
            samples = np.ascontiguousarray(wave[first : first + PIECE].T)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.pts = RATE, first
            copy.mux(sound.encode(frame))
        copy.mux(sound.encode(None))


def make(videos: Sequence[Path], waves: Sequence[Wave], folder: Path) -> None:
    """A set, once."""
    if folder.exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with publish_folder(folder) as part:
        for video, wave in zip(videos, waves, strict=True):
            remux(video, wave, part / f"{video.stem}.mkv")


def measures(one: SetSummary) -> tuple[float, float, float]:
    """What must fall from dose to dose."""
    assert one.in_sync_probability is not None
    share, classes = one.in_sync["80 ms"], one.desync_s
    assert share is not None
    assert classes is not None
    return one.in_sync_probability.value, share.value, -classes.value


def lower(now: Sequence[float], before: Sequence[float]) -> bool:
    """No measure rises, one falls at least: where nothing is in sync any more, a larger shift tells by its class."""
    pairs = list(zip(now, before, strict=True))
    return all(one <= other + SLACK for one, other in pairs) and any(one < other - SLACK for one, other in pairs)


def main(run: Path, given: Path, folder: Path, config: ScoreConfig) -> int:
    """The exit code."""
    videos = sorted(path for path in given.iterdir() if path.suffix in (".mp4", ".mkv"))
    waves = [sound_of(probe(video)) for video in videos]
    table = Table(
        f"{len(videos)} files", ("done to their sound", "probability", "known at 80 ms", "can't tell", "DeSync s")
    )
    wrong = list[str]()
    for name, (change, doses) in DONE.items():
        before: tuple[float, ...] | None = None
        for dose in doses:
            place = folder / f"{name}-{dose:g}"
            make(videos, change(waves, dose), place)
            found = score_set(run, [place], config, folder / "lines.jsonl").a
            now = measures(found)
            assert found.cant_tell is not None
            table.add(
                f"{name} {dose:g}", f"{now[0]:.3f}", f"{now[1]:.2f}", f"{found.cant_tell.value:.2f}", f"{-now[2]:.2f}"
            )
            if before is not None and not lower(now, before):
                wrong.append(f"{name} {dose:g}")
            before = now
    table.note = (
        f"not lower than the dose before: {', '.join(wrong)}" if wrong else "each dose is lower than the one before"
    )
    Console(width=120).print(table.rich())
    return bool(wrong)


if __name__ == "__main__":
    parser = command("score_set", __doc__)
    for word in ("run", "videos", "folder"):
        parser.add_argument(word, type=Path, metavar=word.upper())
    parser.add_argument("--crop", choices=("auto", "faces", "all"), default="auto")
    asked = parser.parse_args()
    sys.exit(main(asked.run, asked.videos, asked.folder, ScoreConfig(crop=asked.crop)))

"""Where does the sound come from? A trained network's heat over a video's own pictures, with its own sound.

Two passes over the file: the network looks and listens in overlapping windows; then the pictures are drawn.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import chain
from math import floor
from pathlib import Path

import numpy as np
import torch
from av.error import PyAVCallbackError
from numpy.typing import NDArray
from rich.progress import Progress

from avsync.config import LocalizeConfig
from avsync.figures import HeatScale, Painter
from avsync.honesty.maps import MapScorer, MapScores, in_numbers, read_map
from avsync.localize.film import SOUND_STEP_S, TICK, FilmWriter, Picture, SourceSound, read_pictures
from avsync.localize.sheet import Envelope, Moments, Sheet, sheet_png
from avsync.localize.stitch import HeatTrack, Stitcher, window_starts
from avsync.localize.windows import as_input, form_of, frames_of, read_windows, seen_box
from avsync.models import REFINE
from avsync.run.network import LoadedNetwork, load_network, pick_device
from avsync.run.paths import (
    LocalizeRecord,
    RunPaths,
    full_name,
    localize_place,
    record_localized,
)
from sharding.base.console import open_console, passing_bar
from sharding.base.files import publish
from sharding.errors import InputError, RejectError, RejectReason
from sharding.format.clip import Box
from sharding.media.probe import Probe, probe

# What is said about a localised video: the title of its sheet, and what its reader should know.

LITTLE_SOUND = 0.9
"""A video with sound for less than this share of its pictures gets a remark."""


def title_of(video: Path, network: LoadedNetwork, in_sync: float, scores: MapScores) -> str:
    """Two lines."""
    name = video.name.encode("utf-8", "replace").decode()  # fonts know nothing of bytes that are no text
    first = f"{name}     in sync: {in_sync:.0%}     {network.config.model}, step {network.step:,}"
    return f"{first}\n{in_numbers(*scores)}"


def note_on(video: Path, source: Probe, shown: Fraction, need: Fraction) -> str:
    """What of the video the network could not see or hear; it has pictures for `shown` s and `need` s are a window."""
    seconds = float(shown)
    if shown < need:
        return (
            f"{video.name} has {seconds:.2f} s, the network looks at {float(need):.2f} s: "
            "its last picture and silence filled the rest, so trust the score less"
        )
    heard = float(min(source.audio.end, source.video.end) - max(source.audio.start, source.video.start))
    if heard < LITTLE_SOUND * seconds:
        return (
            f"{video.name} has sound for {heard:.1f} of {seconds:.1f} s: the rest is judged in silence, trust it less"
        )
    return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalizeResult:
    """What was written and found."""

    mp4: Path
    sheet: Path
    windows: int
    in_sync: float
    """Mean probability that sound and picture belong together."""
    scores: MapScores
    """Whether the map listens, and whether it points."""
    note: str
    """What a reader of the result should know; mostly empty."""


def localize(run: Path, video: Path, config: LocalizeConfig) -> LocalizeResult:
    """Draw `video`'s heat video and sheet with the network of `run`. Raises InputError, FormatError."""
    device = pick_device(config.device)
    paths = RunPaths(run)
    output = Path(config.output) if config.output else localize_place(paths, video)
    check_output(video, output)
    network = load_network(run, config.checkpoint, device)
    if refine := REFINE.get(network.config.model):
        refine(network.model)
    result = localize_with(network, video, output, config, device)
    if not config.output:
        record_localized(result.mp4, LocalizeRecord(
            video=full_name(video.resolve()), step=network.step, windows=result.windows, in_sync=result.in_sync,
            listened=result.scores.listened, spatial=result.scores.spatial,
        ))  # fmt: skip
    console = open_console()
    if result.note:
        console.print(result.note, style="yellow")
    console.print(f"In sync, says the network: {result.in_sync:.0%} (chance 50 %), {result.windows} windows")
    console.print(f"{in_numbers(*result.scores).capitalize()} ({read_map(*result.scores)})", soft_wrap=True)
    console.print(f"Open {result.mp4} and {result.sheet}", soft_wrap=True)
    return result


def localize_with(
    network: LoadedNetwork, video: Path, output: Path, config: LocalizeConfig, device: torch.device
) -> LocalizeResult:
    """The same with a network in memory, on `device`. Raises InputError."""
    check_output(video, output)
    with _naming(video), passing_bar() as progress:
        source = probe(video)
        look = _look(network, source, config.overlap, device, progress)
        in_sync = float(look.track.in_sync.mean())
        title = title_of(video, network, in_sync, look.scores)
        with _writing(output):
            output.parent.mkdir(parents=True, exist_ok=True)
            sheet = _draw(source, look, title, output, config.strength, progress)
            picture = output.with_suffix(".png")
            with publish(picture) as file:
                file.write(sheet_png(sheet))
    return LocalizeResult(
        mp4=output,
        sheet=picture,
        windows=look.windows,
        in_sync=in_sync,
        scores=look.scores,
        note=note_on(video, source, len(look.shown) / look.fps, network.spec.frames / look.fps),
    )


def check_output(video: Path, output: Path) -> None:
    """Raises InputError when `output` cannot be the mp4."""
    if output.is_dir():
        raise InputError(f"--output {output} is a folder; name the file in it: {output / (video.stem + '.mp4')}")
    if output.suffix != ".mp4":
        raise InputError(f"--output {output} must end in .mp4: that is what is written")
    if in_the_way := next((folder for folder in output.parents if folder.is_file()), None):
        raise InputError(f"--output {output} cannot be written: {in_the_way} is a file, not a folder")
    if output.resolve() == video.resolve():
        raise InputError(f"--output {output} is the video itself; choose another name")


@contextmanager
def _naming(video: Path) -> Iterator[None]:
    """Errors of decoding as errors of this command."""
    try:
        yield
    except RejectError as error:
        raise InputError(f"{video}: {error.detail}; avsync localize needs a video with picture and sound") from error


@contextmanager
def _writing(output: Path) -> Iterator[None]:
    """What the disk refuses, also through FFmpeg's hands, as an error of this command."""
    try:
        yield
    except (PyAVCallbackError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "writing failed"
        raise InputError(f"cannot write {output}: {reason}; make room, or choose another --output") from error


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Look:
    """What the network made of a video."""

    shown: range
    """Frames on the network's clock during which there is a picture."""
    fps: Fraction
    track: HeatTrack
    seen: Callable[[int, int], Box]
    """The part of the picture that the network saw."""
    windows: int
    scores: MapScores

    def heat_at(self, moment: Fraction) -> NDArray[np.float32]:
        """(h, w): the cells while the picture of `moment` stands."""
        frame = floor(moment * self.fps + Fraction(1, 2)) - self.shown.start
        return self.track.heat[min(max(0, frame), len(self.shown) - 1)]

    @property
    def seconds(self) -> NDArray[np.float64]:
        """When each frame appears."""
        return np.array(self.shown) / float(self.fps)


@torch.inference_mode()
def _look(network: LoadedNetwork, source: Probe, overlap: float, device: torch.device, progress: Progress) -> _Look:
    """Pass one: the network's heat and score, stitched."""
    clock, length = network.dataset.clock, network.spec.frames
    shown = frames_of(source, clock)
    starts = window_starts(len(shown), length, overlap)
    task = progress.add_task("looking and listening", total=len(starts))
    stitcher, scorer = Stitcher(len(shown), length), MapScorer(network.model)
    for window in read_windows(source, form_of(network), shown.start, starts, length):
        said = scorer.ask(as_input(window, source, network, device))
        stitcher.add(window.start, float(said.logit[0, 0]), said.cam[0, 0])
        progress.advance(task)
    return _Look(
        shown=shown, fps=clock.fps, track=stitcher.track(), seen=partial(seen_box, network), windows=len(starts),
        scores=scorer.mean(),
    )  # fmt: skip


def _draw(source: Probe, look: _Look, title: str, output: Path, strength: float, progress: Progress) -> Sheet:
    """Pass two: the pictures with their heat, and the sound, written as mp4; returns what the sheet shows."""
    task = progress.add_task("drawing", total=float(source.video.end))
    moments = Moments.over(float(source.video.start), float(source.video.end))
    with closing(SourceSound(source)) as sound, publish(output) as file:
        pictures = _painted(source, look, strength)
        first = next(pictures, None)
        if first is None:
            raise RejectError(RejectReason.CORRUPT, "none of its pictures decodes")
        height, width = first.rgb.shape[:2]
        envelope = Envelope(sound.rate)
        with FilmWriter(file, height=height, width=width, rate=sound.rate, channels=sound.channels) as film:
            for picture in chain((first,), pictures):
                now = picture.tick * TICK
                _pass_on(sound, now + SOUND_STEP_S, film, envelope)
                film.show(picture)
                moments.offer(float(now), picture.rgb)
                progress.update(task, completed=float(now))
            _pass_on(sound, source.audio.end, film, envelope)
    return Sheet(
        title=title,
        moments=moments.chosen(),
        envelope=envelope,
        score_seconds=look.seconds,
        score=look.track.in_sync,
        end_s=float(max(source.video.end, source.audio.end)),
    )


def _painted(source: Probe, look: _Look, strength: float) -> Iterator[Picture]:
    """The source's pictures with their heat."""
    painter: Painter | None = None
    scale = HeatScale.of(look.track.heat)
    for picture in read_pictures(source):
        if painter is None:
            height, width = picture.rgb.shape[:2]
            painter = Painter(height=height, width=width, seen=look.seen(width, height), strength=strength, scale=scale)
        yield replace(picture, rgb=painter.paint(picture.rgb, look.heat_at(picture.tick * TICK)))


def _pass_on(sound: SourceSound, moment: Fraction, film: FilmWriter, envelope: Envelope) -> None:
    samples = sound.until(moment)
    film.sound(samples)
    envelope.add(samples)

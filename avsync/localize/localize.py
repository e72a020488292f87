"""Where does the sound come from? A trained network's heat over a video's own pictures, with its own sound.

Two passes over the file: the network looks and listens in overlapping windows; then the pictures are drawn.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from math import floor
from pathlib import Path

import numpy as np
import torch
from av.error import PyAVCallbackError
from numpy.typing import NDArray

from avsync.config import SURE, LocalizeConfig
from avsync.figures import HeatScale, Painter
from avsync.honesty.maps import MapScorer, MapScores
from avsync.localize.film import SOUND_STEP_S, TICK, FilmWriter, Picture, SourceSound, read_pictures
from avsync.localize.sheet import Envelope, Moments, Sheet, sheet_png
from avsync.localize.stitch import HeatTrack, Stitcher, window_starts
from avsync.localize.watched import Watched, watched
from avsync.localize.windows import Cut, as_input, form_of, read_windows
from avsync.metrics import AS_IT_IS
from avsync.models import REFINE
from avsync.run.network import LoadedNetwork, load_network, pick_device
from avsync.run.paths import LocalizeRecord, RunPaths, full_name, localize_place, record_answer, run_of
from sharding.base.console import Bar, open_console
from sharding.base.files import check_output, publish, writing
from sharding.base.guarded import claim, make_folder
from sharding.base.text import counted, percent
from sharding.errors import InputError, RejectError, RejectReason
from sharding.format.clip import Box
from sharding.media.probe import Probe, probe

LITTLE_SOUND = 0.9
"""A video with sound for less than this part of its pictures gets a remark."""


def title_of(video: Path, network: LoadedNetwork, in_sync: float, scores: MapScores) -> str:
    """Of the sheet; two lines."""
    name = video.name.encode("utf-8", "replace").decode()  # fonts know nothing of bytes that are no text
    first = f"{name}     {verdict_words(in_sync)}     {network.config.model}, step {network.step:,}"
    return f"{first}\nthis map {scores}"


def verdict_words(in_sync: float) -> str:
    """What a mean probability says of a whole file: a verdict only from SURE on, either way."""
    if max(in_sync, 1 - in_sync) < SURE:
        return f"can't tell if in sync ({percent(in_sync, digits=0)} for it, {percent(SURE, digits=0)} needed)"
    word, sure = ("in sync", in_sync) if in_sync > 0.5 else ("not in sync", 1 - in_sync)
    return f"{word} ({percent(sure, digits=0)} sure)"


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
    faces: int
    """Tracks that the network looked at, each for itself; 0: at all of the picture."""
    note: str
    """What a reader of the result should know; mostly empty."""


def localize(run: Path, video: Path, config: LocalizeConfig) -> LocalizeResult:
    """Draw `video`'s heat video and sheet with the network of `run`. Raises InputError, FormatError."""
    run, device = run_of(run), pick_device(config.device)
    paths = RunPaths(run)
    if not config.output:
        claim(paths.answers)
    output = Path(config.output) if config.output else localize_place(paths, video)
    _check(video, output)
    network = load_network(run, config.checkpoint, device)
    if refine := REFINE.get(network.config.model):
        refine(network.model)
    result = localize_with(network, video, output, config, device)
    if not config.output:
        record = LocalizeRecord(
            video=full_name(video.resolve()),
            step=network.step,
            windows=result.windows,
            in_sync=result.in_sync,
            listened=result.scores.listened,
            spatial=result.scores.spatial,
        )
        record_answer(result.mp4, record)
    console = open_console()
    if result.note:
        console.print(result.note, style="yellow")
    windows = counted(result.windows, "window") + (f" of {counted(result.faces, 'face')}" if result.faces else "")
    console.print(f"The network's verdict by {windows}: {verdict_words(result.in_sync)}", soft_wrap=True)
    console.print(f"This map {result.scores} ({result.scores.meaning})", soft_wrap=True)
    console.print(f"Open {result.mp4} and {result.sheet}", soft_wrap=True)
    return result


def localize_with(
    network: LoadedNetwork, video: Path, output: Path, config: LocalizeConfig, device: torch.device
) -> LocalizeResult:
    """The same with a network in memory, on `device`. Raises InputError."""
    _check(video, output)
    with _naming(video, output):
        source = probe(video)
        look = _look(network, source, config, device)
        in_sync = float(np.concatenate([one.track.in_sync for one in look.parts]).mean())
        title = title_of(video, network, in_sync, look.scores)
        with writing(output, "--output"):
            make_folder(output.parent)
            sheet = _draw(source, look, title, output, config.strength)
            picture = output.with_suffix(".png")
            with publish(picture) as file:
                file.write(sheet_png(sheet))
    return LocalizeResult(
        mp4=output,
        sheet=picture,
        windows=look.windows,
        in_sync=in_sync,
        scores=look.scores,
        faces=len(look.parts) if look.parts[0].of.path else 0,
        note=note_on(video, source, look.longest, network.spec.frames / look.fps),
    )


def _check(video: Path, output: Path) -> None:
    check_output(output, "--output", (".mp4",), never={"the video": video}, make=True)


@contextmanager
def _naming(video: Path, output: Path) -> Iterator[None]:
    """Errors of decoding, and of writing through FFmpeg's hands, as errors of this command."""
    try:
        yield
    except RejectError as error:
        raise InputError(f"{video}: {error.detail}; avsync localize needs a video with picture and sound") from error
    except PyAVCallbackError as error:
        raise InputError(f"cannot write {output}; make room, or choose another --output") from error


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Part:
    """What the network made of one part of the picture."""

    of: Watched
    track: HeatTrack

    def heat_at(self, moment: Fraction, fps: Fraction) -> NDArray[np.float32]:
        """(h, w): the cells while the picture of `moment` stands."""
        frame = floor(moment * fps + Fraction(1, 2)) - self.of.frames.start
        return self.track.heat[min(max(0, frame), len(self.of.frames) - 1)]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Look:
    """What the network made of a video."""

    fps: Fraction
    parts: tuple[_Part, ...]
    windows: int
    scores: MapScores

    @property
    def longest(self) -> Fraction:
        """Seconds of the part that is there for longest."""
        return max(len(part.of.frames) for part in self.parts) / self.fps

    def curve(self) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """When each frame appears, and how sure the network is then; between two parts there is nothing to draw."""
        seconds, score = list[NDArray[np.float64]](), list[NDArray[np.float32]]()
        for part in sorted(self.parts, key=lambda part: part.of.frames.start):
            seconds += [np.array(part.of.frames) / float(self.fps), np.full(1, np.nan)]
            score += [part.track.in_sync, np.full(1, np.nan, np.float32)]
        return np.concatenate(seconds[:-1]), np.concatenate(score[:-1])


@torch.inference_mode()
def _look(network: LoadedNetwork, source: Probe, config: LocalizeConfig, device: torch.device) -> _Look:
    """Pass one: the network's heat and score, stitched, of each part that it looks at."""
    length, scorer, parts = network.spec.frames, MapScorer(network.model), list[_Part]()
    calibration = network.calibration or AS_IT_IS
    found = watched(source, network, config.crop)
    starts = [window_starts(len(one.frames), length, config.overlap) for one in found]
    with Bar("looking and listening", sum(map(len, starts)), unit="share", passing=True) as bar:
        for one, begins in zip(found, starts, strict=True):
            stitcher = Stitcher(len(one.frames), length, points=network.config.pointing > 0)
            cut = Cut(first=one.frames.start, starts=begins, where=one.where)
            for _, window in read_windows(source, form_of(network), [cut], length):
                output = scorer.ask(as_input(window.yuv, window.audio[None], source, network, device))
                stitcher.add(window.start, calibration.log_odds(float(output.logit[0, 0])), output.cam[0, 0])
                bar.advance()
            parts.append(_Part(of=one, track=stitcher.track()))
    return _Look(fps=network.dataset.clock.fps, parts=tuple(parts), windows=sum(map(len, starts)), scores=scorer.mean())


def _draw(source: Probe, look: _Look, title: str, output: Path, strength: float) -> Sheet:
    """Pass two: the pictures with their heat, and the sound, written as mp4; returns what the sheet shows."""
    moments = Moments.over(float(source.video.start), float(source.video.end))
    with closing(SourceSound(source)) as sound, publish(output) as file:
        pictures = _painted(source, look, strength)
        first = next(pictures, None)
        if first is None:
            raise RejectError(RejectReason.CORRUPT, "none of its pictures decodes")
        height, width = first.rgb.shape[:2]
        envelope = Envelope(sound.rate)
        with (
            Bar("drawing", float(source.video.end), unit="share", passing=True) as bar,
            FilmWriter(file, height=height, width=width, rate=sound.rate, channels=sound.channels) as film,
        ):
            for picture in chain((first,), pictures):
                now = picture.tick * TICK
                _pass_on(sound, now + SOUND_STEP_S, film, envelope)
                film.show(picture)
                moments.offer(float(now), picture.rgb)
                bar.update(float(now))
            _pass_on(sound, source.audio.end, film, envelope)
    seconds, score = look.curve()
    return Sheet(
        title=title,
        moments=moments.chosen(),
        envelope=envelope,
        score_seconds=seconds,
        score=score,
        end_s=float(max(source.video.end, source.audio.end)),
    )


def _painted(source: Probe, look: _Look, strength: float) -> Iterator[Picture]:
    """The source's pictures, each with the heat of the parts that are there, where these lie."""
    scale = HeatScale.of(np.concatenate([part.track.heat for part in look.parts]))
    painters = dict[int, tuple[Box, Painter]]()
    for picture in read_pictures(source):
        moment, rgb = picture.tick * TICK, picture.rgb
        height, width = rgb.shape[:2]
        for number, part in enumerate(look.parts):
            if not part.of.has(moment):
                continue
            seen = part.of.seen(moment, width, height)
            if number not in painters or painters[number][0] != seen:
                painter = Painter(height=height, width=width, seen=seen, strength=strength, scale=scale)
                painters[number] = seen, painter
            rgb = painters[number][1].paint(rgb, part.heat_at(moment, look.fps))
        yield replace(picture, rgb=rgb)


def _pass_on(sound: SourceSound, moment: Fraction, film: FilmWriter, envelope: Envelope) -> None:
    samples = sound.until(moment)
    film.sound(samples)
    envelope.add(samples)

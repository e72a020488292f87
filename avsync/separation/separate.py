"""A video with the sound of what is seen only, one with the rest, and a picture of both.

One pass over the file, whatever its length: masks are drawn window by window at the rate the network was trained at,
and used on the file's own sound, at its own rate, every channel of it (up to two). What is taken for the picture's and
what is left sum to the original, sample by sample; sound while there is no picture is left.
"""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from av.error import PyAVCallbackError

from avsync.data.mixtures import AUDIBLE, LEVEL
from avsync.localize.film import TICK, FilmWriter, Picture, SourceSound, read_pictures
from avsync.localize.stitch import Stitcher, window_starts
from avsync.localize.watched import watched
from avsync.localize.windows import Cut, Window, as_input, form_of, read_windows
from avsync.models.spectrum import Spectrum
from avsync.run.network import pick_device
from avsync.run.paths import RunPaths, SeparateRecord, full_name, record_answer, separate_place
from avsync.separation.before_after import BeforeAfter, Heat
from avsync.separation.config import OFF, ON, SHEET, SeparateOptions
from avsync.separation.fade import CrossFade, Samples, mask_at
from avsync.separation.loaded import LoadedSeparator, load_separator
from sharding.base.console import Bar, open_console
from sharding.base.files import check_output, publish, writing
from sharding.base.guarded import claim, make_folder
from sharding.base.text import percent
from sharding.errors import InputError, RejectError, RejectReason
from sharding.media.probe import Probe, probe

MIXED = LEVEL * 2**0.5
"""Root mean square of the mixtures that a network was trained with, about; a window is made as loud for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Separated:
    """What was written and found."""

    on: Path
    off: Path
    sheet: Path
    share: float
    """Of the sound's power, that which was taken for the picture's."""


def separate(run: Path, video: Path, options: SeparateOptions) -> Separated:
    """Write both films and the picture. Raises InputError, FormatError."""
    paths, device = RunPaths(run), pick_device(options.device)
    if not options.output:
        claim(paths.answers)
    output = Path(options.output) if options.output else separate_place(paths, video)
    check_output(output, "--output", (".mp4",), never={"the video": video}, make=True)
    names = [output.with_name(output.stem + ending) for ending in (ON, OFF, SHEET)]
    loaded = load_separator(run, options.checkpoint, device)
    with _naming(video, output), writing(output, "--output"):
        make_folder(output.parent)
        share = _take_apart(loaded, probe(video), options, device, names)
    result = Separated(on=names[0], off=names[1], sheet=names[2], share=share)
    if not options.output:
        record_answer(output, SeparateRecord(video=full_name(video.resolve()), step=loaded.step, share=share))
    console = open_console()
    console.print(f"{percent(share)} of the sound's power was taken for what is seen", soft_wrap=True)
    console.print(f"Open {result.on}, {result.off} and {result.sheet}", soft_wrap=True)
    return result


@contextmanager
def _naming(video: Path, output: Path) -> Iterator[None]:
    """Errors of decoding, and of writing through FFmpeg's hands, as errors of this command."""
    try:
        yield
    except RejectError as error:
        raise InputError(f"{video}: {error.detail}; avsync separate needs a video with picture and sound") from error
    except PyAVCallbackError as error:
        raise InputError(f"cannot write {output}; make room, or choose another --output") from error


class _Films:
    """The two films, written side by side: pictures and sound up to a moment, then on to the next."""

    def __init__(self, source: Probe, sound: SourceSound, names: list[Path], held: ExitStack) -> None:
        self._pictures = read_pictures(source)
        first = next(self._pictures, None)
        if first is None:
            raise RejectError(RejectReason.CORRUPT, "none of its pictures decodes")
        self._next: Picture | None = first
        height, width = first.rgb.shape[:2]
        self._films = [
            held.enter_context(
                FilmWriter(
                    held.enter_context(publish(name)),
                    height=height,
                    width=width,
                    rate=sound.rate,
                    channels=sound.channels,
                )
            )
            for name in names
        ]

    def add(self, on: Samples, off: Samples) -> None:
        """The next sound of both."""
        for film, samples in zip(self._films, (on, off), strict=True):
            film.sound(np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16))

    def show_until(self, moment: Fraction | None, before_after: BeforeAfter) -> None:
        """All pictures before that moment; None: all that are left."""
        while self._next and (moment is None or self._next.tick * TICK < moment):
            for film in self._films:
                film.show(self._next)
            before_after.offer(float(self._next.tick * TICK), self._next.rgb)
            self._next = next(self._pictures, None)


def _take_apart(
    loaded: LoadedSeparator, source: Probe, options: SeparateOptions, device: torch.device, names: list[Path]
) -> float:
    """Write what `names` are of; returns the share of the power that was taken."""
    part = max(watched(source, loaded, "auto"), key=lambda one: len(one.frames))
    length, fps = loaded.spec.frames, loaded.dataset.clock.fps
    starts = window_starts(len(part.frames), length, options.overlap)
    stitcher = Stitcher(len(part.frames), length) if loaded.network.features else None
    end = float(max(source.video.end, source.audio.end))
    with closing(SourceSound(source)) as sound, ExitStack() as held:
        films = _Films(source, sound, names[:2], held)
        before_after = BeforeAfter(end, sound.rate, float(source.video.start), float(source.video.end))
        track = _Track(sound, films, before_after)
        bar = held.enter_context(Bar("taking apart", len(starts), unit="share", passing=True))
        cut = Cut(first=part.frames.start, starts=starts, where=part.where)
        for _, window in read_windows(source, form_of(loaded), [cut], length):
            begin = Fraction(part.frames.start + window.start) / fps
            mask = _ask(loaded, window, source, device, stitcher)
            track.add(begin, begin + length / fps, mask, loaded)
            bar.advance()
        track.finish(source.audio.end)
    with publish(names[2]) as file:
        file.write(before_after.png(Heat(part, stitcher.track().heat) if stitcher else None))
    return before_after.share


@torch.inference_mode()
def _ask(
    loaded: LoadedSeparator, window: Window, source: Probe, device: torch.device, stitcher: Stitcher | None
) -> torch.Tensor:
    """(F, n) of a window; nothing is taken from silence."""
    given = as_input(window.yuv, window.audio[None], source, loaded, device)
    sound = given.sounds[:, 0]
    loudness = float(sound.square().mean().sqrt())
    sound = sound * (MIXED / max(loudness, AUDIBLE))
    if stitcher and loaded.network.features:
        answer = loaded.network.features(given.frames, sound.unsqueeze(1))
        stitcher.add(window.start, float(answer.logit[0, 0]), answer.cam[0, 0])
    mask = loaded.network(given.frames, sound)[0]
    return mask if loudness >= AUDIBLE else torch.zeros_like(mask)


class _Track:
    """The file's own sound, taken apart as masks come."""

    def __init__(self, sound: SourceSound, films: _Films, before_after: BeforeAfter) -> None:
        self._sound, self._films, self._before_after = sound, films, before_after
        self._rate, self._spectrum = sound.rate, Spectrum.of(sound.rate)
        self._fade = CrossFade(sound.channels)
        self._at, self._heard = 0, np.empty((0, sound.channels), np.float32)

    def add(self, begin: Fraction, end: Fraction, mask: torch.Tensor, loaded: LoadedSeparator) -> None:
        """The mask of the window from moment `begin` to `end`."""
        first, stop = (round(moment * self._rate) for moment in (begin, end))
        window = self._between(first, stop)
        found = self._spectrum.of_sound(torch.from_numpy(window.T.copy()).unsqueeze(0))
        rate = loaded.dataset.clock.sample_rate
        here = mask_at(mask.cpu(), loaded.network.spectrum, rate, self._spectrum, self._rate, found.shape[-1])
        taken = self._spectrum.to_sound(found * here, stop - first)[0].T.contiguous().numpy()
        self._write(self._fade.add(first, taken), first)
        self._films.show_until(begin, self._before_after)

    def finish(self, end: Fraction) -> None:
        """The last window's sound, and what is heard after the last picture."""
        self._write(self._fade.rest(), round(end * self._rate))
        self._films.show_until(None, self._before_after)

    def _between(self, first: int, stop: int) -> Samples:
        """(S, C) from sample `first` on, with silence behind the end."""
        self._read(stop)
        window = self._heard[first - self._at :][: stop - first]
        return np.pad(window, ((0, stop - first - len(window)), (0, 0))).astype(np.float32)

    def _read(self, stop: int) -> None:
        more = self._sound.until(Fraction(stop, self._rate)).astype(np.float32) / np.float32(32768)
        self._heard = np.concatenate((self._heard, more))

    def _write(self, taken: Samples, stop: int) -> None:
        """Up to sample `stop`; where nothing was taken, as before the first picture, all is left."""
        self._read(stop)
        own = self._heard[: max(0, stop - self._at)]
        on = np.zeros_like(own)
        on[: len(taken)] = taken[: len(own)]
        self._films.add(on, own - on)
        self._before_after.hear(self._at, own, on)
        self._heard, self._at = self._heard[len(own) :], self._at + len(own)

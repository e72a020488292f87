"""`avsync faces VIDEOS TABLE`: the faces of many videos as a table of boxes that a person can edit, and pack by.

It finds what `avsync pack --crop faces` would cut by, and keeps no clip.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sharding.base.console import Bar, open_console
from sharding.base.files import check_output, publish, writing
from sharding.base.text import counted, plain
from sharding.base.workers import Died, Done, Report, Workers, limit_cpu
from sharding.config import PackConfig
from sharding.containers.choice import StreamWish
from sharding.containers.container import decoding
from sharding.errors import InputError, RejectError, RejectReason
from sharding.faces.mtcnn import check_installed
from sharding.faces.steady import find_faces
from sharding.format.crop import BoxPath, Size
from sharding.media.probe import Probe, probe
from sharding.media.video import VideoTimeline
from sharding.pack.cut import tracks_of, wanted_of
from sharding.pack.schedule import Prepare, fault_of
from sharding.show.contact_sheet import INK, MARGIN, PALE, PAPER, font, rgb_of
from sharding.sources.crops import write_boxes
from sharding.sources.find import find_sources
from sharding.sources.source import Source

MOMENTS, SIDE = 6, 96
"""Pictures of a track on the sheet, and pixels of their sides."""
ROW, ACROSS = SIDE + 34, 2
"""Pixels from one row of the sheet to the next, and tracks in a row."""
MOST_ROWS, MOST_TRACKS = 30, 200
"""Of the table on the screen, and on the sheet."""
REFRESH_S = 0.5
SHEET_FPS = Fraction(30)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FaceLook:
    """What looking at one video has found."""

    tracks: tuple[BoxPath, ...] = ()
    pictures: tuple[NDArray[np.uint8], ...] = ()
    """Of each track MOMENTS side by side, (SIDE, MOMENTS * SIDE, 3) RGB; none where no sheet is wanted."""
    reject: RejectError | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Look:
    """A task of a worker."""

    source: Source
    config: PackConfig
    draws: bool

    def run(self, report: Report) -> FaceLook:
        def alive() -> None:
            limit_cpu(self.config.limit_s)
            report(0, 1)

        try:
            alive()
            if self.source.absent:
                raise RejectError(RejectReason.UNREADABLE, self.source.absent)
            wish = StreamWish(video=self.source.video_stream, audio=self.source.audio_stream)
            found = probe(self.source.path, wish)
            stretches = [one for one in wanted_of(self.source, found) if one != found.missing]
            tracks, size = tracks_of(self.source, found, stretches, self.config, partial(find_faces, report=alive))
            pictures = tuple(_moments(found, one, size) for one in tracks) if self.draws else ()
            return FaceLook(tracks=tracks, pictures=pictures)
        except RejectError as reject:
            return FaceLook(reject=reject)
        finally:
            limit_cpu(0)


def _moments(found: Probe, path: BoxPath, size: Size) -> NDArray[np.uint8]:
    """(SIDE, MOMENTS * SIDE, 3) RGB."""
    start, stop = path.knots[0].time, path.knots[-1].time
    slots = [int((start + (2 * at + 1) * (stop - start) / (2 * MOMENTS)) * SHEET_FPS) for at in range(MOMENTS)]
    where, cells = partial(path.region, picture=size), list[NDArray[np.uint8]]()
    with (
        decoding(),
        closing(VideoTimeline(found, fps=SHEET_FPS, width=SIDE, height=SIDE, fit="pad", first_slot=slots[0])) as video,
    ):
        for slot in slots:
            cells.append(rgb_of(video.read(slot, 1, where).yuv[0], found.matrix))
    return np.concatenate(cells, axis=1)


def find_all(
    videos: Path,
    table: Path,
    config: PackConfig,
    *,
    root: Path | None = None,
    sheet: Path | None = None,
    console: Console | None = None,
) -> int:
    """Write the faces of all `videos` to `table`, and some of them on `sheet`. Returns how many tracks there are.

    Raises InputError: wrong input, or none of the videos shows a face.
    """
    check_installed("avsync faces")
    never = {"VIDEOS": videos} if videos.is_file() else {}
    check_output(table, "TABLE", (".csv",), never=never)
    if sheet is not None:
        check_output(sheet, "--sheet", (".png",), never=never)
    sources = find_sources(videos, root).sources
    looks = _look_at(sources, config, draws=sheet is not None, console=console or open_console(stderr=True))
    seen = [(source, look) for source, look in zip(sources, looks, strict=True) if look.tracks]
    out = console or open_console()
    _print(list(zip(sources, looks, strict=True)), out)
    if not seen:
        raise InputError(f"none of {counted(len(sources), 'video')} shows a face: no table was written")
    with writing(table, "TABLE"):
        write_boxes(table, ((source.rel, look.tracks) for source, look in seen))
    if sheet is not None:
        with writing(sheet, "--sheet"), publish(sheet) as file:
            file.write(_sheet(seen))
    return sum(len(look.tracks) for _, look in seen)


def _look_at(sources: Sequence[Source], config: PackConfig, *, draws: bool, console: Console) -> list[FaceLook]:
    numbers = {source.id: number for number, source in enumerate(sources)}
    waiting, looks = iter(sources), dict[int, FaceLook]()
    more = next(waiting, None)
    with (
        Bar("looking for faces", len(sources), unit="count", console=console, always_ends=True) as bar,
        Workers[_Look](config.processes, Prepare(memory=config.memory)) as workers,
    ):
        while more is not None or workers.busy:
            while more is not None and workers.room:
                workers.give(_Look(source=more, config=config, draws=draws))
                more = next(waiting, None)
            for event in workers.news(REFRESH_S):
                if isinstance(event, Done):
                    looks[numbers[event.task.source.id]] = event.result
                elif isinstance(event, Died):
                    fault = fault_of(event.code, config) or "its process was killed"
                    reject = RejectError(RejectReason.CORRUPT, fault)
                    looks[numbers[event.task.source.id]] = FaceLook(reject=reject)
                else:
                    continue
                bar.advance()
    return [looks[number] for number in range(len(sources))]


def _print(looked: Sequence[tuple[Source, FaceLook]], console: Console) -> None:
    """A line for each video, those with most tracks first; then those without."""
    table = Table("video", title_justify="left")
    for column in ("tracks", "at once", "seconds", "box"):
        table.add_column(column, justify="right")
    seen = sorted((one for one in looked if one[1].tracks), key=lambda one: (-len(one[1].tracks), one[0].rel))
    for source, look in seen[:MOST_ROWS]:
        table.add_row(Text(plain(source.rel)), *_cells(look.tracks))
    if len(seen) > MOST_ROWS:
        table.add_row(f"and {len(seen) - MOST_ROWS:,} more", "", "", "", "")
    tracks = sum(len(look.tracks) for _, look in seen)
    console.print(f"{counted(tracks, 'track')} in {len(seen):,} of {counted(len(looked), 'video')}", soft_wrap=True)
    if seen:
        console.print(table)
    for source, look in [one for one in looked if one[1].reject][:MOST_ROWS]:
        console.print(Text(f"none in {plain(source.rel)}: {look.reject}"), soft_wrap=True)


def _cells(tracks: Sequence[BoxPath]) -> tuple[str, ...]:
    seconds = sum(float(one.knots[-1].time - one.knots[0].time) for one in tracks)
    sides = [float(one.width) for one in tracks]
    box = f"{min(sides):.0f}" if len(sides) == 1 else f"{min(sides):.0f} to {max(sides):.0f}"
    return str(len(tracks)), str(max(one.faces for one in tracks)), f"{seconds:.1f}", box


def _sheet(seen: Sequence[tuple[Source, FaceLook]]) -> bytes:
    """Tracks, each with its moments in a row; a PNG file's bytes."""
    rows = list(_strips(seen))
    chosen = [rows[at * len(rows) // min(len(rows), MOST_TRACKS)] for at in range(min(len(rows), MOST_TRACKS))]
    width = ACROSS * (MOMENTS * SIDE + MARGIN) + MARGIN
    page = Image.new("RGB", (width, 2 * MARGIN + 24 + -(-len(chosen) // ACROSS) * ROW), PAPER)
    draw = ImageDraw.Draw(page)
    shown = "" if len(chosen) == len(rows) else f"{len(chosen)} of "
    draw.text((MARGIN, MARGIN - 8), f"{shown}{counted(len(rows), 'track')}", INK, font(18, "-Bold"))
    for number, (title, picture) in enumerate(chosen):
        left = MARGIN + number % ACROSS * (MOMENTS * SIDE + MARGIN)
        top = MARGIN + 24 + number // ACROSS * ROW
        draw.text((left, top), title, PALE, font(12))
        page.paste(Image.fromarray(picture), (left, top + 18))
    sink = io.BytesIO()
    page.save(sink, "PNG")
    return sink.getvalue()


def _strips(seen: Sequence[tuple[Source, FaceLook]]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    for source, look in seen:
        for track, picture in zip(look.tracks, look.pictures, strict=True):
            start, stop = (float(knot.time) for knot in (track.knots[0], track.knots[-1]))
            name = plain(source.rel)[-48:]
            yield f"{name}  track {track.track}, {start:.1f} to {stop:.1f} s, {float(track.width):.0f} px", picture

"""What curating has found as one HTML page, by curate.html.j2: offsets, hours by verdict, and rows to look at."""

import io
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from avsync.curate.config import CurateConfig
from avsync.curate.report import hours_by_verdict, reasons
from avsync.curate.rows import AnsweredSource, rows_of
from avsync.curate.source_answer import AnswerFolder
from avsync.figures import ACCENT, INK, PALE, bare
from sharding.base.pages import image, render, svg
from sharding.base.text import counted, duration, percent, plain
from sharding.containers.choice import StreamWish
from sharding.containers.container import decoding
from sharding.errors import RejectError
from sharding.media.probe import probe
from sharding.media.video import VideoTimeline, upright_size
from sharding.sources.curated import CuratedRow
from sharding.sources.source import Source

TEMPLATE = Path(__file__).with_name("curate.html.j2")
MOMENTS, SIDE = 6, 96
"""Pictures of a row, and pixels of their sides."""
SHOWN = 8
"""Rows of each kind that are drawn."""
FPS = Fraction(30)
BIN_MS = 40


@dataclass(frozen=True, kw_only=True, slots=True)
class _Drawn:
    """A row that may be drawn."""

    source: Source
    row: CuratedRow

    @property
    def seconds(self) -> float:
        return 0.0 if self.row.end_s is None else float(self.row.end_s - self.row.start_s)

    def caption(self) -> str:
        """`talk.mp4, 1.0 to 9.3 s, track 2: sound 120 ms late`"""
        row = self.row
        track = f", track {row.track}" if row.track is not None else ""
        where = f"{plain(row.path)}, {float(row.start_s):.1f} to {float(row.end_s or 0):.1f} s{track}"
        if not row.verdict.keeps:
            return f"{where}: {row.verdict}, {row.reason}"
        late = float(row.offset_ms or 0)
        how = f"moved by {-late:+.0f} ms" if late else "as it is"
        return f"{where}: {how}, {percent(row.confidence or 0.0, 0)} sure"


def page(found: Sequence[AnsweredSource], folder: AnswerFolder, table: Path, config: CurateConfig) -> str:
    """The whole page; pictures of the rows that are shown are read from their videos."""
    every = [drawn for one in found for drawn in _drawable(one)]
    kept = sorted((one for one in every if one.row.verdict.keeps), key=lambda one: -(one.row.confidence or 0.0))
    sections = (
        ("Kept, the surest", kept[:SHOWN]),
        ("Kept, the least sure", kept[SHOWN:][-SHOWN:]),
        ("Left out, the longest of each reason", _left_out(every)),
    )
    by_verdict = hours_by_verdict(found)
    total = sum(seconds for _, seconds in by_verdict.values()) or 1.0
    return render(
        TEMPLATE,
        name=table.name,
        about=f"{counted(len(found), 'source')}, network {config.network}",
        verdicts=[
            (str(verdict), f"{rows:,}", duration(seconds), round(100 * seconds / total))
            for verdict, (rows, seconds) in by_verdict.items()
        ],
        chart=image(svg(_histogram(kept)), "svg+xml", "histogram of the offsets of what is kept") if kept else "",
        reasons=[(str(verdict), why, f"{rows:,}", duration(seconds)) for verdict, why, rows, seconds in reasons(found)],
        sections=[(title, [(one.caption(), _strip(one, folder)) for one in some]) for title, some in sections if some],
        unread=[(one.source.rel, one.answer.reject, one.answer.detail) for one in found if one.answer.reject],
        ink=INK,
        accent=ACCENT,
    )


def _drawable(one: AnsweredSource) -> Iterator[_Drawn]:
    return (_Drawn(source=one.source, row=row) for row in rows_of(one))


def _left_out(every: Sequence[_Drawn]) -> list[_Drawn]:
    longest = dict[str, _Drawn]()
    for one in sorted((one for one in every if not one.row.verdict.keeps), key=lambda one: -one.seconds):
        longest.setdefault(one.row.reason, one)
    return list(longest.values())[:SHOWN]


def _histogram(kept: Sequence[_Drawn]) -> Figure:
    """Hours of what is kept by the offset of its sound."""
    offsets = np.array([float(one.row.offset_ms or 0) for one in kept])
    reach = max(5 * BIN_MS, BIN_MS * (np.abs(offsets).max() // BIN_MS + 1))
    figure = Figure(figsize=(9, 2.6), layout="constrained")
    axes = figure.add_subplot()
    weights = np.array([one.seconds for one in kept]) / 60
    edges = np.arange(-reach - BIN_MS / 2, reach + BIN_MS, BIN_MS).tolist()
    axes.hist(offsets, edges, weights=weights, color=INK)
    axes.axvline(0, color=PALE, linewidth=0.8)
    axes.set_xlabel("ms that the sound was late", fontsize=9, color=INK)
    axes.set_ylabel("minutes", fontsize=9, color=INK)
    bare(axes)
    return figure


def _strip(one: _Drawn, folder: AnswerFolder) -> Markup | str:
    """MOMENTS of a row side by side; nothing where its file can no longer be read."""
    with suppress(RejectError, MemoryError, OSError):
        sink = io.BytesIO()
        Image.fromarray(np.concatenate(list(_moments(one, folder)), axis=1)).save(sink, "JPEG", quality=80)
        return image(sink.getvalue(), "jpeg", one.caption())
    return ""


def _moments(one: _Drawn, folder: AnswerFolder) -> Iterator[NDArray[np.uint8]]:
    """(SIDE, SIDE, 3) RGB each."""
    source = one.source
    if source.absent:
        raise OSError(source.absent)
    found = probe(source.path, StreamWish(video=source.video_stream, audio=source.audio_stream))
    start, end = one.row.start_s, found.video.end if one.row.end_s is None else one.row.end_s
    slots = [int((start + (2 * at + 1) * (end - start) / (2 * MOMENTS)) * FPS) for at in range(MOMENTS)]
    size = upright_size(found)
    path = next((path for path in folder.tracks(source) if path.track == one.row.track), None)
    where = None if path is None or size is None else partial(path.region, picture=size)
    timeline = VideoTimeline(found, fps=FPS, width=SIDE, height=SIDE, fit="pad", first_slot=slots[0])
    with decoding(), closing(timeline) as video:
        for slot in slots:
            yuv = video.read(slot, 1, where).yuv[0]
            rgb: Any = av.VideoFrame.from_ndarray(yuv, format="yuv420p").to_ndarray(format="rgb24")
            yield rgb

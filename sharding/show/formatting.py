"""How the figures of a dataset are written, the same on the terminal and on the page."""

from collections import Counter
from fractions import Fraction
from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sharding.base.text import counted, duration, first_few, percent
from sharding.format.index import DatasetInfo
from sharding.format.records import Certainty, Reject
from sharding.show.av_clock import AvClock, Doubtful, Totals, dropped_share, repeated_share, silence_s, still_s
from sharding.show.survey import SplitFacts, Survey

STEPS_S = tuple(map(Fraction, ("0.1", "0.25", "0.5", "1", "2", "5", "10", "30", "60", "300", "600", "1800", "3600")))
MOST_BINS = 8


def offset(seconds: float) -> str:
    """`+21 ms` where the sound starts late, `-1.25 s` where it starts first."""
    if abs(seconds) < 0.0005:
        return "0"
    return f"{seconds:+.2f} s" if abs(seconds) >= 1 else f"{seconds * 1000:+.0f} ms"


def fraction(value: float) -> str:
    """`0`, `<0.1 %`, `12.3 %`."""
    if value <= 0:
        return "0"
    return percent(value) if value >= 0.001 else "<0.1 %"


def form(info: DatasetInfo) -> str:
    """`h264, 112x112, 30 fps, 44,100 Hz mono, squash`."""
    sound = "mono" if info.channels == 1 else "stereo"
    clock = info.clock
    return f"{info.codec}, {info.width}x{info.height}, {clock.fps} fps, {clock.sample_rate:,} Hz {sound}, {info.fit}"


SETTINGS = 30
"""More than avsync pack has."""


def settings(info: DatasetInfo) -> str:
    """Those of `avsync pack` beyond the form; what was left to its default of nothing is left out."""
    form = {"codec", "fps", "size", "width", "height", "sample_rate", "channels", "fit"}
    others = (pair for pair in sorted(info.settings.items()) if pair[0] not in form and pair[1] is not None)
    return first_few([f"{name} {value}" for name, value in others], SETTINGS)


SPLIT_COLUMNS = ("split", "sources", "clips", "length", "actions", "groups", "shards")


def split_cells(one: SplitFacts) -> tuple[str, ...]:
    """By SPLIT_COLUMNS."""
    last = (f"{count:,}" for count in (one.actions, one.groups, one.shards))
    return (one.split, f"{one.sources:,}", f"{one.clips:,}", duration(one.seconds), *last)


def split_line(one: SplitFacts) -> str:
    """The same in words: `train: sources 3, clips 7, ...`."""
    split, *cells = split_cells(one)
    named = zip(SPLIT_COLUMNS[1:], cells, strict=True)
    return f"{split}: {', '.join(f'{column} {cell}' for column, cell in named)}"


class LengthBin(NamedTuple):
    """Clips of `low` to below `high` seconds (the last bin: up to it); equal where all clips are of one length."""

    low: Fraction
    high: Fraction
    clips: int

    @property
    def label(self) -> str:
        low, high = f"{float(self.low):.4g}", f"{float(self.high):.4g} s"
        return high if self.low == self.high else f"{low} - {high}"


def length_bins(lengths: NDArray[np.int32], fps: Fraction) -> list[LengthBin]:
    """Clips by their `lengths` in frames: about MOST_BINS bins whose edges are round numbers of seconds."""
    if not len(lengths):
        return []
    frames = lengths.astype(np.int64)
    low, high = int(frames.min()) / fps, int(frames.max()) / fps
    if low == high:
        return [LengthBin(low, high, len(frames))]
    step = next((step for step in STEPS_S if (high - low) / step <= MOST_BINS), (high - low) / MOST_BINS)
    first, last = int(low / step), ceil(high / step) - 1
    bin_frames = step * fps
    at = np.minimum(frames * bin_frames.denominator // bin_frames.numerator, last) - first
    counts = np.bincount(at, minlength=last - first + 1).tolist()
    return [LengthBin((first + n) * step, (first + n + 1) * step, count) for n, count in enumerate(counts)]


def actions_by_clips(survey: Survey) -> list[tuple[str, int]]:
    """Every action with its clips, the largest first."""
    pairs = zip(survey.info.actions, survey.action_clips.tolist(), strict=False)
    return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))


def balance(actions: list[tuple[str, int]]) -> str:
    """How unequal the actions are, in one line."""
    if not actions:
        return "no action"
    counts = [count for _, count in actions]
    line = f"{counted(len(actions), 'action')}, median {np.median(counts):,.0f} clips"
    return line if len(actions) == 1 else f"{line}, spread {counts[0] / max(1, counts[-1]):,.3g} : 1"


class Reason(NamedTuple):
    """Why sources were rejected."""

    reason: str
    sources: int
    example: Reject


def reject_reasons(survey: Survey) -> list[Reason]:
    """The most frequent first, each with its first source."""
    examples: dict[str, Reject] = {}
    for reject in survey.rejects:
        examples.setdefault(reject.reason, reject)
    counts = Counter(reject.reason for reject in survey.rejects)
    return [Reason(reason, count, examples[reason]) for reason, count in counts.most_common()]


def totals(sums: Totals) -> list[tuple[str, str]]:
    """(what, how much) of all clips together."""
    mended = counted(sums.clocks.mended, "source")
    moved = f"{counted(sums.moved_sources, 'source')}, by up to {sums.most_moved_ms:,.0f} ms"
    return [
        *[("sound moved by a curated table", moved)] * bool(sums.moved_sources),
        ("clocks mended", f"{mended}: {sums.clocks.how}" if sums.clocks.how else mended),
        ("stray times", f"{sums.clocks.strays:,} in {counted(sums.clocks.doubtful, 'source')}"),
        ("filled with silence", f"{duration(sums.silence_s)} in {counted(sums.silent_sources, 'source')}"),
        ("sound left out where it overlapped", duration(sums.dropped_s)),
        ("audio breaks", f"{sums.audio_breaks:,} in {counted(sums.broken_sources, 'source')}"),
        ("pictures that are repeats", fraction(sums.repeated_share)),
        ("source pictures left out, per picture kept", fraction(sums.dropped_share)),
        ("packets the decoder refused", f"{sums.decode_errors:,}"),
        ("clips lost to damage", f"{sums.lost_clips:,}"),
    ]


UNTROUBLED = "No source had any trouble to speak of"
WORST_COLUMNS = (
    "score",
    "mostly",
    "clock",
    "offset",
    "silence",
    "breaks",
    "repeated",
    "dropped",
    "still",
    "errors",
    "lost",
)


class WorstTable(NamedTuple):
    """Doubtful sources as texts; a column in which nothing stands is left out."""

    columns: tuple[str, ...]
    """Of WORST_COLUMNS."""
    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """A cell is empty where there is nothing to say."""
    remarks: tuple[str, ...]
    """Damage that was found, and what was mended of the clock."""


def worst_table(survey: Survey, worst: tuple[Doubtful, ...]) -> WorstTable:
    """One line for each of `worst`."""
    sources, clock = survey.sources, survey.info.clock
    rows = [one.row for one in worst]
    clocks = [sources.clock(row) for row in rows]
    columns = (
        [f"{one.score:.0f}" for one in worst],
        [one.mostly for one in worst],
        ["" if one.certainty is Certainty.SURE else str(one.certainty) for one in clocks],
        [offset(value) for value in sources.offset_s[rows]],
        [f"{value:.2f} s" for value in silence_s(sources, clock)[rows]],
        [f"{value:,}" for value in sources.audio_breaks[rows]],
        [fraction(value) for value in repeated_share(sources)[rows]],
        [fraction(value) for value in dropped_share(sources)[rows]],
        [f"{value:.2f} s" for value in still_s(sources, clock)[rows]],
        [f"{value:,}" for value in sources.decode_errors[rows]],
        [f"{value:,}" for value in sources.lost_clips[rows]],
    )
    others = [["" if cell in ("0", "0.00 s") else cell for cell in column] for column in columns[1:]]
    kept = [(name, column) for name, column in zip(WORST_COLUMNS, (columns[0], *others), strict=True) if any(column)]
    return WorstTable(
        columns=tuple(name for name, _ in kept),
        names=tuple(sources.name[row] for row in rows),
        rows=tuple(zip(*(column for _, column in kept), strict=True)),
        remarks=tuple(
            "; ".join(filter(None, (sources.damage[row], str(one)))) for row, one in zip(rows, clocks, strict=True)
        ),
    )


STREAM_COLUMNS = ("source", "streams")


def chosen_title(clock: AvClock) -> str:
    """`which streams were used, of 12 sources with a choice`."""
    few = f", the first {len(clock.chosen)}" if len(clock.chosen) < clock.choices else ""
    return f"which streams were used, of {counted(clock.choices, 'source')} with a choice{few}"


def chosen_cells(survey: Survey, clock: AvClock) -> list[tuple[str, str]]:
    """By STREAM_COLUMNS."""
    return [(survey.sources.name[row], survey.sources.streams[row]) for row in clock.chosen]

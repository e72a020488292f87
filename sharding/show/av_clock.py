"""The A/V clock of a dataset: offsets, gaps and repairs of its sources as histograms and totals, worst sources first.

Packing has already put all of this right, or counted what it could not. What stands here says which
sources to distrust.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from sharding.format.clip import Clock
from sharding.format.records import ClockSums, SourceClock, SourceRecord

Counts = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sources:
    """One row per source record of the side files, in the order of splits and shards.

    As columns: a collection has a million sources, and every figure about them is then one line of NumPy. Frames and
    samples are those of the clips.
    """

    name: list[str]
    action: list[str]
    damage: list[str]
    """What was found at the first lost clip; empty when none is lost."""
    streams: list[str]
    """Which were chosen among which; empty when there was no choice."""
    split: NDArray[np.int8]
    """Position in SPLITS."""
    clips: Counts
    frames: Counts
    lost_clips: Counts
    offset_s: NDArray[np.float64]
    """First audio timestamp minus first video timestamp, seconds."""
    frames_repeated: Counts
    frames_dropped: Counts
    longest_still: Counts
    silence_samples: Counts
    samples_dropped: Counts
    audio_breaks: Counts
    decode_errors: Counts
    restarts: Counts
    edits: Counts
    changes: Counts
    strays: Counts
    moved_ms: NDArray[np.float64]
    """By how much its sound was moved earlier; 0 where both are as the source has them."""

    def __len__(self) -> int:
        return len(self.name)

    def clock(self, row: int) -> SourceClock:
        """What was mended of the clock of one source."""
        return SourceClock(
            restarts=int(self.restarts[row]),
            edits=int(self.edits[row]),
            changes=int(self.changes[row]),
            strays=int(self.strays[row]),
            streams=self.streams[row],
        )

    @property
    def mended(self) -> NDArray[np.int64]:
        """Rows of the sources whose clock is not sure."""
        return np.flatnonzero(self.restarts + self.edits + self.changes + self.strays)

    @classmethod
    def gather(cls, records: Sequence[SourceRecord], split: int) -> Self:
        """The columns of some records of one split."""

        def count(field: str) -> Counts:
            return np.fromiter(map(attrgetter(field), records), np.int64, len(records))

        return cls(
            name=[record.source for record in records],
            action=[sys.intern(record.action) for record in records],
            damage=[record.damage for record in records],
            streams=[record.clock.streams for record in records],
            split=np.full(len(records), split, np.int8),
            clips=count("clips"),
            frames=count("frames"),
            lost_clips=count("lost_clips"),
            offset_s=np.fromiter((record.stream_offset_s for record in records), np.float64, len(records)),
            frames_repeated=count("repairs.frames_repeated"),
            frames_dropped=count("repairs.frames_dropped"),
            longest_still=count("repairs.longest_still"),
            silence_samples=count("repairs.silence_samples"),
            samples_dropped=count("repairs.samples_dropped"),
            audio_breaks=count("repairs.audio_breaks"),
            decode_errors=count("repairs.decode_errors"),
            restarts=count("clock.restarts"),
            edits=count("clock.edits"),
            changes=count("clock.changes"),
            strays=count("clock.strays"),
            moved_ms=np.fromiter((_moved_ms(record) for record in records), np.float64, len(records)),
        )

    @classmethod
    def join(cls, tables: Sequence[Self]) -> Self:
        """Several tables as one; of none, an empty one."""
        tables = tables or [cls.gather([], 0)]
        columns: dict[str, Any] = {}
        for name in cls.__dataclass_fields__:
            each = [getattr(table, name) for table in tables]
            columns[name] = [text for one in each for text in one] if name in _TEXTS else np.concatenate(each)
        return cls(**columns)


def _moved_ms(record: SourceRecord) -> float:
    return float(record.moved_sound.offset_ms) if record.moved_sound else 0.0


_TEXTS = ("name", "action", "damage", "streams")


Column = NDArray[np.float64]
SECONDS = (0.01, 0.1, 1.0, 10.0)
STILLS = (0.1, 0.2, 0.5, 1.0)
FRACTIONS = (0.01, 0.1, 0.25, 0.6)
OFFSETS = (0.001, 0.01, 0.04, 0.1, 0.5, 1.0)
OFFSET_LABELS = ("under 1 ms", "1 - 10 ms", "10 - 40 ms", "40 - 100 ms", "0.1 - 0.5 s", "0.5 - 1 s", "1 s and more")
"""Within 40 ms hardly anybody notices; the first bin, containers count in milliseconds, has no sign."""


class Histogram(NamedTuple):
    """How many sources fall into each bin."""

    title: str
    labels: tuple[str, ...]
    counts: tuple[int, ...]


class OffsetHistogram(NamedTuple):
    """Sources by OFFSET_LABELS, by which stream starts first."""

    together: int
    """In the first bin."""
    sound_first: tuple[int, ...]
    """In each of the other bins."""
    sound_late: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Totals:
    """Of all clips together."""

    sources: int
    frames: int
    silence_s: float
    """Seconds of sound that were filled with silence."""
    silent_sources: int
    dropped_s: float
    """Seconds of sound left out because the timeline overlapped itself."""
    audio_breaks: int
    broken_sources: int
    repeated_share: float
    """Pictures that repeat an earlier one, of all pictures."""
    dropped_share: float
    """Source pictures left out, per picture kept."""
    decode_errors: int
    lost_clips: int
    clocks: ClockSums
    moved_sources: int
    """Whose sound was moved by a curated table."""
    most_moved_ms: float


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that makes a source doubtful: how it is measured, and what it weighs."""

    name: str
    weight: float
    """Points for the worst; all weights together are 100."""
    half: float
    """The measure that gets half of the points."""
    measure: Callable[[Sources, Clock], Column]

    def points(self, sources: Sources, clock: Clock) -> Column:
        """0 for nothing, towards `weight` for the worst; no single number can drown the others."""
        value = self.measure(sources, clock)
        return self.weight * value / (value + self.half)


class Doubtful(NamedTuple):
    """A source with trouble."""

    row: int
    """In Sources."""
    score: float
    """0 to 100."""
    mostly: str
    """The trouble that gave the most points."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AvClock:
    """Histograms, totals and the worst."""

    offsets: OffsetHistogram
    silence: Histogram
    repeated: Histogram
    stills: Histogram
    totals: Totals
    worst: tuple[Doubtful, ...] | None
    """None where none were asked for."""
    choices: int
    """Sources with more than one stream to choose from."""
    chosen: tuple[int, ...]
    """Rows of the first of them, in Sources; as many as the worst."""


def audio_s(sources: Sources, clock: Clock) -> Column:
    """Seconds of sound in each source's clips."""
    return np.maximum(sources.frames, 1) / float(clock.fps)


def silence_s(sources: Sources, clock: Clock) -> Column:
    """Seconds of silence that packing filled in."""
    return sources.silence_samples / clock.sample_rate


def still_s(sources: Sources, clock: Clock) -> Column:
    """How long the longest still picture stays longer than it should."""
    return np.maximum(sources.longest_still - 1, 0) / float(clock.fps)


def repeated_share(sources: Sources) -> Column:
    """Pictures that repeat an earlier one, of all pictures."""
    return sources.frames_repeated / np.maximum(sources.frames, 1)


def dropped_share(sources: Sources) -> Column:
    """Source pictures left out, per picture kept."""
    return sources.frames_dropped / np.maximum(sources.frames, 1)


def doubt(sources: Sources) -> Column:
    """0 where a clock is sure, up to 1 where it was mended, from 4 on where it is doubtful."""
    mends = sources.restarts + sources.edits + sources.changes
    strays = sources.strays.astype(np.float64)
    return mends / (mends + 1) + np.where(strays > 0, 4 + 8 * strays / np.maximum(sources.frames + strays, 1), 0)


TROUBLES = (
    Trouble("lost clips", 25, 0.1, lambda s, _: s.lost_clips / np.maximum(s.lost_clips + s.clips, 1)),
    Trouble("clock", 20, 1.0, lambda s, _: doubt(s)),
    Trouble("decode errors", 15, 0.01, lambda s, _: s.decode_errors / np.maximum(s.frames, 1)),
    Trouble("silence", 10, 0.05, lambda s, clock: silence_s(s, clock) / audio_s(s, clock)),
    Trouble("offset", 10, 0.5, lambda s, _: np.abs(s.offset_s)),
    Trouble("audio breaks", 10, 0.1, lambda s, clock: s.audio_breaks / audio_s(s, clock)),
    Trouble("still picture", 10, 1.0, still_s),
)


def read_clock(sources: Sources, clock: Clock, worst: int) -> AvClock:
    """The figures, and the `worst` most doubtful sources; as many of those whose streams were chosen."""
    choices = [row for row, streams in enumerate(sources.streams) if streams]
    fraction_labels = ("none", "under 1 %", "1 - 10 %", "10 - 25 %", "25 - 60 %", "60 % and more")
    silence_labels = ("none", "under 10 ms", "10 - 100 ms", "0.1 - 1 s", "1 - 10 s", "10 s and more")
    still_labels = ("none", "under 0.1 s", "0.1 - 0.2 s", "0.2 - 0.5 s", "0.5 - 1 s", "1 s and more")
    return AvClock(
        offsets=offset_histogram(sources.offset_s),
        silence=_histogram("gaps filled with silence", silence_s(sources, clock), SECONDS, silence_labels),
        repeated=_histogram("pictures that are repeats", repeated_share(sources), FRACTIONS, fraction_labels),
        stills=_histogram("longest still picture", still_s(sources, clock), STILLS, still_labels),
        totals=_totals(sources, clock),
        worst=worst_first(sources, clock, worst) if worst else None,
        choices=len(choices),
        chosen=tuple(choices[:worst]),
    )


def offset_histogram(offset_s: Column) -> OffsetHistogram:
    """Every source is counted once."""
    bins = np.searchsorted(OFFSETS, np.abs(offset_s), side="right")

    def count(mine: NDArray[np.bool_]) -> tuple[int, ...]:
        return tuple(np.bincount(bins[mine], minlength=len(OFFSET_LABELS))[1:].tolist())

    late = offset_s > 0
    return OffsetHistogram(together=int((bins == 0).sum()), sound_first=count(~late), sound_late=count(late))


def _histogram(title: str, values: Column, edges: Sequence[float], labels: tuple[str, ...]) -> Histogram:
    """The first bin is exactly 0; then below each edge, and the last is what is left."""
    bins = np.where(values > 0, 1 + np.searchsorted(edges, values, side="right"), 0)
    return Histogram(title, labels, tuple(np.bincount(bins, minlength=len(labels)).tolist()))


def _totals(sources: Sources, clock: Clock) -> Totals:
    frames = int(sources.frames.sum())
    return Totals(
        sources=len(sources),
        frames=frames,
        silence_s=int(sources.silence_samples.sum()) / clock.sample_rate,
        silent_sources=int(np.count_nonzero(sources.silence_samples)),
        dropped_s=int(sources.samples_dropped.sum()) / clock.sample_rate,
        audio_breaks=int(sources.audio_breaks.sum()),
        broken_sources=int(np.count_nonzero(sources.audio_breaks)),
        repeated_share=int(sources.frames_repeated.sum()) / max(1, frames),
        dropped_share=int(sources.frames_dropped.sum()) / max(1, frames),
        decode_errors=int(sources.decode_errors.sum()),
        lost_clips=int(sources.lost_clips.sum()),
        clocks=ClockSums.of(sources.clock(row) for row in sources.mended.tolist()),
        moved_sources=int(np.count_nonzero(sources.moved_ms)),
        most_moved_ms=float(np.abs(sources.moved_ms).max(initial=0)),
    )


def worst_first(sources: Sources, clock: Clock, most: int) -> tuple[Doubtful, ...]:
    """At most `most` sources with a score above 0, as it is shown; by score, equal ones in their order."""
    score, mostly = scores(sources, clock)
    order = np.argsort(-score, kind="stable")[:most]
    shown = order[np.rint(score[order]) > 0]
    return tuple(Doubtful(int(row), float(score[row]), TROUBLES[mostly[row]].name) for row in shown)


def scores(sources: Sources, clock: Clock) -> tuple[Column, Counts]:
    """Of each source its points, 0 to 100, and which of TROUBLES gave the most."""
    points = np.stack([trouble.points(sources, clock) for trouble in TROUBLES])
    return points.sum(axis=0), points.argmax(axis=0) if len(sources) else np.empty(0, np.int64)

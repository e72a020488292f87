"""The dataset's record of its sources as a CSV: a row for each, how sure its clock is, and all that was mended of it.

Sources whose clock is doubtful come first, then those whose clock was mended, then the others; among equal ones those
with the most trouble, by the score of the screen.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sharding.base.csv_table import write_records
from sharding.format.index import SPLITS
from sharding.format.records import Certainty
from sharding.show.av_clock import TROUBLES, scores
from sharding.show.survey import Survey

WORST_FIRST = tuple(Certainty)


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceRow:
    """One source; the columns in their order. Frames and samples are those of its clips."""

    source: str
    """Path as given, relative to the input folder."""
    split: str
    action: str
    clips: int
    frames: int
    lost_clips: int
    damage: str
    stream_offset_s: float
    """First sound heard minus first picture seen, seconds."""
    certainty: str
    """Of its clock: doubtful, mended or sure."""
    restarts: int
    edits: int
    changes: int
    strays: int
    streams: str
    """Which were chosen among which; empty when there was no choice."""
    frames_repeated: int
    frames_dropped: int
    longest_still: int
    silence_samples: int
    samples_dropped: int
    audio_breaks: int
    decode_errors: int
    score: float
    """0 to 100, as on the screen."""
    mostly: str
    """The trouble that gave the most points; empty when there is none."""
    moved_ms: float
    """By how much its sound was moved earlier, by a curated table; 0 where it was not."""


def write_sources(path: Path, survey: Survey) -> None:
    """Write all sources of a dataset to `path`. Raises OSError."""
    write_records(path, SourceRow, source_rows(survey))


def source_rows(survey: Survey) -> Iterator[SourceRow]:
    """One for each source, worst first."""
    sources = survey.sources
    score, mostly = scores(sources, survey.info.clock)
    sureness = np.full(len(sources), WORST_FIRST.index(Certainty.SURE))
    for row in sources.mended.tolist():
        sureness[row] = WORST_FIRST.index(sources.clock(row).certainty)
    for row in np.lexsort((-score, sureness)).tolist():
        clock = sources.clock(row)
        yield SourceRow(
            source=sources.name[row],
            split=SPLITS[sources.split[row]],
            action=sources.action[row],
            clips=int(sources.clips[row]),
            frames=int(sources.frames[row]),
            lost_clips=int(sources.lost_clips[row]),
            damage=sources.damage[row],
            stream_offset_s=float(sources.offset_s[row]),
            certainty=str(clock.certainty),
            restarts=clock.restarts,
            edits=clock.edits,
            changes=clock.changes,
            strays=clock.strays,
            streams=clock.streams,
            frames_repeated=int(sources.frames_repeated[row]),
            frames_dropped=int(sources.frames_dropped[row]),
            longest_still=int(sources.longest_still[row]),
            silence_samples=int(sources.silence_samples[row]),
            samples_dropped=int(sources.samples_dropped[row]),
            audio_breaks=int(sources.audio_breaks[row]),
            decode_errors=int(sources.decode_errors[row]),
            score=round(float(score[row]), 1),
            mostly=TROUBLES[mostly[row]].name if score[row] > 0 else "",
            moved_ms=float(sources.moved_ms[row]),
        )

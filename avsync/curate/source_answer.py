"""What was found of one source, kept as it is done: a json each, so that a call that was stopped goes on.

In the folder of answers beside the table: ID.json, and the lock of who works there. An answer is of the same file,
asked in the same way, or it is made anew.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

from avsync.curate.verdict import VerdictName
from sharding.base.files import LARGEST_SIDE_FILE, read_json, to_json, write_json
from sharding.errors import FormatError, InputError, RejectReason
from sharding.format.crop import BoxPath
from sharding.sources.source import Source

AGAIN = (RejectReason.UNREADABLE,)
"""Of a disk that was away, perhaps: such files are looked at again by the next call."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AnsweredPiece:
    """A row of the table, and what else the verdict may rest on."""

    start_s: Fraction
    end_s: Fraction
    verdict: VerdictName
    reason: str = ""
    track: int | None = None
    offset_ms: float | None = None
    low_ms: float | None = None
    high_ms: float | None = None
    found_ms: float | None = None
    """What was measured, also where nothing is to be moved."""
    confidence: float = 0.0
    drift_ms_min: float | None = None
    windows: int = 0
    """That were judged."""
    strange: float = 0.0
    """As of Judged."""

    @property
    def seconds(self) -> float:
        return float(self.end_s - self.start_s)


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceAnswer:
    """ID.json"""

    LARGEST_FILE: ClassVar[int] = LARGEST_SIDE_FILE

    asked: str
    """Digest of what was asked, and of which file."""
    pieces: tuple[AnsweredPiece, ...] = ()
    tracks: tuple[BoxPath, ...] = ()
    reject: str = ""
    """RejectReason, where it could not be looked at ..."""
    detail: str = ""
    """... and why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerFolder:
    """Where answers are kept."""

    path: Path
    asked: Mapping[str, str | int | float | None]
    """Settings and network that answers depend on."""

    @property
    def about(self) -> str:
        """Digest of what all sources are asked."""
        return hashlib.sha256(to_json(dict(self.asked))).hexdigest()

    def digest(self, source: Source) -> str:
        """Of the question about a source: it is another one when the file has changed."""
        try:
            status = source.path.stat()
            about = f"{status.st_size} {status.st_mtime_ns}"
        except OSError:
            about = "none"
        streams = f"{source.video_stream} {source.audio_stream}"
        if source.piece[1] > 1:
            streams += f", {source.piece[0]} of {source.piece[1]}"
        text = b"\0".join((to_json(dict(self.asked)), about.encode(), str(source.span).encode(), streams.encode()))
        return hashlib.sha256(text).hexdigest()

    def file(self, source: Source) -> Path:
        return self.path / f"{source.id}.json"

    def read(self, source: Source) -> SourceAnswer | None:
        """None: it is to be asked, for the first time or anew."""
        answer = self.last(source)
        return answer if answer and answer.asked == self.digest(source) and answer.reject not in AGAIN else None

    def without_tracks(self, source: Source) -> SourceAnswer | None:
        """The same, to be kept of many sources."""
        answer = self.read(source)
        return answer and replace(answer, tracks=())

    def tracks(self, source: Source) -> tuple[BoxPath, ...]:
        """What is left out there."""
        answer = self.last(source)
        return answer.tracks if answer else ()

    def last(self, source: Source) -> SourceAnswer | None:
        """What the last call made of it, even if it is to be asked again."""
        try:
            return read_json(self.file(source), SourceAnswer)
        except (FormatError, InputError):
            return None

    def write(self, source: Source, answer: SourceAnswer) -> None:
        """Whole or not at all. Raises OSError."""
        write_json(self.file(source), answer)

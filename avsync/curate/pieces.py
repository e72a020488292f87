"""A file's pieces: each a stretch of one face, or of all of the picture, that fits one line of the sound, or none.

A face that is there while somebody else speaks does not fit; nor does one under a voice-over. Where a face's windows
stop to fit, or to fail, it is cut (Viterbi over the two), as it is where the line changes. Pure.

n windows of a track.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import groupby, pairwise
from math import ceil

import numpy as np
from numpy.typing import NDArray

from avsync.confidence.curve import SWITCH, Votes
from avsync.confidence.file_evidence import SILENT_DB, STILL
from avsync.curate.offset_lines import BEYOND, HALF_PICTURE_S, OffsetLine

LEAST_WINDOWS = 2
"""A stretch that fits, or does not, within a track, has so many."""
STEP = -1
"""Number of no line: the windows between two."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TrackVotes:
    """What was found of a face, or of all of the picture, through a shot."""

    start: Fraction
    end: Fraction
    """Seconds of the file, between which it is there."""
    track: int | None
    """As of BoxPath; None: all of the picture."""
    faces: int
    """That are there with it, itself included."""
    votes: Votes | None
    """None: it is too short for a window, or has no sound."""
    loudness_db: Floats
    motion: Floats
    """(n,) as of ScoreEvidence."""
    peaks: Floats
    """(p, 2) as of OffsetEvidence."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TrackPiece:
    """A stretch of a track, and what is known of it."""

    start: Fraction
    end: Fraction
    track: int | None
    faces: int = 1
    windows: int = 0
    silent: float = 0.0
    """Of its windows the share that is silent, and stands still."""
    still: float = 0.0
    line: OffsetLine | None = None
    """Of the sound, there; None: there is none, or it steps within."""
    steps: bool = False
    """The sound's offset changes within it."""
    own: float = 0.0
    """Nats of its own windows for that line; below 0: against it."""
    alone: bool = True
    """Nothing else in the file speaks for or against that line."""
    fits: bool = False

    @property
    def middle_s(self) -> float:
        return float(self.start + self.end) / 2


def pieces_of(tracks: Sequence[TrackVotes], lines: Sequence[OffsetLine], fps: Fraction) -> list[TrackPiece]:
    """All of them, in the order of the tracks; what is cut, is cut between pictures of `fps` a second."""
    alone = sum(one.votes is not None for one in tracks) == 1
    return [piece for one in tracks for whole in _pieces(one, lines, fps, alone=alone) for piece in _short(whole, fps)]


def _short(piece: TrackPiece, fps: Fraction) -> list[TrackPiece]:
    """Of one whose sound drifts pieces so short that it moves by less than half a picture within each."""
    drift, length = abs(piece.line.drift) if piece.line else 0.0, piece.end - piece.start
    count = ceil(drift * float(length) / HALF_PICTURE_S - 1e-9)
    if not piece.fits or count < 2:
        return [piece]
    inner = [Fraction(round((piece.start + length * at / count) * fps)) / fps for at in range(1, count)]
    edges = [piece.start, *inner, piece.end]
    return [replace(piece, start=start, end=end) for start, end in pairwise(edges) if start < end]


def _pieces(track: TrackVotes, lines: Sequence[OffsetLine], fps: Fraction, *, alone: bool) -> Iterator[TrackPiece]:
    if track.votes is None or not lines:
        yield TrackPiece(start=track.start, end=track.end, track=track.track, faces=track.faces)
        return
    middles = track.votes.starts_s + track.votes.window_s / 2
    numbers = [next((at for at, line in enumerate(lines) if line.holds(time)), STEP) for time in middles]
    nats = nats_along(track.votes, lines, numbers)
    runs = [
        (number, fits, first, stop)
        for number, first, stop in _runs(numbers)
        for fits, first, stop in (
            _fitting(nats, first, stop) if number != STEP and lines[number].sure else [(False, first, stop)]
        )
    ]
    for (number, fits, first, stop), (start, end) in zip(runs, _bounds(track, runs, middles, fps), strict=True):
        if end <= start:
            continue
        inside = slice(first, stop)
        yield TrackPiece(
            start=start,
            end=end,
            track=track.track,
            faces=track.faces,
            windows=stop - first,
            silent=float(np.mean(track.loudness_db[inside] < SILENT_DB)) if stop > first else 0.0,
            still=float(np.mean(track.motion[inside] < STILL)) if stop > first else 0.0,
            line=None if number == STEP else lines[number],
            steps=number == STEP,
            own=float(nats[inside].sum()),
            alone=alone,
            fits=fits and number != STEP,
        )


def nats_along(votes: Votes, lines: Sequence[OffsetLine], numbers: Sequence[int]) -> Floats:
    """(n,) what each window says for the line that holds there; 0 where none does."""
    middles, found = votes.starts_s + votes.window_s / 2, np.zeros(len(votes.starts_s))
    for at, (time, number) in enumerate(zip(middles, numbers, strict=True)):
        if number != STEP:
            offset = lines[number].offset_s(time)
            found[at] = np.interp(offset, votes.offsets_s, votes.nats[at], left=BEYOND, right=BEYOND)
    return np.where(found <= BEYOND, 0.0, found)  # what could not be asked says nothing


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    first = 0
    for number, same in groupby(numbers):
        stop = first + len(list(same))
        yield number, first, stop
        first = stop


def _fitting(nats: Floats, first: int, stop: int) -> list[tuple[bool, int, int]]:
    """(fits, first, stop): the likeliest cut into what fits and what does not."""
    stay, change = np.log(1 - SWITCH), np.log(SWITCH)
    here = nats[first:stop]
    best, back = np.array([0.0, here[0]]), list[NDArray[np.bool_]]()  # does not, does
    for value in here[1:]:
        moved = best[::-1] + change > best + stay
        back.append(moved)
        best = np.where(moved, best[::-1] + change, best + stay) + np.array([0.0, value])
    states = [int(best.argmax())]
    for moved in reversed(back):
        states.append(1 - states[-1] if moved[states[-1]] else states[-1])
    states.reverse()
    cuts = [0, *(at for at in range(1, len(states)) if states[at] != states[at - 1]), len(states)]
    runs = [(bool(states[low]), first + low, first + high) for low, high in pairwise(cuts)]
    if len(runs) > 1 and any(high - low < LEAST_WINDOWS for _, low, high in runs):
        return [(bool(here.sum() > 0), first, stop)]
    return runs


def _bounds(
    track: TrackVotes, runs: Sequence[tuple[int, bool, int, int]], middles: Floats, fps: Fraction
) -> list[tuple[Fraction, Fraction]]:
    """When each run is: what fits ends in the middle of its last window, for that surely fits."""
    bounds = [[track.start, track.end] for _ in runs]
    for at, (one, other) in enumerate(pairwise(runs)):
        last, first = (Fraction(round(time * float(fps))) / fps for time in middles[other[2] - 1 : other[2] + 1])
        fits_before, fits_behind = (run[1] and run[0] != STEP for run in (one, other))
        halfway = Fraction(round((last + first) / 2 * fps)) / fps
        if fits_before == fits_behind:
            last = first = halfway
        cut = last if fits_before else first
        bounds[at][1] = bounds[at + 1][0] = min(max(cut, track.start), track.end)
    return [(start, end) for start, end in bounds]

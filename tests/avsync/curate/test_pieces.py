"""Which stretches of a face fit the sound, where they are cut, and what becomes of each. Pure."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from avsync.confidence.curve import OffsetCurve, Reading, Votes, posterior
from avsync.curate.config import CurateConfig
from avsync.curate.offset_lines import HALF_PICTURE_S, OffsetLine
from avsync.curate.pieces import TrackPiece, TrackVotes, pieces_of
from avsync.curate.verdict import Judged, judge

FPS = Fraction(25)
OFFSETS = np.linspace(-2, 2, 101)
READING = Reading(trust=1.0)
NEED_S = 1.5


def line(offset_s: float, support: float = 40.0, *, drift: float = 0.0, width: float = 0.05) -> OffsetLine:
    """Of all of a file; `support`: nats of its best offset."""
    found = support * np.exp(-0.5 * ((OFFSETS - offset_s) / width) ** 2)
    curve = OffsetCurve(offsets_s=OFFSETS, support=found, probability=posterior(found, READING.none), capture_s=0.08)
    return OffsetLine(
        start_s=-np.inf, end_s=np.inf, middle_s=30.0, curve=curve, drift=drift, drift_known=True,
        sure=curve.confidence >= 0.8,
    )  # fmt: skip


def track(fits: list[bool], offset_s: float = 0.0, *, number: int | None = 1, faces: int = 1) -> TrackVotes:
    """A window a second: each is for the offset, or against all."""
    rows = np.full((len(fits), len(OFFSETS)), -2.0)
    for row, good in zip(rows, fits, strict=True):
        row += good * 4.0 * np.exp(-0.5 * ((OFFSETS - offset_s) / 0.06) ** 2)
    votes = Votes(
        starts_s=np.arange(len(fits), dtype=float), window_s=NEED_S, offsets_s=OFFSETS, nats=rows, capture_s=0.08,
        reading=READING,
    )  # fmt: skip
    return TrackVotes(
        start=Fraction(0), end=Fraction(len(fits) + 1), track=number, faces=faces, votes=votes,
        loudness_db=np.full(len(fits), -20.0), motion=np.full(len(fits), 2.0), peaks=np.empty((0, 2)),
    )  # fmt: skip


def test_a_face_that_speaks_all_the_time_is_one_piece() -> None:
    (piece,) = pieces_of([track([True] * 20)], [line(0.0)], FPS)
    assert (piece.start, piece.end, piece.fits, piece.windows) == (0, 21, True, 20)


def test_a_pause_does_not_cut_and_another_voice_does() -> None:
    pauses = [True] * 8 + [False] * 2 + [True] * 8
    assert len(pieces_of([track(pauses)], [line(0.0)], FPS)) == 1
    foreign = [True] * 12 + [False] * 12 + [True] * 12
    first, middle, last = pieces_of([track(foreign)], [line(0.0)], FPS)
    assert [first.fits, middle.fits, last.fits] == [True, False, True]
    assert 11 <= first.end <= 12.75, "what fits ends in the middle of its last window"
    assert 24 <= last.start <= 25.75
    assert first.end == middle.start
    assert middle.end == last.start


def test_between_two_lines_there_is_a_piece_of_neither() -> None:
    lines = [replace(line(0.0), end_s=10.75), replace(line(0.4), start_s=13.75)]
    rows = track([True] * 12, 0.0), track([True] * 12, 0.4)
    assert rows[0].votes
    assert rows[1].votes
    votes = replace(
        rows[0].votes,
        starts_s=np.arange(24.0),
        nats=np.concatenate((rows[0].votes.nats, rows[1].votes.nats)),
    )
    both = replace(rows[0], votes=votes, end=Fraction(25), loudness_db=np.full(24, -20.0), motion=np.full(24, 2.0))
    left, step, right = pieces_of([both], lines, FPS)
    assert (left.fits, step.steps, right.fits) == (True, True, True)
    assert left.end == step.start <= Fraction(1075, 100) + 1 / FPS
    assert right.start == step.end >= Fraction(1375, 100) - 1 / FPS


@pytest.mark.parametrize("drift", [1e-3, -1e-3, 2e-3, 1e-4])
def test_a_piece_that_drifts_is_cut_until_it_moves_by_less_than_half_a_picture(drift: float) -> None:
    pieces = pieces_of([track([True] * 59)], [line(0.0, drift=drift)], FPS)
    assert all(abs(drift) * float(piece.end - piece.start) <= HALF_PICTURE_S + abs(drift) / 25 for piece in pieces)
    assert pieces[0].start == 0
    assert pieces[-1].end == 60
    assert all(one.end == other.start for one, other in pairwise(pieces))
    offsets = [judge(piece, NEED_S, READING, CurateConfig()).found_ms or 0 for piece in pieces]
    assert offsets == pytest.approx([1000 * drift * (piece.middle_s - 30) for piece in pieces], abs=1)


def judged(fits: list[bool], *lines: OffsetLine, faces: int = 1, beside: TrackVotes | None = None) -> list[Judged]:
    tracks = [track(fits, lines[0].curve.best_s, faces=faces), *[beside] * (beside is not None)]
    return [judge(piece, NEED_S, READING, CurateConfig()) for piece in pieces_of(tracks, lines, FPS)]


@pytest.mark.parametrize(
    ("offset_s", "verdict"),
    [(0.0, "keep"), (0.03, "keep"), (-0.03, "keep"), (0.12, "keep shifted"), (-0.6, "keep shifted")],
)
def test_what_is_off_by_more_than_a_picture_is_moved(offset_s: float, verdict: str) -> None:
    (one,) = judged([True] * 20, line(offset_s))
    assert one.verdict == verdict
    assert one.found_ms == pytest.approx(offset_s * 1000, abs=3)
    assert one.offset_ms == (0.0 if verdict == "keep" else one.found_ms)
    assert one.confidence > 0.8
    assert one.low_ms is not None
    assert one.high_ms is not None
    assert one.low_ms <= one.found_ms <= one.high_ms  # type: ignore[operator]


@pytest.mark.parametrize("width", [0.15, 0.3])
@pytest.mark.parametrize("offset_s", [0.06, 0.1, -0.08])
def test_nothing_is_moved_that_may_be_worse_for_it(offset_s: float, width: float) -> None:
    """The interval reaches to where the sound is now."""
    (one,) = judged([True] * 20, line(offset_s, 12.0, width=width))
    if one.verdict == "keep shifted":
        assert one.low_ms is not None
        assert one.high_ms is not None
        assert one.low_ms > offset_s * 500 if offset_s > 0 else one.high_ms < offset_s * 500
    else:
        assert one.offset_ms in (0.0, None) or one.verdict == "can't tell"


def test_of_a_file_that_nothing_is_known_of_nothing_is_said() -> None:
    (one,) = judged([False] * 20, line(0.0, 0.0))
    assert one.verdict == "can't tell"
    assert one.reason


def test_a_face_that_does_not_speak_is_left_out_where_another_does() -> None:
    """Two together, of whom one fits: so the network can tell of this sound."""
    other = track([True] * 20, number=2, faces=2)
    first, second = judged([False] * 20, line(0.0), faces=2, beside=other)
    assert first.verdict == "drop"
    assert "nobody in the picture speaks" in first.reason
    assert second.verdict == "keep"


def test_a_short_look_at_a_face_drops_nothing() -> None:
    other = track([True] * 20, number=2)
    first, _ = judged([False] * 2, line(0.0), beside=other)
    assert first.verdict == "can't tell"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"windows": 0, "end": Fraction(1)}, "too short for the network"),
        ({"windows": 0}, "no sound there"),
        ({"silent": 0.9}, "silent"),
        ({"still": 1.0}, "still picture"),
    ],
)
def test_what_is_no_material_is_dropped_with_its_reason(changes: dict[str, object], reason: str) -> None:
    piece = TrackPiece(start=Fraction(0), end=Fraction(9), track=None, windows=7, line=line(0.0), own=30.0, fits=True)
    one = judge(replace(piece, **changes), NEED_S, READING, CurateConfig())  # type: ignore[arg-type]
    assert (one.verdict, one.reason) == ("drop", reason)

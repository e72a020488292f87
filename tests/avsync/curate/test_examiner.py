"""One source from the file to its verdicts, by a network that sees flashes and hears beeps."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from score_parts import EVENTS, film, joined, network

from avsync.confidence.curve import Reading
from avsync.curate.config import CurateConfig
from avsync.curate.examiner import Examiner, gaps
from avsync.curate.source_answer import AnsweredPiece
from sharding.errors import RejectError
from sharding.faces.shots import SLOTS_PER_S, between_cuts, find_shots
from sharding.format.crop import BoxPath, Knot
from sharding.media.probe import probe
from sharding.sources.find import find_sources
from sharding.sources.source import Source
from tests.media import Video, write_video

TURN = (9, 16, 29, 34, 48, 53, 69, 74, 92, 101, 117, 126, 133, 148)
LONG = tuple(Fraction(n, 10) + 16 * turn for turn in range(3) for n in TURN)


def talk(events: tuple[Fraction, ...] = EVENTS, **changes: object) -> Video:
    """One shot: a bright spot that wanders, and flashes, with their beeps."""

    def drawn(time: Fraction) -> NDArray[np.uint8]:
        across, down = np.mgrid[0:32, 0:32]
        spot = 90 * np.exp(-((across - 16) ** 2 + (down - 8 - float(time) % 16) ** 2) / 40)
        lit = any(event <= time < event + Fraction(1, 10) for event in events)
        return np.repeat((np.full_like(spot, 255) if lit else 30 + spot)[..., None], 3, axis=2).astype(np.uint8)

    return film(events=events, drawn=drawn, **changes)


def examined(video: Path, **settings: object) -> list[AnsweredPiece]:
    config = replace(CurateConfig(tolerance_ms=80, crop="all"), **settings)  # type: ignore[arg-type]
    examiner = Examiner(network=network(), config=config, device=torch.device("cpu"), reading=Reading())
    source = Source(id="a", path=video, rel=video.name, action="a", group="a")
    ticks = list[float]()
    pieces, tracks = examiner.examine(source, ticks.append, lambda: ticks.append(1))
    assert tracks == ()
    assert len(ticks) > 1
    return list(pieces)


@pytest.mark.parametrize("milliseconds", [-700, 0, 500])
def test_a_constant_offset_is_kept_or_moved(tmp_path: Path, milliseconds: int) -> None:
    video = write_video(tmp_path / "a.mkv", talk(beep_delay=Fraction(milliseconds, 1000)))
    (piece,) = examined(video)
    assert piece.verdict == ("keep shifted" if milliseconds else "keep")
    assert piece.offset_ms == pytest.approx(milliseconds, abs=60)
    assert piece.confidence > 0.8
    assert piece.track is None
    assert (piece.start_s, round(piece.end_s)) == (0, 12)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"noise": 0, "events": ()}, "silent"),
        ({"still": True, "drawn": None}, "still picture"),
        ({"seconds": Fraction(1, 2)}, "too short for the network"),
    ],
)
def test_what_is_no_material_says_why(tmp_path: Path, changes: dict[str, object], reason: str) -> None:
    video = write_video(tmp_path / "a.mkv", replace(talk(), **changes))  # type: ignore[arg-type]
    (piece,) = examined(video)
    assert (piece.verdict, piece.reason, piece.offset_ms) == ("drop", reason, None)


def test_a_step_makes_two_pieces_and_one_between_that_is_left_out(tmp_path: Path) -> None:
    moved = tuple(event if event < 22 else event + Fraction(7, 10) for event in LONG)
    long = talk(LONG, seconds=Fraction(46))
    left, step, right = examined(joined(tmp_path, long, replace(long, events=moved)))
    assert [left.verdict, step.verdict, right.verdict] == ["keep", "can't tell", "keep shifted"]
    assert step.start_s <= 22.7
    assert step.end_s >= 22
    assert right.offset_ms == pytest.approx(700, abs=60)
    assert "jumps" in step.reason


def test_sound_of_another_film_is_not_kept(tmp_path: Path) -> None:
    other = talk(tuple(Fraction(n, 10) for n in (5, 12, 25, 41, 44, 60, 83, 88, 107)))
    (piece,) = examined(joined(tmp_path, talk(), other))
    assert piece.verdict == "can't tell"
    assert piece.offset_ms is None


def test_a_file_that_cannot_be_read_is_refused_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video" * 100)
    with pytest.raises(RejectError):
        examined(tmp_path / "a.mp4")


def test_parts_of_one_file_name_tracks_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their boxes come to lie in one table, below the name of one file."""
    write_video(tmp_path / "a.mkv", talk(seconds=Fraction(6)))
    (tmp_path / "list.csv").write_text("path,action,start_s,end_s\na.mkv,a,0,3\na.mkv,a,3,6\n")

    def face(found: object, stretches: list[tuple[Fraction, Fraction]], tick: object) -> tuple[BoxPath, ...]:
        knots = tuple(Knot(time, Fraction(0), Fraction(0)) for time in stretches[0])
        return (BoxPath(track=1, faces=1, width=Fraction(32), height=Fraction(32), knots=knots),)

    monkeypatch.setattr("avsync.curate.examiner.find_faces", face)
    config = CurateConfig(crop="faces")
    examiner = Examiner(network=network(), config=config, device=torch.device("cpu"), reading=Reading())
    found = [
        examiner.examine(one, lambda ticks: None, lambda: None) for one in find_sources(tmp_path / "list.csv").sources
    ]
    assert sorted(path.track for _, tracks in found for path in tracks) == [1, 2]
    assert all({piece.track for piece in pieces} == {path.track for path in tracks} for pieces, tracks in found)


def test_what_no_face_covers_is_what_is_left() -> None:
    whole = [(Fraction(0), Fraction(10)), (Fraction(20), Fraction(30))]
    taken = [(Fraction(2), Fraction(4)), (Fraction(3), Fraction(5)), (Fraction(9), Fraction(22))]
    assert list(gaps(whole, taken)) == [(0, 2), (5, 9), (22, 30)]
    assert list(gaps(whole, [])) == whole
    assert list(gaps(whole, [(Fraction(0), Fraction(30))])) == []


def test_shots_leave_out_what_may_show_their_neighbour() -> None:
    shots = between_cuts((Fraction(1), Fraction(9)), [3 * SLOTS_PER_S, 5 * SLOTS_PER_S])
    assert len(shots) == 3
    assert shots[0][0] == 1
    assert shots[-1][1] == 9
    assert all(0 < other[0] - one[1] <= Fraction(2, SLOTS_PER_S) for one, other in pairwise(shots))


def test_a_flash_is_no_new_shot_and_a_cut_is_one(tmp_path: Path) -> None:
    def drawn(time: Fraction) -> NDArray[np.uint8]:
        flash = Fraction(1) <= time < Fraction(11, 10)
        picture = np.random.default_rng(int(time >= 3)).integers(20, 230, (4, 4, 3)).astype(np.uint8)
        return np.full((64, 64, 3), 255, np.uint8) if flash else picture.repeat(16, axis=0).repeat(16, axis=1)

    video = film(seconds=Fraction(6), fps=Fraction(25), width=64, height=64, drawn=drawn)
    found = probe(write_video(tmp_path / "a.mp4", video))
    shots = find_shots(found, found.shown[0])
    assert len(shots) == 2
    assert [float(shots[0][1]), float(shots[1][0])] == pytest.approx([3, 3], abs=0.1)

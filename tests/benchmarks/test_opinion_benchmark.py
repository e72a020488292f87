"""The second opinion sees what differs, explains what another reading of the program bears out, and knows a truth."""

import csv
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from benchmarks.opinion import compare as module
from benchmarks.opinion import ours, program
from benchmarks.opinion.__main__ import by_folder, by_reason, opinions, videos
from benchmarks.opinion.compare import UNEXPLAINED, Outcome, compare
from benchmarks.opinion.frames import NO_BYTE, NS, Apart, Frame, Frames, aligned
from benchmarks.opinion.truth import Known, known
from sharding.media.probe import Probe
from tests.media import Video, write_video

needs_ffprobe = pytest.mark.skipif(program.find() is None, reason="there is no program ffprobe on the path")
SHORT = Video(seconds=Fraction(3), events=(Fraction(1), Fraction(2)), sample_rate=16_000)


def row(kind: str, when_ms: list[int], byte: list[int] | None = None) -> Frames:
    frames = Frames(kind)
    for number, when in enumerate(when_ms):
        frames.add(Frame(when * NS // 1000, NO_BYTE if byte is None else byte[number]))
    return frames


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("opinion") / "plain.mp4", SHORT)


def moved(found: Frames, by_ms: int, first: int, stop: int | None) -> Frames:
    """The same; some frames later."""
    when = found.when.copy()
    when[first:stop] += by_ms * NS // 1000
    doubted = found.doubted.astype(np.int64)
    return Frames.of(found.kind, when, found.byte, found.length, found.stretch, doubted, found.stored, found.begins)


def test_frames_are_the_same_by_order_or_by_the_packet_they_came_from() -> None:
    ours, theirs = row("video", [0, 40, 80], [5, 9, 7]), row("video", [9, 49, 89], [5, 9, 7])
    assert [one.tolist() for one in aligned(ours, theirs)] == [[0, 1, 2], [0, 1, 2]]
    fewer = row("video", [49, 89], [9, 7])
    assert [one.tolist() for one in aligned(ours, fewer)] == [[1, 2], [0, 1]]
    twice = row("video", [0, 40, 80, 120], [5, 9, 5, 9])
    assert [one.tolist() for one in aligned(twice, ours)] == [[2, 3], [0, 1]]


@pytest.mark.parametrize("late_ms", [-1_732_000_000_000, 0, 7, 5000])
def test_a_constant_is_no_difference_and_a_single_frame_is(late_ms: int) -> None:
    when = [40 * number for number in range(50)]
    theirs = [one + late_ms for one in when]
    assert not Apart.of(row("video", when), row("video", theirs)).residual()[1].any()
    theirs[30] += 25
    there, residual = Apart.of(row("video", when), row("video", theirs)).residual()
    assert there.all()
    assert np.flatnonzero(residual).tolist() == [30]
    assert residual[30] == -25 * NS // 1000


def test_the_truth_of_a_file_stands_in_the_list_beside_it(tmp_path: Path) -> None:
    with (tmp_path / "faults.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["file", "flashes", "tolerance_ms"], ["one.mp4", 8, 22], ["many/list.csv", 3, 5]])
    assert known(tmp_path / "one.mp4") == Known(tolerance_ms=22, flashes=8)
    assert known(tmp_path / "many" / "v" / "two.mp4") == Known(tolerance_ms=5, flashes=3)
    assert known(tmp_path / "other.mp4") is None


@needs_ffprobe
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "avi"])
def test_files_that_keep_their_times_are_read_alike(tmp_path: Path, suffix: str) -> None:
    codecs = {"avi": ("mpeg4", "mp3")}.get(suffix, ("libx264", "aac"))
    video = replace(SHORT, video_codec=codecs[0], audio_codec=codecs[1], events=(Fraction(1), Fraction(2)))
    outcome = compare(write_video(tmp_path / f"file.{suffix}", video))
    assert not outcome.bad, outcome.differences
    assert outcome.pictures
    assert outcome.sound
    assert outcome.pictures.equal == outcome.pictures.frames == 90
    assert outcome.sound.equal >= outcome.sound.frames - 1 > 20
    assert [abs(one) < 1 for one in outcome.relation_ms] == [True]


@needs_ffprobe
@pytest.mark.parametrize(
    ("kind", "by_ms", "first", "stop", "what"),
    [
        ("sounds", 5, 0, None, "relation"),
        ("sounds", -40, 20, None, "sound"),
        ("sounds", 4, 10, 11, "sound"),
        ("pictures", 5, 0, None, "relation"),
        ("pictures", 40, 50, 51, "pictures"),
        ("pictures", -34, 60, None, "pictures"),
    ],
)
def test_what_packing_would_get_wrong_is_not_explained(
    plain: Path, monkeypatch: pytest.MonkeyPatch, kind: str, by_ms: int, first: int, stop: int | None, what: str
) -> None:
    true = getattr(ours, kind)

    def wrong(source: Probe, *, marks: bool = False) -> Frames:
        return moved(true(source, marks=marks), by_ms, first, stop)

    monkeypatch.setattr(module.ours, kind, wrong)
    outcome = compare(plain)
    assert outcome.bad
    assert what in [one.what for one in outcome.differences if one.name == UNEXPLAINED]


@needs_ffprobe
def test_where_the_truth_is_known_it_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "flash.mov", replace(SHORT, audio_codec="pcm_s16le", noise=0))
    (tmp_path / "faults.csv").write_text("file,flashes,tolerance_ms\nflash.mov,2,22\n")
    outcome = compare(path)
    assert outcome.truth
    assert outcome.truth.marks == 2
    assert outcome.truth.right == "pack and ffprobe"
    true = ours.sounds
    monkeypatch.setattr(module.ours, "sounds", lambda source, marks: moved(true(source, marks=marks), 60, 0, None))
    outcome = compare(path)
    assert outcome.truth
    assert outcome.truth.right == "ffprobe"
    assert outcome.bad


@needs_ffprobe
def test_reasons_are_named_and_rejected_files_are_not_compared(tmp_path: Path) -> None:
    b_frames = {"bf": "2", "g": "30"}
    write_video(tmp_path / "b.avi", replace(SHORT, audio_codec="mp3"), b_frames)
    (tmp_path / "empty.mp4").touch()
    outcomes = opinions(list(videos([tmp_path])))
    late, empty = outcomes.values()
    assert {one.name for one in late.differences} <= {"AVI stores no presentation times"}
    assert empty == Outcome(rejected=empty.rejected)
    assert by_folder(outcomes).rows[-1][:3] == ("all", "2", "1")
    assert len(by_reason(outcomes).rows) == len({(one.name, one.what) for one in late.differences})

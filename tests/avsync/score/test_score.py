"""A score finds planted offsets, says so in words, and admits what it cannot tell."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from score_parts import EVENTS, Nodding, ask, film, joined, late, network, scorer

from avsync.score.result import ScoreResult
from sharding.base.files import read_json
from tests.media import write_video


@pytest.mark.parametrize("milliseconds", [-1600, -700, -300, 300, 500, 1900])
def test_a_planted_offset_is_found(tmp_path: Path, milliseconds: int) -> None:
    got = ask(tmp_path, write_video(tmp_path / "late.mkv", late(milliseconds)))
    assert got.verdict == "off"
    assert got.offset_ms == pytest.approx(milliseconds, abs=60)
    assert got.confidence > 0.9
    assert got.interval_ms is not None
    assert got.interval_ms[0] <= milliseconds <= got.interval_ms[1]
    side = "late" if milliseconds > 0 else "early"
    assert f"out of sync, the sound comes {abs(round(got.offset_ms or 0))} ms {side}" in got.sentence


def test_a_file_that_is_in_sync_is_said_to_be(tmp_path: Path) -> None:
    got = ask(tmp_path, write_video(tmp_path / "good.mp4", film()))
    assert got.verdict == "in sync"
    assert got.sentence.startswith("good.mp4: in sync, ")
    assert got.reason == ""
    assert all(window.support >= 0 for window in got.windows)


def test_the_tolerance_is_the_persons(tmp_path: Path) -> None:
    video = write_video(tmp_path / "late.mkv", late(300))
    assert ask(tmp_path, video, late_ms=400).verdict == "in sync"
    assert ask(tmp_path, video, early_ms=400).verdict == "off"


def test_streams_that_begin_late_are_judged_by_the_files_own_clock(tmp_path: Path) -> None:
    shifted = film(video_start=Fraction(1), audio_start=Fraction(1, 2), events=tuple(e + 1 for e in EVENTS[:10]))
    assert ask(tmp_path, write_video(tmp_path / "late.mkv", shifted)).verdict == "in sync"


def test_sound_of_another_film_cannot_be_told(tmp_path: Path) -> None:
    other = film(events=tuple(Fraction(n, 10) for n in (5, 12, 25, 41, 44, 60, 83, 88, 107)))
    got = ask(tmp_path, joined(tmp_path, film(), other))
    assert got.verdict == "can't tell"
    assert "the sound may not belong to the picture" in got.reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"noise": 0, "events": ()}, "Its sound is silent: nothing shows"),
        ({"still": True}, "Its picture stands still: nothing shows"),
        ({"seconds": Fraction(1, 2)}, "no stretch of 2 s with both picture and sound"),
    ],
)
def test_what_cannot_be_told_says_why(tmp_path: Path, changes: dict[str, object], reason: str) -> None:
    got = ask(tmp_path, write_video(tmp_path / "odd.mkv", film(**changes)))
    assert got.verdict == "can't tell"
    assert reason in got.sentence
    assert (got.offset_ms, got.interval_ms, got.confidence) == (None, None, 0)


def test_what_repeats_names_the_offsets_that_fit(tmp_path: Path) -> None:
    steady = film(events=tuple(Fraction(n, 2) for n in range(1, 24)))
    got = ask(tmp_path, write_video(tmp_path / "metronome.mkv", steady))
    assert got.verdict == "can't tell"
    assert "Several offsets fit about as well" in got.reason


def test_a_network_that_says_yes_to_everything_tells_nothing(tmp_path: Path) -> None:
    got = ask(tmp_path, write_video(tmp_path / "good.mkv", film()), network(Nodding()))
    assert got.verdict == "can't tell"


def test_silence_beyond_the_ends_of_the_file_is_no_sound(tmp_path: Path) -> None:
    """A file of one window can be asked about no other offset than 0."""
    got = ask(tmp_path, write_video(tmp_path / "short.mkv", film(seconds=Fraction(2))))
    assert got.tested_ms is not None
    assert max(map(abs, got.tested_ms)) <= 100


def test_an_offset_that_changes_is_told_with_its_moments(tmp_path: Path) -> None:
    events = tuple(
        Fraction(n, 10) + 16 * turn
        for turn in range(3)
        for n in (9, 16, 29, 34, 48, 53, 69, 74, 92, 101, 117, 126, 133, 148)
    )
    moved = tuple(event if event < 22 else event + Fraction(7, 10) for event in events)
    long = film(seconds=Fraction(46), events=events)
    got = ask(tmp_path, joined(tmp_path, long, replace(long, events=moved)))
    assert got.verdict == "changes"
    parts = [part for part in got.parts if part.verdict != "can't tell"]
    assert [part.verdict for part in parts] == ["in sync", "off"]
    assert parts[1].offset_ms == pytest.approx(700, abs=60)
    assert parts[1].start_s == pytest.approx(22, abs=2.5)
    assert "0:00 to 0:2" in got.sentence
    assert f"sound {round(parts[1].offset_ms)} ms late" in got.sentence


def test_the_answer_is_written_as_json_and_as_a_picture(tmp_path: Path) -> None:
    video = write_video(tmp_path / "late.mkv", late(500))
    done = scorer(tmp_path / "answers").work(video)
    assert done.error == ""
    assert done.picture is not None
    assert done.picture == tmp_path / "answers" / "late.png"
    assert read_json(tmp_path / "answers" / "late.json", ScoreResult) == done.answer
    with Image.open(done.picture) as picture:
        assert min(picture.size) > 600
        assert len(np.unique(np.asarray(picture))) > 100


def test_videos_of_one_name_keep_their_own_answers(tmp_path: Path) -> None:
    videos = [write_video(tmp_path / name / "take.mkv", film(seconds=Fraction(6))) for name in ("a", "b")]
    (tmp_path / "answers").mkdir()
    (tmp_path / "answers" / "take.png").write_bytes(b"somebody else's")
    names = [scorer(tmp_path / "answers").work(video).picture for video in (*videos, videos[0])]
    assert [path and path.name for path in names] == ["take-2.png", "take-3.png", "take-2.png"]
    assert (tmp_path / "answers" / "take.png").read_bytes() == b"somebody else's"


def test_a_longer_file_needs_no_longer_buffers(tmp_path: Path) -> None:
    from avsync.localize.windows import Cut, form_of, frames_of, read_windows
    from avsync.score.listen import plan_windows
    from sharding.media.probe import probe

    net, sizes = network(), []
    for seconds in (8, 30):
        source = probe(write_video(tmp_path / f"{seconds}.mkv", film(seconds=Fraction(seconds))))
        plan = plan_windows(source, net, scorer(tmp_path).config, frames_of(source, net.dataset.clock))
        windows = read_windows(source, form_of(net), [Cut(first=plan.first, starts=plan.starts)], 20, plan.reach)
        sizes.append({(window.yuv.shape, window.audio.shape) for _, window in windows})
    assert sizes == [{((20, 24, 16), (48_000, 1))}] * 2

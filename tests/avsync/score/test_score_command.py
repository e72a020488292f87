"""The command `avsync score`: one file or many, good or bad, and what it says of them."""

import os
from fractions import Fraction
from pathlib import Path

import pytest
from score_parts import film, late, network

from avsync.score.result import ScoreResult
from avsync.score.wording import moment, offset_words
from launch.cli import FAILED, USAGE, main
from sharding.base.files import read_json
from tests.media import write_video


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run's folder; its network is the one that needs no training."""
    monkeypatch.setattr("avsync.score.score.load_network", lambda *_: network())
    return tmp_path / "run"


def test_one_file_gets_a_sentence_and_the_place_of_its_picture(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = write_video(tmp_path / "late.mkv", late(500))
    assert main(["score", str(run), str(video)]) == 0
    shown = capsys.readouterr().out
    assert "late.mkv: out of sync, the sound comes 5" in shown
    assert f"Next: open {run / 'score' / 'late.png'}" in shown


def test_the_answer_does_not_wait_for_its_picture(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = list[str]()

    def png(*_: object) -> bytes:
        shown.append(capsys.readouterr().out)
        return b"a picture"

    monkeypatch.setattr("avsync.score.plot.score_png", png)
    video = write_video(tmp_path / "late.mkv", late(500))
    assert main(["score", str(run), str(video)]) == 0
    assert "late.mkv: out of sync, the sound comes 5" in shown[0]
    assert "late.mkv: out of sync" not in capsys.readouterr().out  # said once
    assert main(["score", str(run), str(video), str(video)]) == 0
    assert "out of sync" not in "".join(shown[1:])  # several have a table
    assert capsys.readouterr().out.count("late.mkv  off ") == 2


def test_a_bad_file_costs_only_itself(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    silent = write_video(tmp_path / "mute.mp4", film(audio_codec="", seconds=Fraction(3)))
    blind = write_video(tmp_path / "radio.mkv", film(video_codec="", seconds=Fraction(3)))
    torn = tmp_path / "torn.mp4"
    torn.write_bytes(write_video(tmp_path / "whole.mp4", film()).read_bytes()[:3000])
    videos = [silent, blind, torn, tmp_path / "gone.mp4", tmp_path, tmp_path / "whole.mp4"]
    assert main(["score", str(run), *map(str, videos)]) == FAILED
    shown = capsys.readouterr()
    assert "5 of 6 files failed" in shown.err
    assert "it has no audio stream that can be decoded" in shown.err
    assert "and 2 more" in shown.err
    for name in ("mute.mp4", "radio.mkv", "torn.mp4", "gone.mp4", "whole.mp4"):
        assert f"\n {name} " in shown.out or f"\n{name} " in shown.out
    assert f"{tmp_path.name}: is a folder; name the videos in it" in shown.out
    assert [path.name for path in (run / "score").glob("*.json")] == ["whole.json"]


def test_a_name_that_is_no_text_is_no_trouble(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = write_video(tmp_path / "a.mkv", film())
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff [red]\n.mkv"))
    plain.rename(odd)
    assert main(["score", str(run), str(odd)]) == 0
    assert r"\udcff [red]\n.mkv: in sync" in capsys.readouterr().out
    (place,) = (run / "score").glob("*.json")
    assert read_json(place, ScoreResult).video.endswith("[red]\n.mkv")
    assert main(["score", str(run), str(odd)]) == 0
    assert len(list((run / "score").glob("*.json"))) == 1


def test_answers_go_where_they_are_wanted_or_it_says_why_not(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = write_video(tmp_path / "a.mkv", film())
    assert main(["score", str(run), str(video), "--output", str(tmp_path / "here")]) == 0
    assert {path.name for path in (tmp_path / "here").iterdir()} == {"a.json", "a.png"}
    (tmp_path / "file").touch()
    assert main(["score", str(run), str(video), "--output", str(tmp_path / "file" / "x")]) == FAILED
    assert "cannot write" in capsys.readouterr().err
    assert not run.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.mp4", "--json", "a.jsonl", "--fix"], "leave --fix out"),
        (["a.mp4", "--json", "a.jsonl", "--output", "x"], "leave --output out"),
        (["a.mp4", "b.mp4", "--fix", "--fix-to", "c.mp4"], "--fix-to c.mp4 names the fixed copy of one video"),
        (["a.mp4", "--fix-to", "c.mp4"], "give --fix with it"),
        (["a.mp4", "--sure", "0.3"], "--sure 0.3 is a probability"),
        (["a.mp4", "--early-ms", "-5"], "--early-ms -5.0 and"),
        (["a.mp4", "--late-ms", "1e300"], "--late-ms 1e+300 must lie in 0 to 30,000"),
        (["a.mp4", "--reach-s", "0"], "--reach-s 0.0 must be above 0 s"),
        (["a.mp4", "--trust", "0"], "--trust 0.0 must be above 0"),
    ],
)
def test_a_wrong_setting_is_said_before_anything_is_read(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", "run", *words]) == USAGE
    assert message in capsys.readouterr().err


def test_without_a_video_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "run"]) == FAILED
    assert "needs a video" in capsys.readouterr().err


def test_sets_are_compared_by_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "run", "a.mp4", "--against", "B"]) == FAILED
    assert "--against B compares sets: give --json" in capsys.readouterr().err


def test_without_a_trained_network_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", str(tmp_path), "a.mp4"]) == FAILED
    assert str(tmp_path) in capsys.readouterr().err


def test_a_fixed_copy_is_written_once(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = write_video(tmp_path / "late.mkv", late(500))
    assert main(["score", str(run), str(video), "--fix"]) == 0
    assert (tmp_path / "late.fixed.mkv").is_file()
    assert "ms earlier: " in capsys.readouterr().out
    assert main(["score", str(run), str(video), "--fix"]) == FAILED
    assert "late.fixed.mkv exists already" in capsys.readouterr().err
    assert main(["score", str(run), str(video), "--fix", "--fix-to", str(tmp_path / "b.mov")]) == 0
    assert (tmp_path / "b.mov").is_file()


def test_a_copy_that_cannot_be_written_costs_no_verdict(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = write_video(tmp_path / "late.mkv", late(500))
    (tmp_path / "late.fixed.mkv").touch()
    assert main(["score", str(run), str(video), "--fix"]) == FAILED
    assert "late.mkv: out of sync" in capsys.readouterr().out


def test_no_name_steers_the_terminal(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = write_video(tmp_path / "a.mkv", late(500)).rename(tmp_path / "\x1b[31m\nred.mkv")
    assert main(["score", str(run), str(video), "--fix"]) == 0
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err
    assert r"Fixed copy, its sound" in shown.out


def test_a_tolerance_finer_than_the_offsets_that_are_tried_is_refused(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", str(run), "a.mkv", "--early-ms", "3"]) == FAILED
    assert "are finer than this network can tell: offsets are tried" in capsys.readouterr().err


def test_moments_and_offsets_read_as_people_write_them() -> None:
    assert [moment(seconds) for seconds in (0, 79.6, 3723)] == ["0:00", "1:20", "1:02:03"]
    assert [offset_words(one) for one in (-400.2, 0.3, 60)] == [
        "sound 400 ms early", "sound and picture together", "sound 60 ms late",
    ]  # fmt: skip


def test_a_file_in_the_place_of_the_run_is_a_video_for_the_network_that_comes_along(tmp_path, monkeypatch):
    asked = list[tuple[Path, tuple[Path, ...]]]()

    def score(run, videos, config, answered):
        asked.append((run, tuple(videos)))
        return []

    monkeypatch.setattr("avsync.score.score.score", score)
    monkeypatch.setattr("avsync.score.report.report", lambda done: "")
    first, second = tmp_path / "a.mp4", tmp_path / "b.mp4"
    first.touch()
    main(["score", str(first), str(second)])
    main(["score", str(first)])
    main(["score", "runs/one", str(first)])
    assert asked == [(Path("faces"), (first, second)), (Path("faces"), (first,)), (Path("runs/one"), (first,))]

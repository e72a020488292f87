"""Many files into lines: gone on with, the same whatever else is scored, and two sets compared."""

import json
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from score_parts import film, late, network, scorer

from avsync.score.score_set import ScoredSet, append_line, line_of, named_videos, read_lines
from launch.cli import DONE, FAILED, main
from sharding.base.files import read_json
from sharding.errors import FormatError, InputError
from tests.media import write_video


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A: in sync, and a broken file; B: the same names, late."""
    folder = tmp_path_factory.mktemp("sets")
    for side, offset in (("A", 0), ("B", 500)):
        (folder / side / "deep").mkdir(parents=True)
        for name, seconds in (("one", 8), ("deep/two", 7), ("deep/three", 6)):
            write_video(
                folder / side / f"{name}.{'mkv' if side == 'A' else 'mp4'}", late(offset, seconds=Fraction(seconds))
            )
        (folder / side / "notes.txt").touch()
    (folder / "A" / "torn.mp4").write_bytes(b"nothing")
    return folder


@pytest.fixture(autouse=True)
def _network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("avsync.score.score.load_network", lambda *_: network())
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def score(folder: Path, lines: Path, *flags: str) -> int:
    run = lines.parent / "run"
    return main(["score", str(run), str(folder), "--json", str(lines), "--early-ms", "80", "--late-ms", "80", *flags])


def test_a_folder_becomes_lines_and_figures_and_an_error_is_a_line(
    sets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = tmp_path / "out" / "a.jsonl"
    assert score(sets / "A", lines) == DONE
    read = [json.loads(text) for text in lines.read_text().splitlines()]
    assert [Path(one["video"]).name for one in read] == ["three.mkv", "two.mkv", "one.mkv", "torn.mp4"]
    assert [bool(one["error"]) for one in read] == [False, False, False, True]
    assert all(one["in_sync"] > 0.5 and one["windows"] and one["desync_s"] == 0 for one in read[:3])
    shown = capsys.readouterr().out
    assert "1 of 4 files could not be scored" in shown
    assert "known to be in sync to 40 ms" in shown
    figures = read_json(lines.with_suffix(".summary.json"), ScoredSet)
    assert (figures.a.files, figures.a.failed, figures.comparison) == (4, 1, None)
    assert {path.name for path in lines.parent.iterdir()} == {"a.jsonl", "a.summary.json"}


def test_an_error_is_tried_again_and_no_line_of_the_same_is_added(
    sets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines, folder = tmp_path / "a.jsonl", tmp_path / "videos"
    folder.mkdir()
    (folder / "good.mkv").write_bytes((sets / "A" / "one.mkv").read_bytes())
    (folder / "torn.mkv").write_bytes(b"nothing")
    assert score(folder, lines) == DONE
    assert "the same command tries them again" in " ".join(capsys.readouterr().out.split())
    whole, good = lines.read_bytes(), read_lines(lines)[str((folder / "good.mkv").resolve())]
    append_line(lines, replace(good, error="the disk failed for a moment", verdict="can't tell", offset_ms=None))
    assert score(folder, lines) == DONE  # of the same files
    assert "done already" not in capsys.readouterr().err
    assert read_lines(lines)[good.video] == good
    assert len(lines.read_bytes().splitlines()) == len(whole.splitlines()) + 2  # the torn one says nothing new


@pytest.mark.parametrize("changes", [{"noise": 0, "events": ()}, {"still": True}, {"seconds": Fraction(1, 2)}])
def test_a_file_that_tells_nothing_has_no_probability(tmp_path: Path, changes: dict[str, object]) -> None:
    got = line_of(scorer(tmp_path), write_video(tmp_path / "odd.mkv", film(**changes)))
    assert (got.verdict, got.offset_ms, got.interval_ms, got.in_sync) == ("can't tell", None, None, None)
    assert not got.error


def test_a_killed_call_goes_on_and_what_changed_is_scored_again(
    sets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, lines = tmp_path / "videos", tmp_path / "a.jsonl"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.mkv").write_bytes((sets / "A" / "one.mkv").read_bytes())
    assert score(folder, lines) == DONE
    whole = lines.read_bytes().splitlines(keepends=True)
    lines.write_bytes(whole[0] + whole[1][:100])  # killed within a line
    assert score(folder, lines) == DONE
    assert "1 file of 3 done already" in capsys.readouterr().err
    assert [read_lines(lines)[json.loads(one)["video"]] for one in whole]
    assert len(read_lines(lines)) == 3
    before = lines.read_bytes()
    assert score(folder, lines) == DONE
    assert lines.read_bytes() == before
    (folder / "1.mkv").write_bytes((sets / "B" / "one.mp4").read_bytes())
    assert score(folder, lines) == DONE
    assert "2 files of 3 done already" in capsys.readouterr().err
    assert read_lines(lines)[str((folder / "1.mkv").resolve())].verdict == "off"
    assert score(folder, lines, "--sure", "0.9") == DONE  # another way of scoring: nothing is done already
    assert "done already" not in capsys.readouterr().err


def test_two_sets_are_compared_by_their_names(sets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = tmp_path / "ab.jsonl"
    assert score(sets / "A", lines, "--against", str(sets / "B")) == DONE
    compared = read_json(lines.with_suffix(".summary.json"), ScoredSet).comparison
    assert compared is not None
    assert (compared.pairs, compared.only_b) == (3, 0)
    assert compared.absolute_ms is not None
    assert compared.absolute_ms.mean == pytest.approx(-500, abs=60)
    assert compared.absolute_ms.p == pytest.approx(2 / 2**3)
    assert "A less B, over 3 pairs of the same name" in capsys.readouterr().out


def test_a_file_scores_the_same_in_any_company_and_with_any_threads(sets: Path, tmp_path: Path) -> None:
    videos = [*named_videos([sets / "A"]).values(), *named_videos([sets / "B"]).values()]
    torch.set_num_threads(1)
    alone = {video: line_of(scorer(tmp_path), video) for video in videos}
    torch.set_num_threads(2)
    one = scorer(tmp_path)
    for video in reversed(videos):
        line, wanted = line_of(one, video), alone[video]
        assert (line.verdict, line.windows, line.error) == (wanted.verdict, wanted.windows, wanted.error)
        assert line.offset_ms == pytest.approx(wanted.offset_ms, abs=1)
        assert line.desync_s == wanted.desync_s


def test_names_are_those_below_the_folder_and_no_two_are_one(tmp_path: Path) -> None:
    for name in ("x/a.mp4", "x/b/a.mp4", "y/a.mkv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert set(named_videos([tmp_path / "x"])) == {"a", "b/a"}
    assert len(named_videos([tmp_path / "x", tmp_path / "y"])) == 3
    (tmp_path / "x" / "a.mkv").touch()
    with pytest.raises(InputError, match="have one name but for their suffixes"):
        named_videos([tmp_path / "x"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="there is no video in"):
        named_videos([tmp_path / "empty"])


def test_lines_that_are_no_lines_of_ours_are_left_alone(
    sets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = tmp_path / "a.jsonl"
    append_line(lines, line_of(scorer(tmp_path), sets / "A" / "torn.mp4"))
    assert len(read_lines(lines)) == 1
    lines.write_text(lines.read_text() + '{"a": 1}\n')
    with pytest.raises(FormatError, match="line 2"):
        read_lines(lines)
    assert score(sets / "A", lines) == FAILED
    link = tmp_path / "link.jsonl"
    link.symlink_to(sets / "A" / "notes.txt")
    assert score(sets / "A", link) == FAILED
    assert not (sets / "A" / "notes.txt").read_bytes()
    for path, words in ((sets / "A" / "x.jsonl", "which is only read"), (tmp_path / "x.txt", "must end in")):
        assert score(sets / "A", path) == FAILED
        assert words in capsys.readouterr().err

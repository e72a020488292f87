"""The command: a table of a folder, whatever its calls went through, by the network that ships."""

import os
import random
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from avsync.curate.config import CurateConfig, CurateOptions
from avsync.curate.curate import answers_beside, curate, what_became_of
from avsync.curate.rows import AnsweredSource, settled
from avsync.curate.source_answer import AnsweredPiece, AnswerFolder, SourceAnswer
from sharding.base.csv_table import CsvTable
from sharding.base.locks import folder_lock
from sharding.base.share_progress import PROGRESS, WorkProgress, read_shares, together
from sharding.errors import BusyError, InputError, RejectReason
from sharding.sources.curated import CuratedRow, Verdict, read_curated
from sharding.sources.source import Source
from tests.media import Video, write_video
from tests.pages import alone

CONFIG = CurateConfig(crop="all", workers=1, hop_s=2, reach_s=0.4, device="cpu")
OPTIONS = CurateOptions()


def wandering(time: Fraction) -> NDArray[np.uint8]:
    """A bright spot."""
    across, down = np.mgrid[0:32, 0:32]
    spot = 90 * np.exp(-((across - 16) ** 2 + (down - 8 - 3 * float(time)) ** 2) / 40)
    return np.repeat((30 + spot)[..., None], 3, axis=2).astype(np.uint8)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four that can be looked at, and one that cannot."""
    folder = tmp_path_factory.mktemp("curate") / "videos"
    for number in range(4):
        video = Video(
            seconds=Fraction(3), fps=Fraction(25), width=32, height=32, sample_rate=16000, seed=number,
            noise=0 if number == 3 else 0.02, events=() if number == 3 else (Fraction(1), Fraction(2)), drawn=wandering,
        )  # fmt: skip
        (folder / "bell").mkdir(parents=True, exist_ok=True)
        write_video(folder / "bell" / f"{number}.mp4", video)
    (folder / "bell" / "broken.mp4").write_bytes(b"no video" * 1000)
    return folder


@pytest.fixture(scope="module")
def whole(videos: Path) -> Path:
    """The table of a call that nothing disturbed."""
    table = videos.parent / "whole.csv"
    curate(videos, table, CONFIG, CurateOptions(page=videos.parent / "whole.html"))
    return table


def rows_in(table: Path) -> tuple[CuratedRow, ...]:
    return read_curated(CsvTable(table))


def test_each_source_has_a_row_and_a_bad_one_costs_itself(whole: Path) -> None:
    rows = rows_in(whole)
    assert [row.path for row in rows] == [f"bell/{name}.mp4" for name in (0, 1, 2, 3, "broken")]
    assert {row.action for row in rows} == {"bell"}
    assert (rows[3].verdict, rows[3].reason) == (Verdict.DROP, "silent")
    assert (rows[4].verdict, rows[4].reason) == (Verdict.DROP, "cannot be read")
    assert all(row.reason for row in rows if not row.verdict.keeps)


def test_the_page_stands_alone_and_names_what_is_left_out(whole: Path) -> None:
    page = alone(whole.with_suffix(".html").read_text())
    for word in ("can't tell", "silent", "broken.mp4", "What is left out, and why"):
        assert word in page.text


def test_calls_that_are_killed_go_on_and_end_with_the_same_table(videos: Path, whole: Path, tmp_path: Path) -> None:
    """At a moment while two processes work, whatever has been written by then."""
    table, kept, rng = tmp_path / "table.csv", dict[str, int](), random.Random(7)
    answers = answers_beside(table)
    flags = ["--crop", "all", "--workers", "2", "--hop-s", "2", "--reach-s", "0.4", "--device", "cpu"]
    words = [sys.executable, "-m", "launch", "curate", str(videos), str(table), *flags]
    for wanted in (1, 3):
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 120
        while len(list(answers.glob("*.json"))) < wanted and process.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.1))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not table.exists(), "a table is there when it is whole"
        now = {path.name: path.stat().st_mtime_ns for path in answers.glob("*.json")}
        assert len(now) >= wanted
        assert kept.items() <= now.items(), "what was answered is not asked again"
        kept = now
    (answers / f"{min(kept)}.part").write_bytes(b"{")
    curate(videos, table, CONFIG, OPTIONS)
    assert table.read_bytes() == whole.read_bytes()
    assert kept.items() <= {path.name: path.stat().st_mtime_ns for path in answers.glob("*.json")}.items()


def test_a_file_that_changes_while_it_is_looked_at_is_not_kept_by_what_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"one")
    folder = AnswerFolder(path=tmp_path / "answers", asked={"sure": 0.9})
    source = Source(id="a", path=path, rel="a.mp4", action="talk", group="a.mp4")
    kept = AnsweredPiece(start_s=Fraction(0), end_s=Fraction(9), verdict="keep", offset_ms=0, confidence=1.0)
    folder.path.mkdir()
    folder.write(source, SourceAnswer(asked=folder.digest(source), pieces=(kept,)))
    assert what_became_of(folder, source).pieces == (kept,)
    path.write_bytes(b"other")
    assert what_became_of(folder, source).reject == RejectReason.UNREADABLE
    path.unlink()
    folder.write(source, SourceAnswer(asked=folder.digest(source), reject=RejectReason.UNREADABLE, detail="gone"))
    assert what_became_of(folder, source).detail == "gone"


def test_shares_together_make_the_same_table(videos: Path, whole: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    for share in range(2):
        curate(videos, table, CONFIG, CurateOptions(share=share, shares=2))
        assert not table.exists()
    answers = answers_beside(table)
    assert len(list(answers.glob("*.json"))) == 5
    told = read_shares(answers / PROGRESS, 2)
    assert [(told[share].sources, told[share].done) for share in range(2)] == [(3, 3), (2, 2)]
    assert together(list(told.values()), 0) == WorkProgress(sources=5, done=5, left_s=0.0)
    curate(videos, table, CONFIG, OPTIONS)
    assert table.read_bytes() == whole.read_bytes()


def test_a_dry_run_writes_nothing(videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    curate(videos, tmp_path / "table.csv", CONFIG, CurateOptions(dry_run=True))
    assert "5 sources: 5 to look at" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "changes", [{"share": 2, "shares": 2}, {"share": 0}, {"shares": 3}, {"share": -1, "shares": 2}]
)
def test_shares_that_cannot_be_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(InputError, match="--share"):
        CurateOptions(**changes)  # type: ignore[arg-type]


def test_two_calls_for_one_table_do_not_meet(videos: Path, tmp_path: Path) -> None:
    script = f"""
from pathlib import Path
from avsync.curate.curate import curate
from avsync.curate.config import CurateConfig, CurateOptions
curate(Path({str(videos)!r}), Path({str(tmp_path / "t.csv")!r}), CurateConfig(crop="all"), CurateOptions())
"""
    with folder_lock(answers_beside(tmp_path / "t.csv"), "a test"):
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert BusyError.__name__ in done.stderr
    assert "is in use by a test" in done.stderr


def of_folder(verdicts: list[str], strange: float) -> list[AnsweredSource]:
    """Sources of one piece each; those that can't be told fit no offset."""
    sources = list[AnsweredSource]()
    for number, verdict in enumerate(verdicts):
        piece = AnsweredPiece(
            start_s=Fraction(0), end_s=Fraction(60), verdict=verdict, windows=57,  # type: ignore[arg-type]
            strange=strange if verdict == "can't tell" else 0.0,
        )  # fmt: skip
        source = Source(id=str(number), path=Path(f"{number}.mp4"), rel=f"{number}.mp4", action="talk", group="talk")
        sources.append(AnsweredSource(source=source, answer=SourceAnswer(asked="", pieces=(piece,))))
    return sources


@pytest.mark.parametrize(
    ("kept", "strange", "verdict"),
    [(30, 0.99, "drop"), (30, 0.6, "can't tell"), (4, 0.99, "can't tell")],
)
def test_what_fits_nothing_is_dropped_where_nearly_all_else_fits(kept: int, strange: float, verdict: str) -> None:
    found = settled(of_folder(["keep shifted"] * kept + ["can't tell"], strange))
    assert found[-1].answer.pieces[0].verdict == verdict
    assert {one.answer.pieces[0].verdict for one in found[:-1]} == {"keep shifted"}


def test_a_network_that_can_tell_half_of_a_folder_drops_nothing() -> None:
    found = settled(of_folder(["keep"] * 15 + ["can't tell"] * 15, 0.99))
    assert {one.answer.pieces[0].verdict for one in found} == {"keep", "can't tell"}

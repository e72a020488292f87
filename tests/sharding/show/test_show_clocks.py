"""What was mended of a source's clock is told by packing, by `show`, by its CSV and by `verify`; the worst first."""

import csv
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from launch.cli import DONE, FAILED, main
from sharding.base.files import read_json, write_json
from sharding.format.clip import Clock, Repairs
from sharding.format.records import Certainty, ClockSums, ShardRecord, SourceClock, SourceRecord
from sharding.pack.pack import pack
from sharding.pack.report import PackSummary
from sharding.show.av_clock import Sources, read_clock, worst_first
from sharding.show.page import page_html
from sharding.show.show import ShowOptions, show
from sharding.show.survey import read_survey
from tests.media import Video, write_video
from tests.pages import alone
from tests.sharding.conftest import SMALL

CLOCK = Clock(fps=Fraction(30), sample_rate=44_100)
ALL_IN_TRAIN = replace(SMALL, val_percent=0, test_percent=0)
counts = st.integers(0, 1_000)
clocks = st.builds(SourceClock, restarts=counts, edits=counts, changes=counts, strays=counts)


def console(width: int = 300) -> Console:
    return Console(file=io.StringIO(), width=width, markup=False, emoji=False, highlight=False)


def printed(to: Console) -> str:
    assert isinstance(to.file, io.StringIO)
    return to.file.getvalue()


def joined(path: Path, *seeds: int) -> Path:
    """Transport streams one behind the other, as `cat` joins them: each starts its clock anew."""
    parts = [write_video(path.with_name(f"{seed}.part.ts"), Video(seed=seed)) for seed in seeds]
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    for part in parts:
        part.unlink()
    return path


def two_tracks(path: Path, first: Path, second: Path, language: str) -> Path:
    """Picture and sound of `first`, and the sound of `second` as another track."""
    with av.open(str(first)) as one, av.open(str(second)) as other, av.open(str(path), "w") as new:
        kept: list[Any] = [*one.streams, other.streams.audio[0]]
        streams = [new.add_stream_from_template(stream) for stream in kept]
        streams[-1].metadata["language"] = language
        packets: list[Any] = [packet for packet in one.demux() if packet.size]
        packets += [packet for packet in other.demux(audio=0) if packet.size]
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            packet.stream = streams[next(n for n, stream in enumerate(kept) if stream is packet.stream)]
            new.mux(packet)
    return path


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("odd") / "videos"
    good = write_video(folder / "x" / "good.mp4", Video(seed=1))
    joined(folder / "x" / "joined.ts", 2, 3)
    other = write_video(folder.parent / "other.mp4", Video(seed=4))
    two_tracks(folder / "x" / "two.mkv", good, other, "fre")
    return folder


@pytest.fixture(scope="module")
def mended(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PackSummary, str]:
    """A dataset of them, the summary, and what was printed. Read only."""
    dataset, to = tmp_path_factory.mktemp("packed") / "mended", console()
    summary = pack(videos, dataset, ALL_IN_TRAIN, to)
    return dataset, summary, printed(to)


def edited(dataset: Path, copy: Path, edit: Callable[[SourceRecord], SourceRecord]) -> Path:
    """A copy in whose side files each source is told otherwise."""
    shutil.copytree(dataset, copy)
    for side in copy.glob("train/0*.json"):
        record = read_json(side, ShardRecord)
        write_json(side, replace(record, sources=tuple(map(edit, record.sources))))
    return copy


def rows_of(dataset: Path, file: Path) -> list[dict[str, str]]:
    show(dataset, ShowOptions(csv=file), console())
    return list(csv.DictReader(io.StringIO(file.read_text(), newline="")))


def source(clock: SourceClock, lost: int = 0) -> SourceRecord:
    return SourceRecord(
        source="a.mp4", action="x", clips=2, frames=600, lost_clips=lost, damage="", stream_offset_s=0.0,
        repairs=Repairs(longest_still=1), clock=clock,
    )  # fmt: skip


def test_strict_leaves_out_what_was_mended_and_nothing_else(videos: Path, tmp_path: Path, capsys):
    told = ("--size", "32", "--workers", "1", "--val-percent", "0", "--test-percent", "0", "--strict")
    assert main(["pack", str(videos), str(tmp_path / "out"), *told]) == DONE
    assert "had its clock mended" not in capsys.readouterr().out
    (reject,) = read_survey(tmp_path / "out").rejects
    assert (reject.path, reject.reason) == ("x/joined.ts", "mended")
    assert reject.detail == "1 restart of its clock; --strict leaves such sources out"


def test_packing_says_how_many_clocks_were_mended_and_how(mended: tuple[Path, PackSummary, str]):
    dataset, summary, text = mended
    assert summary.clocks == ClockSums(mended=1, restarts=1)
    line = f"1 source had its clock mended (1 restart): avsync show {dataset} tells which, --strict leaves them out"
    assert line in text.splitlines()


def test_the_screen_and_the_page_tell_which_and_what_was_chosen(mended: tuple[Path, PackSummary, str]):
    dataset = mended[0]
    survey = read_survey(dataset)
    clock, to = read_clock(survey.sources, survey.info.clock, 10), console()
    show(dataset, ShowOptions(), to)
    page = alone(page_html(survey, clock, ())).text
    for text in (printed(to), page):
        assert "1 source: 1 restart" in text
        assert "1 restart of its clock" in text
        assert "hich streams were used, of 1 source with a choice" in text
        assert "audio 1 aac 44100 Hz, not audio 2 aac 44100 Hz fre" in text
    (line,) = [line for line in printed(to).splitlines() if line.startswith("x/joined.ts")]
    assert "mended" in line


@pytest.mark.parametrize("width", [32, 60, 120])
def test_clocks_and_streams_are_told_at_any_width(mended: tuple[Path, PackSummary, str], width: int):
    to = console(width)
    show(mended[0], ShowOptions(), to)
    assert max(map(len, printed(to).splitlines())) <= width
    assert "…" not in printed(to)
    flat = "".join(printed(to).split())
    assert "mended" in flat
    assert "notaudio2aac44100Hzfre" in flat


def test_the_record_of_sources_has_a_row_for_each_the_least_sure_first(
    mended: tuple[Path, PackSummary, str], tmp_path: Path
):
    dataset = mended[0]
    rows = rows_of(dataset, tmp_path / "a.csv")
    assert [row["certainty"] for row in rows] == ["mended", "sure", "sure"]
    assert (rows[0]["source"], rows[0]["restarts"], rows[0]["split"]) == ("x/joined.ts", "1", "train")
    assert {row["source"]: bool(row["streams"]) for row in rows} == {
        "x/joined.ts": False,
        "x/good.mp4": False,
        "x/two.mkv": True,
    }
    assert sum(int(row["clips"]) for row in rows) == sum(read_survey(dataset).info.clips.values())

    def doubt_the_good(one: SourceRecord) -> SourceRecord:
        return replace(one, clock=SourceClock(strays=1)) if "good" in one.source else replace(one, lost_clips=9)

    worse = rows_of(edited(dataset, tmp_path / "worse", doubt_the_good), tmp_path / "b.csv")
    assert [row["certainty"] for row in worse] == ["doubtful", "mended", "sure"]
    assert worse[0]["source"] == "x/good.mp4"


def test_side_files_of_before_are_shown_as_sure(mended: tuple[Path, PackSummary, str], tmp_path: Path):
    old = shutil.copytree(mended[0], tmp_path / "old")
    for side in old.glob("train/0*.json"):
        record = json.loads(side.read_text())
        for one in record["sources"]:
            del one["clock"]
        side.write_text(json.dumps(record))
    assert {row["certainty"] for row in rows_of(old, tmp_path / "a.csv")} == {"sure"}
    to = console()
    show(old, ShowOptions(), to)
    assert "0 sources" in printed(to)
    assert "which streams were used" not in printed(to)


def test_verify_tells_of_mended_clocks_which_are_no_damage(
    mended: tuple[Path, PackSummary, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    line = "1 source had its clock mended (1 restart): avsync show {} tells which"
    assert main(["verify", str(mended[0])]) == DONE
    out = " ".join(capsys.readouterr().out.split())
    assert line.format(mended[0]) in out
    assert "all as packed" in out
    damaged = shutil.copytree(mended[0], tmp_path / "damaged")
    (damaged / "rejects.csv").unlink()
    assert main(["verify", str(damaged)]) == FAILED
    assert line.format(damaged) in " ".join(capsys.readouterr().out.split())


@given(clocks)
def test_a_doubtful_clock_is_worse_than_any_mended_one_and_that_than_a_sure_one(clock: SourceClock):
    def score(one: SourceClock) -> float:
        return sum(worst.score for worst in worst_first(Sources.gather([source(one)], 0), CLOCK, 1))

    surely, doubtful = replace(clock, strays=0), replace(clock, strays=clock.strays + 1)
    assert score(doubtful) > score(SourceClock(restarts=1_000, edits=1_000, changes=1_000)) > 0
    assert score(surely) == 0 or surely.certainty is Certainty.MENDED
    assert score(replace(doubtful, strays=doubtful.strays + 1)) > score(doubtful)
    assert score(replace(surely, restarts=surely.restarts + 1)) > score(surely)


@given(st.lists(clocks))
def test_sums_count_each_source_once_whatever_its_shard(some: list[SourceClock]):
    sums = ClockSums.of(some)
    assert sums == sum((ClockSums.of([one]) for one in some), ClockSums())
    assert sums.mended == sum(one.certainty is not Certainty.SURE for one in some)
    assert sums.strays == sum(one.strays for one in some)
    table = Sources.gather([source(one) for one in some], 0)
    assert read_clock(table, CLOCK, 1).totals.clocks == sums
    assert [table.clock(row) for row in range(len(some))] == some


@pytest.mark.parametrize(
    ("sums", "words"),
    [
        (ClockSums(mended=1, restarts=1), "1 source had its clock mended (1 restart)"),
        (
            ClockSums(mended=3, doubtful=1, restarts=2, edits=1, changes=2, strays=4),
            "3 sources had their clock mended "
            "(2 restarts, 1 further edit, 2 changes of rate or layout, 4 stray times; doubtful: 1)",
        ),
    ],
)
def test_sums_are_told_in_words(sums: ClockSums, words: str):
    assert str(sums) == words

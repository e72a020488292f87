"""`avsync show` tells the truth about a dataset, the worst source first, and only reads."""

import io
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from launch.cli import (
    DONE,
    FAILED,
    USAGE,
    main,
)
from sharding.base.console import NO_WINDOW, open_console
from sharding.base.files import read_json, write_json
from sharding.base.text import plain
from sharding.errors import InputError
from sharding.format.clip import Clock, Repairs
from sharding.format.dataset import open_dataset
from sharding.format.records import ShardRecord, SourceRecord
from sharding.pack.pack import pack
from sharding.show.av_clock import Histogram, Sources, offset_histogram, read_clock, worst_first
from sharding.show.contact_sheet import WIDTH, read_sheets, read_view, sheet_png
from sharding.show.formatting import length_bins
from sharding.show.page import page_html
from sharding.show.screen import print_screen
from sharding.show.show import ShowOptions, show
from sharding.show.survey import read_survey
from tests.media import Video, write_video
from tests.pages import alone
from tests.remux import remux, spoil
from tests.sharding.conftest import QUIET, SMALL, contents

CLOCK = Clock(fps=Fraction(30), sample_rate=44_100)
SCRIPT = "<script>alert(1)<b>"
IMAGE = '"><img src=x onerror=alert(1)> [red].mkv'
LATE = f"{SCRIPT}/{IMAGE}"


@dataclass(frozen=True, slots=True)
class Troubled:
    dataset: Path
    videos: Path


def without_sound(source: Path, target: Path, start: Fraction, stop: Fraction) -> Path:
    """A gap: the packets of the sound from `start` to `stop` seconds are left out."""

    def edit(packet) -> bool:
        return packet.stream.type != "audio" or not start <= packet.pts * packet.time_base < stop

    return remux(source, target, edit)


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Troubled:
    """A source of every kind that is worth a look, in one split, and a reject."""
    videos, made = tmp_path_factory.mktemp("troubled"), tmp_path_factory.mktemp("made")
    write_video(videos / "x" / "good.mp4", Video(seed=1))
    write_video(videos / SCRIPT / IMAGE, Video(audio_start=Fraction(2), seconds=Fraction(8), seed=2))
    write_video(videos / "x" / "slow.mp4", Video(fps=Fraction(10), seed=3))
    whole = write_video(made / "whole.mp4", Video(seconds=Fraction(16), seed=4))
    without_sound(whole, videos / "x" / "gap.mp4", Fraction(2), Fraction(4))
    whole = write_video(made / "other.mp4", Video(seconds=Fraction(16), seed=5))
    spoil(whole, videos / "x" / "damaged.mp4", "video", Fraction(6), Fraction(8))
    write_video(videos / "x" / "<i>mute.mp4", Video(audio_codec=""))
    dataset = tmp_path_factory.mktemp("packed") / "troubled"
    pack(videos, dataset, replace(SMALL, val_percent=0, test_percent=0, clip_s="5"), QUIET)
    return Troubled(dataset, videos)


def screen_of(dataset: Path, width: int = 120, worst: int = 10) -> str:
    console = Console(file=io.StringIO(), width=width, markup=False, emoji=False, highlight=False)
    show(dataset, ShowOptions(worst=worst), console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def page_of(dataset: Path) -> str:
    survey = read_survey(dataset)
    return page_html(survey, read_clock(survey.sources, survey.info.clock, 10), read_sheets(survey, 6))


def record(offset_s: float = 0.0, lost: int = 0, repairs: Mapping[str, int] = MappingProxyType({})) -> SourceRecord:
    return SourceRecord(
        source="a.mp4",
        action="x",
        clips=2,
        frames=600,
        lost_clips=lost,
        damage="torn" if lost else "",
        stream_offset_s=offset_s,
        repairs=Repairs(**{"longest_still": 1, **repairs}),
    )


def test_the_worst_source_stands_first_and_one_without_trouble_not_at_all(troubled: Troubled):
    survey = read_survey(troubled.dataset)
    worst = worst_first(survey.sources, survey.info.clock, 10)
    order = [survey.sources.name[one.row] for one in worst]
    assert order[0] == "x/damaged.mp4"
    assert set(order[1:3]) == {LATE, "x/gap.mp4"}
    assert order.index("x/slow.mp4") > 2
    assert [one.score for one in worst] == sorted((one.score for one in worst), reverse=True)
    assert worst[0].mostly in ("lost clips", "decode errors")
    assert not worst_first(Sources.gather([record()], 0), CLOCK, 10)


def test_the_figures_are_those_of_the_files(troubled: Troubled):
    survey = read_survey(troubled.dataset)
    sources = survey.sources
    rows = {name: row for row, name in enumerate(sources.name)}
    assert sources.offset_s[rows[LATE]] == pytest.approx(2, abs=0.03)
    assert sources.silence_samples[rows["x/gap.mp4"]] == pytest.approx(2 * 44_100, abs=4_000)
    assert sources.frames_repeated[rows["x/slow.mp4"]] / sources.frames[rows["x/slow.mp4"]] == pytest.approx(
        2 / 3, 0.03
    )
    assert sources.longest_still[rows["x/slow.mp4"]] == 3
    assert sources.lost_clips[rows["x/damaged.mp4"]] >= 1
    assert sources.damage[rows["x/damaged.mp4"]]
    assert [reject.path for reject in survey.rejects] == ["x/<i>mute.mp4"]
    assert survey.notes == ()


def test_every_source_is_counted_once_in_each_histogram(troubled: Troubled):
    survey = read_survey(troubled.dataset)
    clock = read_clock(survey.sources, survey.info.clock, 3)
    count = survey.info.sources
    assert count == 5
    offsets = clock.offsets
    assert offsets.together + sum(offsets.sound_first) + sum(offsets.sound_late) == count
    for one in (clock.silence, clock.repeated, clock.stills):
        assert isinstance(one, Histogram)
        assert len(one.labels) == len(one.counts)
        assert sum(one.counts) == count
    assert sum(one.sources for one in survey.splits) == clock.totals.sources == count


@given(st.lists(st.floats(-1e9, 1e9)))
def test_an_offset_falls_into_one_bin_and_its_opposite_into_the_mirrored_one(offsets: list[float]):
    column = np.array(offsets, np.float64)
    got, mirrored = offset_histogram(column), offset_histogram(-column)
    assert got.together + sum(got.sound_first) + sum(got.sound_late) == len(offsets)
    assert (got.together, got.sound_first, got.sound_late) == (
        mirrored.together,
        mirrored.sound_late,
        mirrored.sound_first,
    )


counts = st.integers(0, 10**6)


@given(silence_samples=counts, audio_breaks=counts, decode_errors=counts, longest_still=counts, lost=counts)
def test_more_trouble_never_scores_less_and_none_drowns_the_others(lost: int, **repairs: int):
    def score(one: SourceRecord) -> float:
        return sum(worst.score for worst in worst_first(Sources.gather([one], 0), CLOCK, 1))

    found = score(record(lost=lost, repairs=repairs))
    assert 0 <= found < 100
    for name, count in repairs.items():
        assert score(record(lost=lost, repairs={**repairs, name: count + 1})) >= found
    assert score(record(lost=lost + 1, repairs=repairs)) >= found
    assert score(record(offset_s=-0.5, lost=lost, repairs=repairs)) > found


@given(st.lists(st.integers(2, 100_000), min_size=1), st.sampled_from(["30", "30000/1001", "12.5"]))
def test_every_clip_has_its_length_bin(lengths: list[int], fps: str):
    rate = Fraction(fps)
    bins = length_bins(np.array(lengths, np.int32), rate)
    assert sum(one.clips for one in bins) == len(lengths)
    assert all(one.low <= one.high for one in bins)
    for one in bins[:-1]:
        assert one.clips == sum(one.low <= frames / rate < one.high for frames in lengths)
    assert bins[-1].clips == sum(bins[-1].low <= frames / rate <= bins[-1].high for frames in lengths)


@pytest.mark.parametrize("width", [32, 40, 60, 80, 120, 200])
def test_the_screen_names_what_matters_at_any_width(troubled: Troubled, width: int):
    text = screen_of(troubled.dataset, width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    flat = re.sub(r"\s+", "", text)
    for words in (
        "train",
        "clip length",
        "no_audio",
        "A/V clock",
        "gaps filled with silence",
        "worst sources first",
        "1 - 10 ms",
        "x/<i>mute.mp4: it has no audio stream that can be decoded",
        "score",
        "offset",
        "silence",
        "repeated",
        "lost",
    ):
        assert words.replace(" ", "") in flat
    if width in (40, 200):
        assert LATE.replace(" ", "") in flat
    if width == 40:
        assert "train: sources 5, clips " in text


def test_the_table_of_the_worst_is_as_long_as_asked(troubled: Troubled):
    text = screen_of(troubled.dataset, worst=1)
    assert "damaged.mp4" in text
    assert "[red]" not in text


def test_where_none_of_the_worst_is_asked_for_nothing_is_said_of_them(troubled: Troubled):
    survey = read_survey(troubled.dataset)
    page = page_html(survey, read_clock(survey.sources, survey.info.clock, 0), ())
    for text in (screen_of(troubled.dataset, worst=0).lower(), page.lower()):
        assert "worst sources" not in text
        assert "no source had any trouble" not in text


def test_a_source_whose_score_is_shown_as_0_is_not_among_the_worst():
    small, other = record(offset_s=0.002), record(offset_s=0.2)
    (worst,) = worst_first(Sources.gather([small, other, small], 0), CLOCK, 10)
    assert worst.row == 1


def test_into_a_pipe_lines_are_wide_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert open_console(wide=True).width == NO_WINDOW
    monkeypatch.setenv("COLUMNS", "50")
    assert open_console(wide=True).width == 50


@pytest.mark.timeout(60)
def test_a_shard_that_is_a_pipe_is_told_and_not_waited_for(troubled: Troubled, tmp_path: Path):
    dataset = shutil.copytree(troubled.dataset, tmp_path / "copy")
    for name in ("train/000000.tar", "rejects.csv"):
        (dataset / name).unlink()
        os.mkfifo(dataset / name)
    survey = read_survey(dataset)
    (sheet,) = read_sheets(survey, survey.clips)
    assert 0 < len(sheet.views) < survey.clips
    assert any("not a regular file" in note for note in sheet.notes)


def test_no_name_from_data_becomes_part_of_the_page_and_it_loads_nothing(troubled: Troubled):
    page = alone(page_of(troubled.dataset))
    assert SCRIPT in page.text
    assert LATE in page.text
    assert "x/<i>mute.mp4" in page.text
    assert len(page.loads) >= 6  # five charts, and at least one clip


def test_the_same_dataset_gives_the_same_page(troubled: Troubled):
    assert page_of(troubled.dataset) == page_of(troubled.dataset)


def test_the_contact_sheet_shows_pictures_and_sound(troubled: Troubled):
    survey = read_survey(troubled.dataset)
    sheet = Image.open(io.BytesIO(sheet_png(survey, read_sheets(survey, 3))))
    pixels = np.asarray(sheet.convert("RGB"))
    assert sheet.format == "PNG"
    assert pixels.shape[1] > 3 * WIDTH
    assert len(sheet.convert("RGB").getcolors(2**24) or ()) > 50  # the pictures' greys, not only ink on paper
    assert 0.02 < (pixels.mean(axis=2) < 128).mean() < 0.9


def test_a_flash_on_the_sheet_stands_over_its_beep(tmp_path: Path):
    frame, event = 61, Fraction(69, 30)  # the clip's second moment; it starts at frame 8
    write_video(tmp_path / "in" / "a.mp4", Video(events=(event,)))
    pack(tmp_path / "in", tmp_path / "out", replace(SMALL, val_percent=0, test_percent=0), QUIET)
    view = read_view(open_dataset(tmp_path / "out", "train"), 0)
    assert view.frames[1] == frame
    brightness = [float(picture.mean()) for picture in view.pictures]
    assert brightness[1] > max(brightness[:1] + brightness[2:]) + 80
    heard = np.flatnonzero(view.high > 0.4)
    assert abs(heard[0] * view.meta.frames / WIDTH - frame) < 1
    assert (heard[-1] - heard[0]) * view.meta.frames / WIDTH < 3


def test_a_damaged_clip_is_left_out_with_a_note(troubled: Troubled, tmp_path: Path):
    dataset = shutil.copytree(troubled.dataset, tmp_path / "copy")
    index = open_dataset(dataset, "train").index
    with (dataset / "train" / "000000.tar").open("r+b") as tar:
        tar.seek(int(index.offset[0]) + 5)
        tar.write(b"damage")
    survey = read_survey(dataset)
    (sheet,) = read_sheets(survey, survey.clips)
    assert len(sheet.views) == survey.clips - 1
    assert [note for note in sheet.notes if index.key(0) in note]
    assert sheet_png(survey, [sheet])
    for tar in dataset.glob("train/*.tar"):
        tar.unlink()
    (empty,) = read_sheets(survey, 2)
    assert not empty.views
    assert Image.open(io.BytesIO(sheet_png(survey, [empty]))).width > WIDTH
    assert "not shown" in page_of(dataset)


def test_a_damaged_side_file_is_told_and_the_rest_is_shown(troubled: Troubled, tmp_path: Path):
    dataset = shutil.copytree(troubled.dataset, tmp_path / "copy")
    left = 5 - len(read_json(dataset / "train" / "000000.json", ShardRecord).sources)
    (dataset / "train" / "000000.json").write_text("{")
    (dataset / "rejects.csv").unlink()
    text = screen_of(dataset, 300)
    assert re.search(r"note: .*000000\.json is damaged.*avsync verify", text)
    assert f"dataset.json counts 5 sources, found in side files: {left}" in text
    assert "dataset.json counts 1 reject, found in rejects.csv: 0" in text


def test_a_dataset_that_is_not_whole_yet_says_how_far_it_is(troubled: Troubled, tmp_path: Path):
    dataset = shutil.copytree(troubled.dataset, tmp_path / "copy")
    (dataset / "dataset.json").unlink()
    (dataset / "train" / "000001.json").unlink()
    with pytest.raises(
        InputError, match=r"not a whole dataset yet: 2 of 3 shards done.*run the same avsync pack again"
    ):
        read_survey(dataset)
    with pytest.raises(InputError, match=r"is not a dataset: no dataset\.json"):
        read_survey(tmp_path / "nothing")


def test_a_dataset_of_one_clip_and_empty_splits_is_shown(tmp_path: Path):
    write_video(tmp_path / "in" / "a.mp4", Video())
    pack(tmp_path / "in", tmp_path / "out", replace(SMALL, val_percent=0, test_percent=100), QUIET)
    text = screen_of(tmp_path / "out")
    assert re.search(r"train +0 +0 +0 s +0 +0 +0", text)
    assert re.search(r"test +1 +1 +5\.\d s +1 +1 +1", text)
    assert "no source was rejected" in text
    assert "test: 1 of 1 clip" in page_of(tmp_path / "out")


def test_side_files_without_sources_give_an_empty_clock(troubled: Troubled, tmp_path: Path):
    dataset = shutil.copytree(troubled.dataset, tmp_path / "copy")
    for side in dataset.glob("train/0*.json"):
        write_json(side, replace(read_json(side, ShardRecord), sources=()))
    survey = read_survey(dataset)
    clock = read_clock(survey.sources, survey.info.clock, 10)
    assert (len(survey.sources), clock.totals.sources, clock.offsets.together) == (0, 0, 0)
    print_screen(survey, clock, QUIET)
    assert "found in side files: 0" in page_of(dataset)


def test_the_command_writes_page_and_sheet_and_leaves_the_dataset_as_it_was(
    troubled: Troubled, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    before = contents(troubled.dataset)
    page, sheet = tmp_path / "page.html", tmp_path / "sheet.png"
    assert main(["show", str(troubled.dataset), "--page", str(page), "--sheet", str(sheet), "--samples", "1"]) == DONE
    text = capsys.readouterr().out
    assert "damaged.mp4" in text
    assert text.splitlines()[-1] == f"Next: open {page} and {sheet}"
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert Image.open(io.BytesIO(sheet.read_bytes())).width > WIDTH
    assert contents(troubled.dataset) == before
    assert main(["show", str(troubled.dataset)]) == DONE


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--page", "{dataset}/page.html"), "lies in the dataset"),
        (("--page", "{other}/page.txt"), "must end in .html"),
        (("--sheet", "{other}/sheet.jpg"), "must end in .png; name it sheet.png"),
        (("--csv", "{dataset}/sources.csv"), "lies in the dataset"),
        (("--csv", "{other}/sources.txt"), "must end in .csv; name it sources.csv"),
        (("--page", "{other}/folder.html"), "is a folder"),
        (("--page", "{other}/no/such/page.html"), "there is no folder {other}/no/such; make it, or name another one"),
        (("--sheet", "{other}/page.txt/sheet.png"), "there is no folder {other}/page.txt; make it"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused_before_the_work(
    flags: tuple[str, str], message: str, troubled: Troubled, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "folder.html").mkdir()
    named = [flag.format(dataset=troubled.dataset, other=tmp_path) for flag in flags]
    assert main(["show", str(troubled.dataset), *named]) == FAILED
    shown = capsys.readouterr()
    assert message.format(other=tmp_path) in shown.err
    assert shown.out == ""
    assert [path.name for path in tmp_path.rglob("*")] == ["folder.html"]


def test_a_number_below_zero_is_refused(capsys: pytest.CaptureFixture[str]):
    assert main(["show", "dataset", "--worst", "-1"]) == USAGE
    assert "--worst -1 must not be below 0" in capsys.readouterr().err


def test_a_name_cannot_steer_the_terminal():
    assert plain("a\x1b[2Jb\nc\u202ed é 映") == "a\\x1b[2Jb\\nc\\u202ed é 映"

"""A curated table: what is written is read again, what is kept becomes sources, a wrong row is named by its line."""

from collections import Counter
from fractions import Fraction as F
from pathlib import Path

import pytest

from sharding.base.csv_table import CsvTable
from sharding.config import PackConfig
from sharding.errors import InputError
from sharding.format.crop import BoxPath, Knot
from sharding.sources.crops import write_boxes
from sharding.sources.curated import (
    COLUMNS,
    OPTIONAL,
    CuratedRow,
    Verdict,
    boxes_beside,
    is_curated,
    read_curated,
    write_curated,
)
from sharding.sources.duplicates import find_duplicates
from sharding.sources.find import find_sources, settled
from sharding.sources.kinetics import is_kinetics
from sharding.sources.source import Source, SourceList

KEPT = CuratedRow(path="a/b.mp4", verdict=Verdict.KEEP, offset_ms=F(0), confidence=1.0)
ROWS = (
    KEPT,
    CuratedRow(
        path="a/b, c.mp4",
        verdict=Verdict.KEEP_SHIFTED,
        reason='late, says "he"',
        start_s=F(1, 3),
        end_s=F(25, 2),
        track=7,
        offset_ms=F(-451, 10),
        low_ms=F(-60),
        high_ms=F(-30),
        confidence=0.8125,
        drift_ms_min=F(1, 4),
        action="talk",
        split="val",
        group="g",
        video_stream=0,
        audio_stream=2,
    ),
    *(CuratedRow(path=f"{verdict}.mp4", verdict=verdict, reason="why") for verdict in Verdict if not verdict.keeps),
)


def table_of(tmp_path: Path, *rows: CuratedRow) -> Path:
    write_curated(tmp_path / "curated.csv", rows)
    return tmp_path / "curated.csv"


def listed(tmp_path: Path, *rows: CuratedRow, **settings: float) -> SourceList:
    return find_sources(table_of(tmp_path, *rows), config=PackConfig(**settings))  # pyright: ignore[reportArgumentType]


def without_line(row: CuratedRow) -> CuratedRow:
    return CuratedRow(**{name: getattr(row, name) for name in row.__dataclass_fields__ if name != "line"})


@pytest.mark.parametrize("rows", [ROWS, ROWS[:1], ROWS[2:]], ids=["all", "plain", "none kept"])
def test_what_was_written_is_read_again(rows: tuple[CuratedRow, ...], tmp_path: Path):
    table = CsvTable(table_of(tmp_path, *rows))
    assert is_curated(table.header)
    assert not is_kinetics(table.header)
    assert table.header[: len(COLUMNS)] == list(COLUMNS)
    again = read_curated(table)
    assert tuple(map(without_line, again)) == rows
    assert [row.line for row in again] == list(range(2, len(rows) + 2))


def test_columns_that_nobody_fills_are_not_written(tmp_path: Path):
    assert not set(OPTIONAL) & set(CsvTable(table_of(tmp_path, KEPT)).header)


GOOD = {
    "path": "a.mp4", "start_s": "1", "end_s": "5/2", "track": "", "offset_ms": "-40", "confidence": "0.9",
    "verdict": "keep", "reason": "",
}  # fmt: skip
WRONG = {
    "path": ("",),
    "start_s": ("-1", "soon", "3"),
    "end_s": ("1", "1e3", "0"),
    "track": ("0", "1.5", "-2", "left"),
    "offset_ms": ("", "late", "1e2", "nan"),
    "confidence": ("", "1.01", "-0.1", "90 %"),
    "verdict": ("", "Keep it", "dropped"),
    "reason": ("a\u0007b",),
}


@pytest.mark.parametrize(("column", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_wrong_cell_stops_the_work_and_the_error_names_line_and_column(column: str, value: str, tmp_path: Path):
    path = tmp_path / "t.csv"
    rows = [
        ",".join(GOOD.values()),
        ",".join((GOOD | {column: value, "reason": GOOD["reason"]} | {column: value}).values()),
    ]
    path.write_text("\n".join((",".join(GOOD), *rows)))
    with pytest.raises(InputError, match=f"line 3: .*{column}") as caught:
        read_curated(CsvTable(path))
    assert "\n" not in str(caught.value)


def test_a_verdict_is_read_as_spreadsheets_write_it(tmp_path: Path):
    (tmp_path / "t.csv").write_text(",".join(GOOD) + "\n" + ",".join((GOOD | {"verdict": "Can’t tell"}).values()))
    (row,) = read_curated(CsvTable(tmp_path / "t.csv"))
    assert row.verdict is Verdict.CANT_TELL


@pytest.mark.parametrize("change", ["confidence", "hue", "path,path"])
def test_another_header_is_refused_with_the_right_one(change: str, tmp_path: Path):
    names = [name for name in GOOD if name != change] + ([change] if change not in GOOD else [])
    (tmp_path / "t.csv").write_text(",".join(names) + "\n")
    with pytest.raises(InputError, match=r"line 1: .*the header of a curated table is path,start_s"):
        find_sources(tmp_path / "t.csv")


def test_what_is_kept_and_sure_enough_becomes_sources_and_the_rest_is_counted(tmp_path: Path):
    rows = [
        CuratedRow(path=f"x/{n}.mp4", verdict=Verdict.KEEP_SHIFTED, offset_ms=F(n), confidence=n / 10)
        for n in range(1, 10)
    ]
    drops = [CuratedRow(path="y.mp4", verdict=Verdict.DROP, reason="silent", end_s=F(n)) for n in (1, 2)]
    unknown = CuratedRow(path="z.mp4", verdict=Verdict.CANT_TELL, reason="too short")
    found = listed(tmp_path, *rows, *drops, unknown, min_confidence=0.7)
    assert [(one.rel, one.sound_late_ms, one.action) for one in found.sources] == [
        (f"x/{n}.mp4", F(n), "x") for n in (7, 8, 9)
    ]
    assert {(one.verdict, one.reason): one.rows for one in found.left_out} == {
        ("keep shifted", "confidence below 0.7"): 6,
        ("drop", "silent"): 2,
        ("can't tell", "too short"): 1,
    }
    assert found.left_out[0].rows == 6
    assert len(listed(tmp_path, *rows, *drops, unknown).sources) == 9


def test_a_table_that_keeps_nothing_says_why(tmp_path: Path):
    with pytest.raises(InputError, match=r"keeps none of its 2 rows .*1 drop: why"):
        listed(tmp_path, *ROWS[2:])


@pytest.mark.parametrize("name", ["folder", "list.csv"])
def test_a_least_confidence_is_for_curated_tables(name: str, tmp_path: Path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "list.csv").write_text("path,action\na.mp4,a\n")
    with pytest.raises(InputError, match=r"--min-confidence 0.5 is for a table of avsync curate"):
        find_sources(tmp_path / name, config=PackConfig(min_confidence=0.5))


@pytest.mark.parametrize("videos", [".", "..", "inside", "list.csv", "/"])
def test_whatever_is_no_curated_table_has_no_boxes_of_its_own(
    videos: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "inside").mkdir()
    monkeypatch.chdir(tmp_path / "inside")
    Path("list.csv").write_text("path,action\na.mp4,a\n")
    Path("list.boxes.csv").write_text("path,track,time_s,x,y,width,height\n")
    assert settled(Path(videos), PackConfig(crop="faces")) == PackConfig(crop="faces")


def test_a_row_for_all_of_a_file_is_the_source_that_a_folder_of_it_gives(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.mp4").write_bytes(b"x")
    (one,) = find_sources(tmp_path).sources
    (other,) = listed(tmp_path, KEPT).sources
    names = [name for name in Source.__dataclass_fields__ if name not in ("line", "sound_late_ms")]
    assert [getattr(one, name) for name in names] == [getattr(other, name) for name in names]


def test_pieces_and_tracks_of_a_file_are_no_twins_but_its_copy_is(tmp_path: Path):
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"the same bytes")
    still = [BoxPath(track=n, faces=2, width=F(4), height=F(4), knots=(Knot(F(0), F(n), F(0)),)) for n in (1, 2)]
    write_boxes(boxes_beside(tmp_path / "curated.csv"), [("a.mp4", still), ("b.mp4", still)])
    rows = [
        CuratedRow(path=name, verdict=Verdict.KEEP, offset_ms=F(late), confidence=1.0, end_s=end, track=track)
        for name, late in (("a.mp4", 3), ("b.mp4", 4))
        for end in (F(5), F(6), None)
        for track in (None, 1, 2)
    ]
    found = listed(tmp_path, *rows)
    assert len({one.id for one in found.sources}) == len(rows)
    assert len({one.group for one in found.sources}) == 2
    repeats = find_duplicates(found.sources)
    assert {one.rel for one in found.sources if one.id not in repeats} == {"a.mp4"}
    assert len(repeats) == len(rows) // 2
    assert Counter(one.crops for one in found.sources if one.crops) == {(path,): 6 for path in still}


def test_two_rows_for_one_piece_and_two_groups_of_a_file_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"lines 2 and 3: both name the same piece of a/b.mp4"):
        listed(tmp_path, KEPT, KEPT)
    other = CuratedRow(path=KEPT.path, verdict=Verdict.KEEP, offset_ms=F(0), confidence=1.0, end_s=F(4), group="g")
    with pytest.raises(InputError, match=r"lines 2 and 3: two pieces of a/b.mp4 are in two groups"):
        listed(tmp_path, KEPT, other)


def test_a_track_that_no_table_has_is_refused_and_a_wrong_box_costs_its_video(tmp_path: Path):
    row = CuratedRow(path="a.mp4", verdict=Verdict.KEEP, offset_ms=F(0), confidence=1.0, track=3)
    boxes = boxes_beside(tmp_path / "curated.csv")
    with pytest.raises(InputError, match=r"line 2: .*curated\.boxes\.csv.* does not exist"):
        listed(tmp_path, row)
    boxes.write_text("path,track,time_s,x,y,width,height\na.mp4,1,0,0,0,9,9\n")
    with pytest.raises(InputError, match=r"line 2: .* has no track 3 of a.mp4"):
        listed(tmp_path, row)
    boxes.write_text("path,track,time_s,x,y,width,height\na.mp4,3,0,0,0,9,wide\n")
    (source,) = listed(tmp_path, row).sources
    assert (source.crops, "line 2: height 'wide'" in source.crop_fault) == ((), True)


def test_another_table_of_boxes_would_contradict_the_tracks(tmp_path: Path):
    row = CuratedRow(path="a.mp4", verdict=Verdict.KEEP, offset_ms=F(0), confidence=1.0, track=3)
    boxes_beside(tmp_path / "curated.csv").write_text("path,track,time_s,x,y,width,height\na.mp4,3,0,0,0,9,9\n")
    with pytest.raises(InputError, match=r"--crop other.csv: .*has boxes of its own"):
        find_sources(table_of(tmp_path, row), config=PackConfig(crop="other.csv"))

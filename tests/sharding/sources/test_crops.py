"""A table of moving boxes: what a person writes is read exactly, and a wrong row costs its video alone."""

import itertools
from fractions import Fraction
from pathlib import Path

import pytest

from sharding.errors import InputError
from sharding.format.crop import BoxPath, Knot
from sharding.sources.crops import COLUMNS, with_boxes, write_boxes
from sharding.sources.source import Source, SourceList

HEADER = ",".join(COLUMNS)


def listed(*names: str) -> SourceList:
    return SourceList(
        sources=tuple(Source(id=name, path=Path(name), rel=name, action="a", group=name) for name in names)
    )


def read(tmp_path: Path, *rows: str, header: str = HEADER, names: tuple[str, ...] = ("a.mp4", "b.mp4")) -> SourceList:
    table = tmp_path / "boxes.csv"
    table.write_text("\n".join((header, *rows)) + "\n")
    return with_boxes(listed(*names), table)


def test_what_was_written_is_read_again_exactly(tmp_path: Path):
    third, half = Fraction(1, 3), Fraction(1, 2)
    moving = (Knot(third, half, Fraction(-3)), Knot(Fraction(2), Fraction(7), third), Knot(Fraction(5), half, half))
    tracks = {
        "a.mp4": (
            BoxPath(track=1, faces=2, width=Fraction(40), height=Fraction(81, 2), knots=moving),
            BoxPath(track=7, faces=2, width=half, height=third, knots=moving[1:]),
        ),
        "b.mp4": (BoxPath(track=1, faces=1, width=half, height=half, knots=(Knot(Fraction(0), half, half),)),),
    }
    write_boxes(tmp_path / "boxes.csv", tracks.items())
    found = with_boxes(listed(*tracks), tmp_path / "boxes.csv")
    assert {source.rel: source.crops for source in found.sources} == tracks
    assert not any(source.crop_fault for source in found.sources)


def test_how_many_are_there_at_once_need_not_be_written(tmp_path: Path):
    rows = ("a.mp4,1,0,0,0,9,9", "a.mp4,1,5,0,0,9,9", "a.mp4,2,4,0,0,9,9", "a.mp4,2,9,0,0,9,9", "a.mp4,3,9,0,0,9,9")
    (source, _) = read(tmp_path, *rows, "a.mp4,3,10,0,0,9,9").sources
    assert source.crops is not None
    assert [path.faces for path in source.crops] == [2, 2, 1]


GOOD = {"path": "a.mp4", "track": "1", "time_s": "1.5", "x": "3", "y": "4", "width": "20", "height": "30/7"}
WRONG = {
    "track": ("", "0", "-1", "1.5", "one", "9" * 12),
    "time_s": ("soon", "nan", "1e5", "1/0"),
    "x": ("", "left", "inf", "1" + "0" * 9),
    "y": ("", "1,5 px", "--3"),
    "width": ("0", "-4", "", "wide"),
    "height": ("0", "nan", "1/0"),
    "faces": ("0", "two", "-1"),
}
CASES = [(column, value) for column, values in WRONG.items() for value in values]


@pytest.mark.parametrize(("column", "value"), CASES)
def test_a_wrong_cell_costs_its_video_and_says_which_line(column: str, value: str, tmp_path: Path):
    header = f"{HEADER},faces"
    wrong = GOOD | {"faces": "1", column: f'"{value}"'}
    rows = [",".join((GOOD | {"path": "b.mp4", "faces": ""}).values()), ",".join(wrong.values())]
    spoiled, fine = read(tmp_path, *rows, header=header).sources
    assert spoiled.crops == ()
    assert "line 3" in spoiled.crop_fault
    assert column in spoiled.crop_fault or "above 0" in spoiled.crop_fault
    assert fine.crops is not None
    assert fine.crops[0].knots == (Knot(Fraction(3, 2), Fraction(3), Fraction(4)),)
    assert not fine.crop_fault


@pytest.mark.parametrize(
    ("second", "why"),
    [
        ("a.mp4,1,1,3,4,20,30", "must come after 1"),
        ("a.mp4,1,0.5,3,4,20,30", "must come after 1"),
        ("a.mp4,1,,3,4,20,30", "must come after 1"),
        ("a.mp4,1,2,3,4,21,30", "keep one size"),
    ],
)
def test_rows_of_one_track_keep_their_order_and_size(second: str, why: str, tmp_path: Path):
    spoiled, _ = read(tmp_path, "a.mp4,1,1,3,4,20,30", second, "b.mp4,1,,0,0,9,9").sources
    assert why in spoiled.crop_fault
    assert "line 3" in spoiled.crop_fault


def test_a_video_without_a_row_says_so_and_a_row_without_a_video_is_noted(tmp_path: Path):
    found = read(tmp_path, "./a.mp4,1,,0,0,9,9", "c.mp4,1,,0,0,9,9")
    assert found.sources[0].crops
    assert "has no row for it" in found.sources[1].crop_fault
    assert "c.mp4" in found.notes[-1]
    with pytest.raises(InputError, match=r"none of your videos'.*a\.mp4"):
        read(tmp_path, "x/a.mp4,1,,0,0,9,9")


def test_letters_of_another_unicode_form_name_the_same_video(tmp_path: Path):
    found = read(tmp_path, "caf\u0065\u0301.mp4,1,,0,0,9,9", names=("caf\u00e9.mp4",))
    assert found.sources[0].crops


@pytest.mark.parametrize("dropped", COLUMNS)
def test_a_header_without_a_column_names_it(dropped: str, tmp_path: Path):
    header = ",".join(name for name in COLUMNS if name != dropped)
    with pytest.raises(InputError, match=rf"line 1: missing \[{dropped}\]"):
        read(tmp_path, header=header)


def test_a_table_that_is_none_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="has no rows"):
        read(tmp_path)
    with pytest.raises(InputError, match=r"unknown or twice \[colour\]"):
        read(tmp_path, header=f"{HEADER},colour")
    with pytest.raises(InputError, match="there is no path"):
        read(tmp_path, ",1,,0,0,9,9")
    with pytest.raises(InputError, match="cannot be read"):
        with_boxes(listed("a.mp4"), tmp_path / "none.csv")


def test_every_column_has_a_wrong_cell_among_the_cases():
    assert {column for column, _ in CASES} | {"path"} == {*COLUMNS, "faces"}
    assert len(set(CASES)) == len(list(itertools.chain(*WRONG.values())))

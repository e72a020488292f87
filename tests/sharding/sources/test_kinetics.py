"""A Kinetics list finds its files, whatever the download made of them; what has vanished is told, not fatal."""

import io
import json
import tarfile
from fractions import Fraction
from pathlib import Path

import pytest

from sharding.config import PackConfig
from sharding.errors import InputError
from sharding.format.index import SPLITS
from sharding.pack.pack import pack
from sharding.sources.find import find_sources
from sharding.sources.source import Source, assign_splits
from tests.media import Video, write_video
from tests.sharding.conftest import QUIET

HEADER = "label,youtube_id,time_start,time_end,split\n"
ROW = "playing harp,-Ab_c-1__xY,12,22,validate\n"
CUT, WHOLE = "-Ab_c-1__xY_000012_000022", "-Ab_c-1__xY"


def listed(folder: Path, text: str, *files: str, name: str = "list.csv") -> Path:
    """A list, and empty files below the folder `videos` beside it."""
    for file in files:
        path = folder / "videos" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (folder / name).write_bytes(text.encode())
    return folder / name


def only(folder: Path, text: str, *files: str) -> Source:
    (source,) = find_sources(listed(folder, text, *files)).sources
    return source


FOLDERS = ["", "playing harp/", "playing_harp/", "PlayingHarp/", "val/playing harp/", "validate/x/playing_harp/", "a/"]


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("suffix", [".mp4", ".MKV", ".webm"])
def test_a_cut_file_is_found_in_any_folder_and_used_whole(folder: str, suffix: str, tmp_path: Path):
    source = only(tmp_path, HEADER + ROW, f"{folder}{CUT}{suffix}", f"{folder}{WHOLE}.mp4")
    assert source.path == tmp_path / "videos" / f"{folder}{CUT}{suffix}"
    assert source.path.is_file()
    assert (source.action, source.split, source.group, source.span) == ("playing harp", "val", WHOLE, None)
    assert (source.line, source.absent) == (2, "")


@pytest.mark.parametrize("folder", FOLDERS)
def test_of_a_whole_file_the_seconds_of_the_row_are_used(folder: str, tmp_path: Path):
    source = only(tmp_path, HEADER + ROW.replace("12,22", "12.5,22"), f"{folder}{WHOLE}.mkv")
    assert source.path == tmp_path / "videos" / f"{folder}{WHOLE}.mkv"
    assert source.span == (Fraction("12.5"), Fraction(22))


def test_a_clip_keeps_its_id_wherever_and_however_its_file_is_stored(tmp_path: Path):
    shapes = (f"{CUT}.mp4", f"playing_harp/{CUT}.mkv", f"{WHOLE}.mp4")
    ids = {only(tmp_path / str(n), HEADER + ROW, shape).id for n, shape in enumerate(shapes)}
    assert len(ids) == 1
    assert f"playing_harp-{CUT}-" in ids.pop()


def test_of_several_files_the_one_in_the_folder_of_label_and_split_is_taken(tmp_path: Path):
    rows = "".join(
        f"{label},{youtube_id},1,11,{split}\n"
        for youtube_id, label, split in (("one", "a b", "train"), ("one", "c", "train"), ("two", "a b", "val"))
    )
    files = [f"{place}/{name}_000001_000011.mp4" for place in PLACES for name in ("one", "two", "not", "on")]
    sources = find_sources(listed(tmp_path, HEADER + rows, *files)).sources
    found = {(one.group, one.action): one.path.relative_to(tmp_path / "videos").parent.as_posix() for one in sources}
    assert found == {("one", "a b"): "train/a_b", ("one", "c"): "train/c", ("two", "a b"): "validation/a_b"}


PLACES = ("0", "test/a_b", "train/a_b", "train/c", "train/xa_b", "validation/a_b", "validation/c")


def test_windows_lines_quotes_blanks_capitals_and_further_columns_do_not_matter(tmp_path: Path):
    text = (
        "\ufeffLabel,YouTube_ID,Time_Start,Time_End,Split,is_cc\r\n\r\n"
        '"tying, not ""untying"" ", =ab-c ,3,13.0,TRAIN,0\r\n'
    )
    source = only(tmp_path, text, "=ab-c_000003_000013.mp4")
    assert (source.action, source.split, source.line) == ('tying, not "untying"', "train", 3)


def test_a_test_list_has_no_labels_and_says_so(tmp_path: Path):
    found = find_sources(listed(tmp_path, "youtube_id,time_start,time_end\na,1,11\n", "a.mp4"))
    (source,) = found.sources
    assert (source.action, source.split) == ("unlabelled", None)
    assert found.notes == ("1 of 1 rows have no label: their action is 'unlabelled'",)


def test_the_files_are_sought_below_the_root(tmp_path: Path):
    write = listed(tmp_path, HEADER + ROW, f"{CUT}.mp4", name="lists.csv")
    (tmp_path / "empty").mkdir()
    (found,) = find_sources(write, tmp_path / "videos").sources
    assert found.rel == f"{CUT}.mp4"
    with pytest.raises(InputError, match=rf"empty has no file for any of the 1 rows .*{CUT}.mp4 .cut. or {WHOLE}.mp4"):
        find_sources(write, tmp_path / "empty")


def test_a_vanished_video_is_a_source_without_a_file(tmp_path: Path):
    found = find_sources(listed(tmp_path, f"{HEADER}{ROW}x,gone,1,11,train\n", f"{CUT}.mp4", "gone.mp4.part", "go.mp4"))
    gone, here = found.sources  # by path
    assert (here.absent, here.path.is_file()) == ("", True)
    assert (gone.absent, gone.path.exists()) == (f"no file of gone under {tmp_path}", False)
    assert gone.rel == "gone_000001_000011"
    assert found.notes == (f"1 of 2 rows have no file below {tmp_path}",)


def test_a_row_that_names_a_clip_again_is_left_out_and_counted(tmp_path: Path):
    rows = "x,a,1,11,train\nx,a,1,11,train\nx,a,1.0,11,val\nx,a,2,12,train\ny,a,1,11,train\n"
    found = find_sources(listed(tmp_path, HEADER + rows, "a.mp4"))
    kept = sorted((one.action, one.span, one.split) for one in found.sources)
    assert kept == [("x", (1, 11), "train"), ("x", (2, 12), "train"), ("y", (1, 11), "train")]
    assert found.notes == ("2 of 5 rows name a clip again: the first of each is kept",)


def test_the_published_split_holds_and_videos_on_two_sides_are_counted(tmp_path: Path):
    rows = "x,a,1,11,train\nx,a,20,30,val\nx,a,40,50,\nx,b,1,11,test\nx,b,20,30,\nx,c,1,11,\nx,c,20,30,\n"
    found = find_sources(listed(tmp_path, HEADER + rows, "a.mp4", "b.mp4", "c.mp4"))
    assert found.notes == ("3 of 7 rows are of videos in several splits of the list: each stays in its own",)
    splits = assign_splits(found.sources, PackConfig(val_percent=100, test_percent=0))
    sides = {side: sorted((one.group, int(one.span[0])) for one in ones if one.span) for side, ones in splits.items()}
    assert sides == {
        "train": [("a train", 1), ("a train", 40)],
        "val": [("a val", 20), ("c", 1), ("c", 20)],
        "test": [("b", 1), ("b", 20)],
    }


WRONG = {
    "line 1: a column twice": f"label,{HEADER}{ROW}",
    "has no rows; write one line for each clip": HEADER,
    "line 3: 4 columns, the header has 5": f"{HEADER}{ROW}x,a,1,2",
    "line 2: youtube_id '' is none": f"{HEADER}x,,1,11,train",
    "line 2: youtube_id '../a' is none; it is the name of a video": f"{HEADER}x,../a,1,11,train",
    "line 2: youtube_id 'a\\\\x00' holds a control character": f"{HEADER}x,a\0,1,11,train",
    "line 2: label 'a\\\\tb' holds a control character": f"{HEADER}a\tb,a,1,11,train",
    "line 2: split 'dev' is not known; use train, val, validate, validation, test": f"{HEADER}x,a,1,11,dev",
    "line 2: time_start 'soon' and time_end '11' must be seconds": f"{HEADER}x,a,soon,11,train",
    "line 2: time_start '' and time_end ''": f"{HEADER}x,a,,,train",
    "line 2: time_start '1e999999999' and": f"{HEADER}x,a,1e999999999,11,train",
    "line 2: time_start 11 must be at least 0 and before time_end 1": f"{HEADER}x,a,11,1,train",
    "line 2: time_start -1 must be at least 0": f"{HEADER}x,a,-1,1,train",
    "is not UTF-8": f"{HEADER}\udcff",
}


@pytest.mark.parametrize("message", WRONG)
def test_a_wrong_row_is_refused_with_its_line(message: str, tmp_path: Path):
    (tmp_path / "list.csv").write_bytes(WRONG[message].encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=message) as caught:
        find_sources(tmp_path / "list.csv")
    assert "list.csv" in str(caught.value)


def test_a_kinetics_shaped_tree_is_packed(tmp_path: Path):
    """Cut and whole files, all splits, a vanished video, a label with a comma."""
    table = tmp_path / "list.csv"
    table.write_text(
        f"{HEADER}playing harp,-h_1,0,10,train\n"
        '"tying knot (not on a tie), fast",_k-2,3,13,validate\n'
        "playing harp,whole00,2,7,train\n"
        "playing harp,whole00,7,12,train\n"
        "playing harp,vanished,0,10,train\n"
        "playing harp,t-3,0,10,test\n"
    )
    root, video = tmp_path / "videos", Video(width=64, height=48)
    write_video(root / "train/playing_harp/-h_1_000000_000010.mp4", video)
    write_video(root / "val/tying knot (not on a tie), fast/_k-2_000003_000013.mkv", video)
    write_video(root / "train/playing_harp/whole00.mp4", Video(width=64, height=48, seconds=Fraction(13), seed=1))
    write_video(root / "test/t-3_000000_000010.mp4", Video(width=64, height=48, seed=2))
    config = PackConfig(size=32, workers=1)
    found = find_sources(table)
    assert found.notes == (f"1 of 6 rows have no file below {tmp_path}",)
    summary = pack(table, tmp_path / "out", config, QUIET)
    assert summary.clips == {"train": 3, "val": 1, "test": 1}
    assert [(one.path, one.reason) for one in summary.rejects] == [("vanished_000000_000010", "unreadable")]
    clips = sorted(
        (split, meta["action"], meta["group"], meta["first_frame"])
        for split in SPLITS
        for shard in (tmp_path / "out" / split).glob("*.tar")
        for meta in metas(shard)
    )
    trim = 8  # a quarter of a second, whole frames
    assert clips == [
        ("test", "playing harp", "t-3", trim),
        ("train", "playing harp", "-h_1", trim),
        ("train", "playing harp", "whole00", 2 * 30 + trim),
        ("train", "playing harp", "whole00", 7 * 30 + trim),
        ("val", "tying knot (not on a tie), fast", "_k-2", trim),
    ]


def metas(shard: Path) -> list[dict[str, str]]:
    with tarfile.open(shard) as tar:
        return [json.load(tar.extractfile(one) or io.BytesIO()) for one in tar if one.name.endswith(".json")]

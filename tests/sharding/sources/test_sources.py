"""Folders and CSVs become sources; names from outside stay names."""

import os
import random
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from sharding.base.text import counted
from sharding.config import PackConfig
from sharding.errors import InputError
from sharding.format.crop import BoxPath, Knot
from sharding.sources.find import find_sources
from sharding.sources.source import OtherFiles, assign_splits, source_id


def table(folder: Path, text: str | bytes) -> Path:
    path = folder / "videos.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_the_folder_around_a_video_is_its_action(tmp_path: Path):
    for name in ("b/x.MP4", "a/deep/y.mkv", "top.webm", "a/notes.txt", "a/.hidden.mp4", ".trash/z.mp4"):
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = find_sources(tmp_path / "set")
    assert [(one.rel, one.action) for one in found.sources] == [
        ("a/deep/y.mkv", "deep"),
        ("b/x.MP4", "b"),
        ("top.webm", "set"),
    ]
    assert str(found.ignored) == "1 file (1 .txt: a/notes.txt)"


@pytest.mark.parametrize("parts", [1, 2, 7])
def test_tracks_of_parts_of_one_file_never_have_one_number(tmp_path: Path, parts: int):
    rows = [f"{name}.mp4,a,{part * 2},{part * 2 + 3}" for part in range(parts) for name in "xy"]
    path = table(tmp_path, "\n".join(["path,action,start_s,end_s", *rows]))
    box = BoxPath(
        track=1, faces=1, width=Fraction(8), height=Fraction(8), knots=(Knot(Fraction(0), *[Fraction(0)] * 2),)
    )
    found = [replace(box, track=number) for number in range(1, 40)]
    sources = find_sources(path).sources
    for name in "xy":
        mine = sorted((one for one in sources if one.rel == f"{name}.mp4"), key=lambda one: one.span or (0, 0))
        assert [one.piece for one in mine] == [(number, parts) for number in range(parts)]
        numbers = [path.track for one in mine for path in one.own_numbers(found)]
        assert sorted(numbers) == list(range(1, 39 * parts + 1))
    plain = find_sources(path, config=PackConfig()).sources
    assert {one.piece for one in plain} == {(0, 1)}, "where no faces are looked for nothing is packed anew for it"


@pytest.mark.parametrize("seed", range(20))
def test_what_is_left_out_is_counted_by_kind_and_named(seed: int) -> None:
    rng, others = random.Random(seed), OtherFiles()
    kinds = ["a.json", "b.TXT", "c.jpg", "noext", "d.tar.gz", "e.\x1bm", ".hidden", "long." + "x" * 50]
    names = [f"{number}/{rng.choice(kinds[: rng.randint(1, 8)])}" for number in range(rng.randint(1, 40))]
    for name in names:
        others.add(name)
    told = str(others)
    assert told.startswith(counted(len(names), "file"))
    assert told.isprintable()
    assert len(told) < 250
    counts = [int(number) for number in re.findall(r"[(,] ?(\d+) (?:\.|without|of)", told)]
    assert sum(counts) == len(names)
    for name in re.findall(r"(?: like|:) (\S+?)(?=[,)])", told):
        assert name.replace("\\x1b", "\x1b") in names


def test_videos_behind_links_that_lead_out_of_the_folder_are_packed_and_said(tmp_path: Path):
    videos, elsewhere = tmp_path / "videos", tmp_path / "videos-of-others"
    for path in (videos / "a" / "own.mp4", elsewhere / "deep" / "1.mp4", elsewhere / "2.mp4", elsewhere / "note.txt"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (videos / "a" / "inside.mp4").symlink_to("own.mp4")
    assert find_sources(videos).notes == ()
    (videos / "b").symlink_to(elsewhere)
    (videos / "a" / "single.mp4").symlink_to(elsewhere / "2.mp4")
    (videos / "a" / "gone.mp4").symlink_to(videos / "nowhere.mp4")
    found = find_sources(videos)
    assert [one.rel for one in found.sources] == [
        "a/gone.mp4", "a/inside.mp4", "a/own.mp4", "a/single.mp4", "b/2.mp4", "b/deep/1.mp4",
    ]  # fmt: skip
    assert found.notes == (f"3 videos lie outside of {videos}, behind links: a/single.mp4, b/2.mp4, b/deep/1.mp4",)
    (tmp_path / "typed").symlink_to(elsewhere)
    assert find_sources(tmp_path / "typed").notes == (), "what is typed may be a link"


def test_a_link_that_leads_back_is_walked_once(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.mp4").touch()
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    assert len(find_sources(tmp_path).sources) == 1


@pytest.mark.parametrize("make", ["missing", "empty", "no videos", "a file"])
def test_input_without_videos_is_refused_by_name(make: str, tmp_path: Path):
    target = tmp_path / "in"
    if make != "missing":
        target.mkdir()
    if make in ("no videos", "a file"):
        (target / "x.txt").touch()
    if make == "a file":
        target = target / "x.txt"
    with pytest.raises(InputError, match=re.escape(str(target))):
        find_sources(target)


HOSTILE = [
    "../../etc/passwd.mp4",
    "/etc/passwd.mp4",
    "a" * 240 + ".mp4",
    "日本語/映画.mp4",
    "x\ny.mp4",
    "...mp4",
    "a b'\"$;.mp4",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_an_id_has_safe_characters_only_and_is_short(name: str):
    made = source_id(name)
    assert re.fullmatch(r"[A-Za-z0-9_-]{16,73}", made)
    assert made == source_id(name)
    assert len({source_id(name), source_id(name + "x"), source_id(name, "@0:1")}) == 3


@pytest.mark.parametrize("name", HOSTILE)
def test_an_id_fits_into_a_tar_name_with_all_that_follows_it(name: str):
    assert len(f"{source_id(name)}/{10**8 - 1:08d}.video.npy") <= 100


def test_two_names_with_one_id_are_refused(tmp_path: Path, monkeypatch):
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    monkeypatch.setattr("sharding.sources.find.source_id", lambda rel: "0" * 16)
    with pytest.raises(InputError, match=r"'a.mp4' and 'b.mp4' would both be called 0000000000000000"):
        find_sources(tmp_path)


def test_a_file_name_that_is_no_text_is_kept_apart_and_printable(tmp_path: Path):
    for name in (b"\xff.mp4", b"\xfe.mp4"):
        Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name))).touch()
    sources = find_sources(tmp_path).sources
    assert len({one.id for one in sources}) == 2
    assert all(one.rel.encode() for one in sources)


def test_a_csv_names_path_action_span_split_and_group(tmp_path: Path):
    text = '\ufeffpath,action,start_s,end_s,split,group\r\n\r\na/x.mp4,dogs,1.5,,val,g\r\n"b, c.mp4",cats,,,,\r\n'
    first, second = find_sources(table(tmp_path, text)).sources
    assert (first.path, first.action, first.split, first.group) == (tmp_path / "a/x.mp4", "dogs", "val", "g")
    assert first.span == (1.5, None)
    assert (second.rel, second.span, second.split, second.group) == ("b, c.mp4", None, None, "b, c.mp4")


def test_a_line_ends_where_a_line_ends_and_not_at_characters_of_a_name(tmp_path: Path):
    text = "path,action\rold mac.mp4,x\r\na\u2028b\x85c.mp4,y\n"
    assert [one.rel for one in find_sources(table(tmp_path, text)).sources] == ["a\u2028b\x85c.mp4", "old mac.mp4"]


def test_the_paths_of_a_csv_count_from_the_root_if_one_is_named(tmp_path: Path):
    listed = table(tmp_path, "path,action,boxes\na/x.mp4,dogs,x.json\n")
    (tmp_path / "root").mkdir()
    (here,), (there,) = (find_sources(listed, root).sources for root in (None, tmp_path / "root"))
    assert (here.path, here.boxes) == (tmp_path / "a/x.mp4", tmp_path / "x.json")
    assert (there.path, there.boxes) == (tmp_path / "root/a/x.mp4", tmp_path / "root/x.json")
    assert there.id == here.id
    with pytest.raises(InputError, match=r"--root .*missing is no folder"):
        find_sources(listed, tmp_path / "missing")
    with pytest.raises(InputError, match=r"--root .*is a folder: leave --root out"):
        find_sources(tmp_path, tmp_path)


WRONG = {
    "is empty": "",
    "line 1: missing \\['action'\\]": "path,label\nx,y".replace("label", "group"),
    "has no rows; write one line for each video": "path,action\n\n",
    "line 1: 'path;action' is one column; the separator must be a comma": "path;action\nx.mp4;a",
    "line 1: 'a/x.mp4,dogs' is no header; the first line must be the header path,action": "a/x.mp4,dogs\nb.mp4,cats",
    "line 3: action 'a\\\\nb' holds a control character": 'path,action\nx.mp4,"a\nb"',
    "line 2: action 'a\\\\x00b' holds a control character": "path,action\nx.mp4,a\0b",
    "line 2: group 'g\\\\x1b' holds a control character": "path,action,group\nx.mp4,a,g\x1b",
    "line 2: path 'x\\\\x00.mp4' holds a control character": "path,action\nx\0.mp4,a",
    "line 1: unknown \\['label'\\]": "path,action,label\nx,y,z",
    "line 1: a column twice": "path,action,path\nx,y,z",
    "line 3: 1 columns, the header has 2": "path,action\nx.mp4,a\ny.mp4",
    "line 2: path and action": "path,action\nx.mp4,",
    "line 2: split 'dev' is not known; use train, val, test": "path,action,split\nx.mp4,a,dev",
    "line 2: start_s 'soon'": "path,action,start_s\nx.mp4,a,soon",
    "line 2: start_s '1/0'": "path,action,start_s\nx.mp4,a,1/0",
    "line 2: start_s '1e999999999'": "path,action,start_s\nx.mp4,a,1e999999999",
    "line 2: start_s '' and end_s '9999": f"path,action,end_s\nx.mp4,a,{'9' * 5000}",
    "line 2: start_s -1 must be at least 0": "path,action,start_s\nx.mp4,a,-1",
    "line 2: unexpected end of data": 'path,action\nx.mp4,"a',
    "line 2: start_s 5 must be at least 0 and before end_s 4": "path,action,start_s,end_s\nx.mp4,a,5,4",
    "lines 2 and 3: both name x.mp4": "path,action\nx.mp4,a\nx.mp4,b",
    "line 2: video_stream 'first' is no index of a stream; write 0, 1": "path,action,video_stream\nx.mp4,a,first",
    "line 3: audio_stream '-1' is no index": "path,action,audio_stream\nx.mp4,a,\ny.mp4,a,-1",
    "line 2: audio_stream '1.0' is no index": "path,action,audio_stream\nx.mp4,a,1.0",
    "is not UTF-8": b"path,action\n\xff\xfe.mp4,a",
}


@pytest.mark.parametrize("message", WRONG)
def test_a_wrong_row_is_refused_with_its_line(message: str, tmp_path: Path):
    with pytest.raises(InputError, match=message) as caught:
        find_sources(table(tmp_path, WRONG[message]))
    assert "videos.csv" in str(caught.value)


def test_a_group_follows_its_explicit_split_and_cannot_have_two(tmp_path: Path):
    text = "path,action,split,group\na.mp4,x,test,g\nb.mp4,x,,g\nc.mp4,x,val,\n"
    splits = assign_splits(find_sources(table(tmp_path, text)).sources, PackConfig(val_percent=0, test_percent=0))
    assert {split: [one.rel for one in members] for split, members in splits.items()} == {
        "train": [],
        "val": ["c.mp4"],
        "test": ["a.mp4", "b.mp4"],
    }
    both = find_sources(table(tmp_path, text.replace("b.mp4,x,,g", "b.mp4,x,train,g"))).sources
    with pytest.raises(InputError, match=r"group 'g'.*line 2 \(a.mp4\) says test, line 3 \(b.mp4\) says train"):
        assign_splits(both, PackConfig())


@pytest.mark.parametrize("percent", [0, 10, 50])
def test_spans_of_one_video_never_stand_on_two_sides(percent: int, tmp_path: Path):
    rows = "".join(f"film {film}.mp4,x,{start}\n" for film in range(20) for start in (0, 10, 20))
    config = PackConfig(val_percent=percent, test_percent=percent)
    splits = assign_splits(find_sources(table(tmp_path, f"path,action,start_s\n{rows}")).sources, config)
    sides = [{one.rel for one in members} for members in splits.values()]
    assert sum(map(len, sides)) == len(set.union(*sides)) == 20


def test_two_parts_of_one_file_must_be_of_one_group(tmp_path: Path):
    (tmp_path / "list.csv").write_text("path,action,start_s,end_s,group\na.mp4,x,0,8,g1\n./a.mp4,x,1,9,g2\n")
    with pytest.raises(InputError, match=r"lines 2 and 3: two parts of a.mp4 are in two groups.*both rows one group"):
        find_sources(tmp_path / "list.csv")


def test_one_file_spelled_in_two_ways_is_one_source(tmp_path: Path):
    (tmp_path / "list.csv").write_text("path,action\nb/../a.mp4,x\n./a.mp4,x\n")
    with pytest.raises(InputError, match=r"lines 2 and 3: both name a.mp4"):
        find_sources(tmp_path / "list.csv")


STREAMS = "path,action,video_stream,audio_stream\na.mp4,x,,\nb.mp4,x,0,2\nc.mp4,x,,03\n"


def streams(path: Path, config: PackConfig | None = None) -> list[tuple[int | None, int | None]]:
    return [(one.video_stream, one.audio_stream) for one in find_sources(path, config=config).sources]


def test_a_csv_may_name_the_streams_of_a_file_and_wins_over_the_flags(tmp_path: Path):
    listed = table(tmp_path, STREAMS)
    assert streams(listed) == streams(listed, PackConfig()) == [(None, None), (0, 2), (None, 3)]
    assert streams(listed, PackConfig(audio_stream=0)) == [(None, 0), (0, 2), (None, 3)]
    assert streams(listed, PackConfig(video_stream=4, audio_stream=1)) == [(4, 1), (0, 2), (4, 3)]


def test_the_streams_of_a_folder_are_those_of_the_flags_and_names_do_not_depend_on_them(tmp_path: Path):
    (tmp_path / "a.mp4").touch()
    assert streams(tmp_path, PackConfig(video_stream=1)) == [(1, None)]
    (with_flag,), (without,) = (find_sources(tmp_path, config=c).sources for c in (PackConfig(video_stream=1), None))
    assert with_flag.id == without.id


MANY = [f"column-{number}" for number in range(10**5)]
LONG = "x" * 10**5
STEERS = "\x1b]0;" * 10**4
LARGE = {
    "unknown columns": "path,action," + ",".join(MANY) + "\n",
    "no column that is known": ",".join(MANY) + "\n",
    "one name": LONG + "\n",
    "one name of many signs": ";" * 10**5 + "\n",
    "a name that steers": f"path,{STEERS}\n",
    "a Kinetics list with columns twice": "label,youtube_id,time_start,time_end" + ",split" * 10**5 + "\n",
    "columns of a row": "path,action\n" + ",".join(MANY) + "\n",
    "a split": f"path,action,split\nx.mp4,a,{LONG}\n",
    "a time": f"path,action,start_s\nx.mp4,a,{LONG}\n",
    "a stream": f"path,action,video_stream\nx.mp4,a,{LONG}\n",
    "boxes": f"path,action,boxes\nx.mp4,a,{STEERS}\n",
    "an action that steers": f"path,action\nx.mp4,{STEERS}\n",
    "a Kinetics row": f"label,youtube_id,time_start,time_end\na,{'/' * 10**5},0,1\n",
}


@pytest.mark.parametrize("case", LARGE)
def test_a_refusal_is_a_line_that_anybody_can_read_however_large_the_table(tmp_path: Path, case: str) -> None:
    path = table(tmp_path, LARGE[case])
    with pytest.raises(InputError, match="line") as error:
        find_sources(path)
    assert len(str(error.value)) < 1500
    assert str(error.value).isprintable()

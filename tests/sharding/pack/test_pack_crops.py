"""Parts of pictures, packed: held steady to a pixel, the same bytes through every door, a wrong box costing itself."""

import csv
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from sharding.config import PackConfig
from sharding.errors import InputError, UsageError
from sharding.format.clip import ClipMeta
from sharding.format.crop import BoxPath, Knot
from sharding.format.dataset import open_dataset
from sharding.format.index import BOXES, read_info
from sharding.pack import schedule
from sharding.pack.pack import NO_OPTIONS, divide, dry_run, pack, pack_share
from sharding.show.face_table import find_all
from sharding.sources.crops import COLUMNS
from sharding.verify.verify import verify
from tests.drawn_faces import Head, draw_heads, needs_detector
from tests.media import Video, write_video
from tests.sharding.conftest import QUIET, contents

SIDE, WIDTH, HEIGHT = 32, 128, 96
CONFIG = PackConfig(
    fps="30", size=SIDE, sample_rate=8000, clip_s="2", min_clip_s="1", trim_s="0", workers=1, codec="raw",
    val_percent=0, test_percent=0,
)  # fmt: skip
PATCH = np.kron(np.random.default_rng(4).integers(40, 220, (8, 8), np.uint8), np.ones((4, 4), np.uint8))
"""(32, 32), what is to stand still in its box."""
Way = Callable[[Fraction], tuple[int, int]]


def going(time: Fraction) -> tuple[int, int]:
    """A patch that goes 12 pixels a second to the right, and 6 down."""
    return 8 + int(12 * time), 4 + int(6 * time)


def coming(time: Fraction) -> tuple[int, int]:
    return 90 - int(10 * time), 60


def patched(*ways: Way) -> Callable[[Fraction], np.ndarray]:
    def drawn(time: Fraction) -> np.ndarray:
        picture = np.full((HEIGHT, WIDTH, 3), 20, np.uint8)
        for way in ways:
            x, y = way(time)
            picture[y : y + 32, x : x + 32] = PATCH[..., None]
        return picture

    return drawn


def write_patches(path: Path, *ways: Way, seconds: int = 4) -> Path:
    video = Video(seconds=Fraction(seconds), width=WIDTH, height=HEIGHT, drawn=patched(*ways))
    return write_video(path, video)


Row = tuple[object, ...]


def table(path: Path, *rows: Row) -> PackConfig:
    """Settings that pack by a table of these rows."""
    path.write_text("\n".join(",".join(map(str, row)) for row in (COLUMNS, *rows)) + "\n")
    return replace(CONFIG, crop=str(path))


GOING: tuple[Row, ...] = (("a.mp4", 1, 0, 8, 4, 32, 32), ("a.mp4", 1, 4, 56, 28, 32, 32))
COMING: tuple[Row, ...] = (("a.mp4", 2, 0, 90, 60, 32, 32), ("a.mp4", 2, 4, 50, 60, 32, 32))


def clips_of(dataset: Path) -> list[tuple[ClipMeta, np.ndarray]]:
    """Of train: what each json says, and its luma."""
    opened, found = open_dataset(dataset, "train"), list[tuple[ClipMeta, np.ndarray]]()
    for number in range(len(opened.index)):
        stored, at, form = opened.read(number), opened.location(number), opened.info.form
        meta = form.read_json(stored.json, key=at.key, action=at.action, frames=at.frames)
        planes = np.empty((meta.frames, meta.height * 3 // 2, meta.width), np.uint8)
        opened.codec.decode_video(stored.video, range(meta.frames), planes, form.shape(meta.frames, meta.matrix))
        found.append((meta, planes[:, : meta.height].astype(int)))
    return found


def rejects_of(dataset: Path) -> dict[str, tuple[str, str]]:
    with (dataset / "rejects.csv").open(newline="") as file:
        return {row["path"]: (row["reason"], row["detail"]) for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One video, of two patches that go their ways. Read only."""
    folder = tmp_path_factory.mktemp("patches")
    write_patches(folder / "a.mp4", going, coming)
    return folder


@pytest.fixture(scope="module")
def both(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packed by a box on each. Read only."""
    folder = tmp_path_factory.mktemp("both")
    pack(videos, folder / "out", table(folder / "boxes.csv", *GOING, *COMING), QUIET)
    return folder / "out"


def test_a_box_that_goes_with_a_thing_holds_it_to_a_pixel(both: Path):
    for meta, luma in clips_of(both):
        assert meta.crop
        assert meta.crop.size == (32, 32)
        want = PATCH.astype(int)[1:-1, 1:-1]  # one pixel each way
        for picture in luma[::5]:
            shifted = [np.roll(picture, (dy, dx), (0, 1))[1:-1, 1:-1] for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
            assert min(np.abs(one - want).mean() for one in shifted) < 8


def test_where_the_sound_is_goes_with_the_crop(videos: Path, tmp_path: Path):
    def truth(way: Way, second: Fraction) -> list[float]:
        (x, y), (wide, high) = way(second), (WIDTH, HEIGHT)
        return [x / wide, y / high, (x + 32) / wide, (y + 32) / high]

    frames = [[truth(way, Fraction(number, 30)) for way in (going, coming)] for number in range(120)]
    shutil.copy(videos / "a.mp4", tmp_path)
    (tmp_path / "a.json").write_text(json.dumps({"fps": "30", "boxes": frames}))
    (tmp_path / "list.csv").write_text("path,action,boxes\na.mp4,x,a.json\n")
    half = ("a.mp4", 1, 0, 8 + 16, 4, 32, 32), ("a.mp4", 1, 4, 56 + 16, 28, 32, 32)  # half a patch to the right
    pack(tmp_path / "list.csv", tmp_path / "out", table(tmp_path / "boxes.csv", *half), QUIET)
    for meta, _ in clips_of(tmp_path / "out"):
        for shown in meta.boxes[: meta.frames // 2]:  # where the two are far apart
            assert len(shown) == 1, "what the crop does not show is not in it"
            assert shown[0] == pytest.approx((0, 0, 0.5, 1), abs=1.5 / 32)


def test_two_tracks_of_one_moment_are_clips_with_the_same_sound(both: Path):
    clips = {(meta.crop.track, meta.first_frame): meta for meta, _ in clips_of(both) if meta.crop}
    assert sorted(track for track, _ in clips) == [1, 1, 2, 2]
    assert all(meta.crop and meta.crop.faces == 2 for meta in clips.values())
    assert sorted(first for _, first in clips) == [0, 1, 60, 61]  # a key is of one clip only
    opened = open_dataset(both, "train")
    sounds = dict[int, np.ndarray]()
    for number in range(len(opened.index)):
        shape = opened.info.form.shape(int(opened.index.frames[number]))
        samples = np.empty(shape.sound, np.int16)
        opened.codec.decode_audio(opened.read(number).audio, 0, samples, shape)
        sounds[int(opened.index.first_frame[number])] = samples
    late = 8000 // 30  # the second of a pair begins a frame later
    for first in (0, 60):
        one, other = sounds[first], sounds[first + 1]
        assert min(np.abs(one[late + d :][: len(other) - 2] - other[:-2]).max() for d in (0, 1)) == 0


def test_what_was_cut_is_in_the_dataset_and_whole(both: Path, videos: Path, tmp_path: Path):
    assert not verify(both).findings
    again = pack(videos, tmp_path / "again", replace(CONFIG, crop=str(both / BOXES)), QUIET)
    assert again.tracks == 2
    del again
    written, kept = contents(tmp_path / "again"), contents(both)
    tars = [name for name in kept if name.endswith(".tar")] + [BOXES]
    assert [written[name] for name in tars] == [kept[name] for name in tars]


def test_a_point_of_the_crop_lies_on_the_patch_of_the_whole_picture(both: Path):
    for meta, _ in clips_of(both):
        assert meta.crop
        way = going if meta.crop.track == 1 else coming
        for frame in range(0, meta.frames, 7):
            x, y = way(Fraction(meta.first_frame + frame, 30))
            middle = meta.crop.on_picture(frame, 0.5, 0.5)
            assert abs(middle[0] * WIDTH - x - 16) <= 1.5
            assert abs(middle[1] * HEIGHT - y - 16) <= 1.5


def test_a_box_written_once_stands_still_for_all_of_the_video(videos: Path, tmp_path: Path):
    pack(videos, tmp_path / "out", table(tmp_path / "boxes.csv", ("a.mp4", 1, "", 80, 40, 48, 48)), QUIET)
    clips = clips_of(tmp_path / "out")
    assert sum(meta.frames for meta, _ in clips) == 120
    assert all(meta.crop and set(meta.crop.corners) == {(80, 40)} for meta, _ in clips)


BAD: tuple[tuple[str, Sequence[Row]], ...] = (
    ("larger than its picture", [("a.mp4", 1, "", 0, 0, 129, 32)]),
    ("middle outside", [("a.mp4", 1, 0, 0, 0, 32, 32), ("a.mp4", 1, 4, 120, 0, 32, 32)]),
    ("line 2", [("a.mp4", 1, 0, 0, 0, -32, 32)]),
    ("has no row", [("b.mp4", 1, "", 0, 0, 32, 32)]),
    ("2.00 s", [("a.mp4", 1, 10, 0, 0, 32, 32), ("a.mp4", 1, 12, 0, 0, 32, 32)]),
)


def test_a_wrong_box_costs_its_video_alone(videos: Path, tmp_path: Path):
    folder, rows = tmp_path / "videos", list[Row]()
    folder.mkdir()
    write_patches(folder / "b.mp4", going, seconds=3)
    for number, (_, bad) in enumerate(BAD):
        shutil.copy2(videos / "a.mp4", folder / f"{number}.mp4")
        with (folder / f"{number}.mp4").open("ab") as file:  # no copy of another
            file.write(bytes(8 + number))
        rows += [(f"{number}.mp4", *row[1:]) for row in bad if row[0] == "a.mp4"]
    lines = [number + 2 for number, row in enumerate(rows) if row[5] == -32]
    pack(folder, tmp_path / "out", table(tmp_path / "boxes.csv", *rows, ("b.mp4", 1, "", 0, 0, 32, 32)), QUIET)
    rejects = rejects_of(tmp_path / "out")
    assert set(rejects) == {f"{number}.mp4" for number in range(len(BAD))}
    for number, (why, _) in enumerate(BAD):
        reason, detail = rejects[f"{number}.mp4"]
        assert why.replace("line 2", f"line {lines[0]}") in detail or reason == "too_short"
        assert reason == ("too_short" if number == 4 else "bad_box")


def test_an_edited_table_packs_the_edited_videos_again_and_no_others(videos: Path, tmp_path: Path):
    folder = shutil.copytree(videos, tmp_path / "videos")
    write_patches(folder / "b.mp4", going, seconds=3)
    still: Row = ("b.mp4", 1, "", 0, 0, 32, 32)
    boxes = tmp_path / "boxes.csv"
    config = replace(table(boxes, *GOING, still), sources_per_shard=1)
    assert pack(folder, tmp_path / "out", config, QUIET).shards_packed == 2
    assert pack(folder, tmp_path / "out", config, QUIET).shards_packed == 0
    table(boxes, *GOING, (*still[:3], 10, *still[4:]))
    assert pack(folder, tmp_path / "out", config, QUIET).shards_packed == 1
    with pytest.raises(UsageError, match="crop was boxes, is not set"):
        pack(folder, tmp_path / "out", replace(config, crop=""), QUIET)


def test_shares_pack_the_bytes_of_one_call(videos: Path, tmp_path: Path):
    folder = shutil.copytree(videos, tmp_path / "videos")
    write_patches(folder / "b.mp4", going, seconds=3)
    write_patches(folder / "c.mp4", coming, seconds=3)
    rows = (*GOING, *COMING, ("b.mp4", 1, "", 0, 0, 40, 40))  # and none of c
    config = replace(table(tmp_path / "boxes.csv", *rows), sources_per_shard=1)
    pack(folder, tmp_path / "one", config, QUIET)
    divided = divide(folder, tmp_path / "many", config, NO_OPTIONS, 2, QUIET)
    for share in reversed(range(len(divided.shares))):
        pack_share(folder, tmp_path / "many", config, NO_OPTIONS, share, QUIET)
    pack(folder, tmp_path / "many", config, QUIET)
    assert contents(tmp_path / "many") == contents(tmp_path / "one")
    assert rejects_of(tmp_path / "one")["c.mp4"][0] == "bad_box"


def test_a_flag_that_names_no_boxes_says_what_it_takes(videos: Path, tmp_path: Path):
    for name in ("mouths", str(tmp_path / "none.csv")):
        with pytest.raises(InputError, match=rf"--crop {name} cannot be read: .*; name a \.csv of boxes, or faces"):
            pack(videos, tmp_path / "out", replace(CONFIG, crop=name), QUIET)
    assert not (tmp_path / "out").exists()


def test_faces_found_are_kept_for_the_call_that_goes_on(
    videos: Path, tmp_path: Path, in_process: None, monkeypatch: pytest.MonkeyPatch
):
    """Looking takes as long as packing; a call that was killed behind it does not look again."""
    looks, knots = (
        list[Path](),
        (Knot(Fraction(0), Fraction(0), Fraction(0)), Knot(Fraction(4), Fraction(9), Fraction(0))),
    )
    path = BoxPath(track=1, faces=1, width=Fraction(40), height=Fraction(40), knots=knots)

    def find(found, stretches, report):
        looks.append(found.path)
        return (path,)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(schedule, "find_faces", find)
    monkeypatch.setattr("sharding.pack.pack.check_installed", lambda flag: None)
    config = replace(CONFIG, crop="faces")
    with monkeypatch.context() as broken:
        broken.setattr(schedule, "pack_part", killed)
        with pytest.raises(KeyboardInterrupt):
            pack(videos, tmp_path / "out", config, QUIET)
    assert pack(videos, tmp_path / "out", config, QUIET).tracks == 1
    assert len(looks) == 1
    assert read_info(tmp_path / "out").settings["crop"] == "faces"


def talking(time: Fraction) -> np.ndarray:
    """Two heads."""
    heads = [Head(70 + 4 * float(time), 80, 44, float(time * 5 % 1)), Head(200, 90, 50, float(time * 4 % 1))]
    return draw_heads(288, 192, heads, (70, 90, 120))


@needs_detector
def test_faces_of_parts_of_one_file_have_numbers_of_their_own(tmp_path: Path):
    """Else the table of all of them says of one track what belongs to several, and nothing can be packed by it."""
    write_video(tmp_path / "talk.mp4", Video(seconds=Fraction(5), width=288, height=192, drawn=talking))
    rows = ("0,1.5", "1.5,3", "3,5")
    (tmp_path / "list.csv").write_text("\n".join(("path,start_s,end_s,action", *(f"talk.mp4,{row},x" for row in rows))))
    config = replace(CONFIG, crop="faces")
    assert pack(tmp_path / "list.csv", tmp_path / "found", config, QUIET).tracks == 6
    parts = {(meta.first_frame // 45, meta.crop.track) for meta, _ in clips_of(tmp_path / "found") if meta.crop}
    assert len({track for _, track in parts}) == len(parts) == 6
    again = replace(config, crop=str(tmp_path / "found" / BOXES))
    pack(tmp_path / "list.csv", tmp_path / "listed", again, QUIET)
    one, other = contents(tmp_path / "found"), contents(tmp_path / "listed")
    assert one["train/000000.tar"] == other["train/000000.tar"]
    assert sorted(one[BOXES].splitlines()) == sorted(other[BOXES].splitlines())
    find_all(tmp_path / "list.csv", tmp_path / "faces.csv", config, console=QUIET)
    assert (tmp_path / "faces.csv").read_bytes() == one[BOXES]


@needs_detector
def test_faces_are_packed_by_the_same_bytes_when_found_and_when_listed(tmp_path: Path):
    videos, config = tmp_path / "videos", replace(CONFIG, crop="faces")
    write_video(videos / "talk.mp4", Video(seconds=Fraction(3), width=288, height=192, drawn=talking))
    write_patches(videos / "none.mp4", going)
    found = pack(videos, tmp_path / "found", config, QUIET)
    assert (found.tracks, found.clips["train"]) == (2, 4)
    assert rejects_of(tmp_path / "found")["none.mp4"][0] == "no_face"
    pack(videos, tmp_path / "listed", replace(config, crop=str(tmp_path / "found" / BOXES)), QUIET)
    one, other = contents(tmp_path / "found"), contents(tmp_path / "listed")
    assert one["train/000000.tar"] == other["train/000000.tar"]
    assert one[BOXES] == other[BOXES]
    with pytest.raises(InputError, match="2 no_face"):
        pack(videos, tmp_path / "small", replace(config, min_crop=400), QUIET)
    dry_run(videos, tmp_path / "dry", config, QUIET)
    assert not (tmp_path / "dry").exists()

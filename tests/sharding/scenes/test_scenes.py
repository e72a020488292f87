"""Scenes: the same each time, true boxes, sound and picture at one moment in the file itself, silent look-alikes."""

import csv
import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from sharding.base.files import read_json, write_json
from sharding.errors import InputError
from sharding.format.index import SPLITS
from sharding.scenes.config import CASES, Case, SceneConfig
from sharding.scenes.drawing import SHAPES, boxes_of, outlines_of
from sharding.scenes.generate import SceneReport, SceneTruth, film, generate, make_scene, split_of, video_path
from sharding.scenes.motion import MOTIONS, ObjectTrack, times
from sharding.scenes.scene import Scene, action_of, case_of, draw_scene
from sharding.sources.boxes import read_boxes

SMALL = SceneConfig(count=8, seconds=4, size=64, fps=15, sample_rate=16_000)
CLEAN = replace(SMALL, seconds=8, picture_noise=0, sound_noise=0, jitter=0)


def scene_of(action: str, config: SceneConfig, skip: int = 0) -> Scene:
    """A scene of this action, the first or a later one."""
    numbers = [number for number in range(200) if action_of(config, number) == action]
    return draw_scene(config, numbers[skip])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    assert generate(folder, SMALL) == SceneReport(table=folder / "scenes.csv", made=8, kept=0)
    return folder


def rows_of(table: Path) -> list[dict[str, str]]:
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


def decoded(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Pictures (T, H, W, 3) and sound (S,) of a file, both from presentation time 0 on."""
    with av.open(path) as container:
        frames = list(container.decode(video=0))
    with av.open(path) as container:
        blocks = list(container.decode(audio=0))
    assert frames[0].pts == 0
    assert blocks[0].pts == 0
    sound = np.concatenate([block.to_ndarray().reshape(-1) for block in blocks]).astype(np.float32)
    pictures = np.stack([frame.to_ndarray(format="rgb24") for frame in frames]).astype(np.uint8)
    return pictures, sound


def test_the_table_lists_every_scene_with_files_that_play(folder: Path) -> None:
    rows = rows_of(folder / "scenes.csv")
    assert len(rows) == 8
    assert len({row["group"] for row in rows}) == 8
    for row in rows:
        pictures, sound = decoded(folder / row["path"])
        assert pictures.shape == (60, 64, 64, 3)
        assert len(sound) >= 64_000  # AAC fills its last block
        assert row["action"] == Path(row["path"]).parent.name
        assert row["action"] in MOTIONS
        track = read_boxes(folder / row["boxes"])
        assert track.fps == 15
        assert [len(boxes) for boxes in track.boxes] == [1] * 60


def test_a_scene_depends_on_seed_and_number_alone(folder: Path, tmp_path: Path) -> None:
    number = 5
    other = replace(SMALL, count=100, workers=1)
    path = video_path(tmp_path, other, number)
    path.parent.mkdir()
    make_scene(tmp_path, other, number)
    for name in (path, path.with_suffix(".json")):
        assert name.read_bytes() == (folder / name.relative_to(tmp_path)).read_bytes()


def test_another_seed_gives_other_scenes() -> None:
    first, second = (draw_scene(replace(SMALL, seed=seed), 0) for seed in (0, 1))
    assert not np.array_equal(first.pictures(), second.pictures())
    assert not np.array_equal(first.sound(), second.sound())


def test_a_stopped_run_goes_on_and_more_scenes_can_be_added(tmp_path: Path) -> None:
    config = replace(SMALL, count=2, seconds=1, workers=1)
    generate(tmp_path, config)
    lost = video_path(tmp_path, config, 1).with_suffix(".json")
    before = lost.read_bytes()
    lost.unlink()
    report = generate(tmp_path, replace(config, count=3))
    assert (report.made, report.kept) == (2, 1)
    assert lost.read_bytes() == before
    assert len(rows_of(report.table)) == 3
    assert not list(tmp_path.rglob("*.part"))


def test_a_folder_of_other_scenes_is_left_alone(folder: Path) -> None:
    with pytest.raises(InputError, match="holds scenes of other settings"):
        generate(folder, replace(SMALL, size=96))
    assert read_json(folder / "scenes.json", SceneConfig).size == 64


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"size": 33}, "size=33 must be even"),
        ({"sample_rate": 21_000}, "no rate of AAC; choose one of 8000"),
        ({"count": 0}, "count=0"),
        ({"sources": 3, "lookalikes": 3}, "1 to 5 objects"),
        ({"val_share": 0.7, "test_share": 0.7}, "shares of one whole"),
        ({"jitter": 0.5}, "jitter"),
    ],
)
def test_impossible_settings_are_named(setting: dict[str, int | float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(SMALL, **setting)  # type: ignore[arg-type]


def test_splits_have_their_shares_and_keep_them_when_scenes_are_added() -> None:
    splits = [split_of(SMALL, number) for number in range(1000)]
    assert splits.count("val") == pytest.approx(1000 * SMALL.val_share, abs=5)
    assert splits.count("test") == pytest.approx(1000 * SMALL.test_share, abs=5)
    assert splits[:10] == [split_of(replace(SMALL, count=10), number) for number in range(10)]


@pytest.mark.parametrize("action", MOTIONS)
def test_boxes_lie_on_the_object_in_every_picture_also_when_the_camera_shakes(action: str) -> None:
    scene = scene_of(action, replace(CLEAN, jitter=0.02))
    color = np.array(scene.objects[0][1].color, float)
    pictures = scene.pictures().astype(float)
    for picture, ((x0, y0, x1, y1),) in zip(pictures, scene.boxes(), strict=True):
        hue = picture / np.linalg.norm(picture, axis=-1, keepdims=True) @ (color / np.linalg.norm(color))
        rows, columns = np.nonzero((hue > 0.995) & (picture.sum(-1) > 0.5 * color.sum()))
        inside = (columns >= 64 * x0 - 1) & (columns <= 64 * x1 + 1) & (rows >= 64 * y0 - 1) & (rows <= 64 * y1 + 1)
        assert inside.mean() > 0.95
        assert inside.sum() > 0.3 * 64 * 64 * (x1 - x0) * (y1 - y0)


@pytest.mark.parametrize("action", ["bounce", "hop"])
def test_impacts_in_the_file_come_with_the_picture_in_which_the_object_lands(action: str, tmp_path: Path) -> None:
    scene = scene_of(action, CLEAN)
    path = tmp_path / "scene.mp4"
    path.write_bytes(film(scene.pictures(), scene.sound(), CLEAN.fps, CLEAN.sample_rate))
    _, sound = decoded(path)
    (motion, look) = scene.objects[0]
    impacts = motion.impacts[(motion.impacts[:, 0] > 0.2) & (motion.impacts[:, 0] < 7.8), 0]
    assert len(impacts) >= 4
    lowest = np.array(boxes_of(motion, look, scene.shake, CLEAN.fps))[:, 3]
    for impact in impacts:
        at = round(impact * 16_000)
        before, after = sound[at - 400 : at - 80], sound[at : at + 320]
        assert np.abs(after).max() > 3 * np.abs(before).max()
        frame = round(impact * CLEAN.fps)
        assert lowest[frame - 1 : frame + 2].max() > lowest.max() - 0.03


@pytest.mark.parametrize("action", ["glide", "swing"])
def test_tones_in_the_file_swell_with_the_motion_of_the_picture(action: str, tmp_path: Path) -> None:
    scene = scene_of(action, CLEAN)
    path = tmp_path / "scene.mp4"
    path.write_bytes(film(scene.pictures(), scene.sound(), CLEAN.fps, CLEAN.sample_rate))
    _, sound = decoded(path)
    boxes = np.array(scene.boxes())[:, 0]
    speed = np.hypot(*np.diff(boxes[:, :2], axis=0).T)
    starts = [round(frame * CLEAN.sample_rate / CLEAN.fps) for frame in range(len(boxes))]
    loudness = np.array([np.sqrt(np.mean(piece**2)) for piece in np.split(sound, starts)[1:-1]])
    agreement = [np.corrcoef(np.roll(loudness, lag)[12:-12], speed[12:-12])[0, 1] for lag in range(-10, 11)]
    assert agreement[10] > 0.7
    assert abs(int(np.argmax(agreement)) - 10) <= 1


@pytest.mark.parametrize("action", MOTIONS)
def test_lookalikes_are_silent_and_only_they(action: str) -> None:
    scene = scene_of(action, CLEAN)
    alone = replace(scene, objects=scene.objects[:1])
    mute = replace(scene, objects=scene.objects[1:], sources=0)
    np.testing.assert_array_equal(scene.sound(), alone.sound())
    assert np.abs(scene.sound()).max() > 3000
    assert not mute.sound().any()


def test_a_scene_is_as_loud_and_as_lively_at_its_end_as_at_its_start() -> None:
    """What stands at the start or the end of a file would tell a network where a window was cut."""
    config = replace(SMALL, seconds=6)
    scenes = [draw_scene(config, number) for number in range(60)]
    power = np.mean([np.square(scene.sound() / 32768.0).reshape(6, -1).mean(axis=1) for scene in scenes], axis=0)
    boxes = np.array([scene.boxes() for scene in scenes])[:, :, 0]
    speed = np.abs(np.diff(boxes, axis=1)).mean(axis=(0, 2))[:-5].reshape(6, -1).mean(axis=1)
    assert power.max() < 1.6 * power.min()
    assert speed.max() < 1.4 * speed.min()


def test_objects_stay_in_the_picture_and_apart() -> None:
    for number in range(40):
        scene = draw_scene(replace(SMALL, jitter=0), number)
        boxes = np.array([boxes_of(motion, look, scene.shake, SMALL.fps) for motion, look in scene.objects])
        wide, high = boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]
        assert wide.min() > 0.1
        assert high.min() > 0.08
        order = np.argsort(boxes[:, 0, 0])
        gaps = boxes[order[1:], :, 0] - boxes[order[:-1], :, 2]
        assert gaps.min() > -0.07


def test_a_scene_without_sources_has_background_noise_and_no_boxes() -> None:
    scene = draw_scene(replace(SMALL, sources=0, lookalikes=2), 0)
    assert scene.boxes() == [[] for _ in range(60)]
    assert 0 < np.abs(scene.sound()).max() < 3000


def test_two_sources_both_sound_and_have_boxes() -> None:
    config = replace(CLEAN, sources=2, lookalikes=1)
    scene = scene_of("bounce", config)
    assert {len(boxes) for boxes in scene.boxes()} == {2}
    alone = replace(scene, sources=1)
    assert not np.array_equal(scene.sound(), alone.sound())


@pytest.mark.parametrize("action", MOTIONS)
def test_moves_are_of_random_length(action: str) -> None:
    """A periodic motion would look in sync again one period later."""
    lane = ObjectTrack(x=0.5, reach=0.1, top=0.2, floor=0.7)
    motion = MOTIONS[action](np.random.default_rng(0), lane, times(60.0))
    events = motion.impacts[:, 0] if len(motion.impacts) else _starts(motion.effort, motion.time)
    gaps = np.diff(events[events > 0])
    assert len(gaps) > 30
    assert gaps.std() > 0.15 * gaps.mean()
    assert gaps.max() < 1.6


def _starts(effort: NDArray[np.float64], time: NDArray[np.float64]) -> NDArray[np.float64]:
    moving = effort > 0.05
    return time[1:][moving[1:] & ~moving[:-1]]


def test_boxes_survive_the_json(folder: Path) -> None:
    row = rows_of(folder / "scenes.csv")[0]
    number = int(Path(row["path"]).stem)
    wanted = draw_scene(SMALL, number).boxes()
    track = read_boxes(folder / row["boxes"])
    assert track.at(range(60), Fraction(15)) == tuple(tuple(boxes) for boxes in wanted)


def test_a_hum_is_steady_and_leaves_the_rest_of_the_scene_as_it_was() -> None:
    plain, humming = draw_scene(CLEAN, 3), draw_scene(replace(CLEAN, hum=0.03), 3)
    assert np.array_equal(plain.pictures(), humming.pictures())
    assert plain.boxes() == humming.boxes()
    without, alone = (replace(CLEAN, sources=0, hum=level) for level in (0, 0.03))
    assert not draw_scene(without, 3).sound().any()
    seconds = draw_scene(alone, 3).sound().reshape(8, -1) / 32_000
    levels = np.sqrt((seconds**2).mean(axis=1))
    assert np.allclose(levels, 0.03, rtol=0.02)


VARIED = replace(CLEAN, seconds=4, cases=",".join(CASES))


def case_scene(case: str, turn: int = 0) -> Scene:
    numbers = [number for number in range(40) if case_of(VARIED, number) == case]
    return draw_scene(VARIED, numbers[turn])


def test_scenes_of_always_stay_what_they_were() -> None:
    """Found by the version before there were cases."""
    scene = draw_scene(SceneConfig(), 0)
    assert (scene.action, scene.objects[0][1].shape, scene.objects[0][1].color) == ("swing", "gem", (190, 120, 220))
    assert scene.boxes()[50] == [pytest.approx((0.701, 0.4641, 0.8802, 0.6433), abs=2e-4)]
    pictures = scene.pictures()
    assert pictures.mean() == pytest.approx(59.16133, abs=1e-3)
    assert pictures[7, 40:44, 40, 1].tolist() == pytest.approx([59, 54, 52, 67], abs=1)
    assert np.abs(scene.sound()).astype(float).mean() == pytest.approx(1353.31, abs=0.05)


def test_their_truth_has_no_more_than_it_had(folder: Path) -> None:
    row = rows_of(folder / "scenes.csv")[0]
    assert set(json.loads((folder / row["boxes"]).read_text())) == {"fps", "boxes"}


@pytest.mark.parametrize("other", [case for case in CASES if case != "single"])
def test_a_single_scene_is_the_same_whatever_stands_beside_it(other: Case) -> None:
    plain, mixed = draw_scene(SMALL, 4), draw_scene(replace(SMALL, cases=f"single,{other}"), 4)
    assert np.array_equal(plain.pictures(), mixed.pictures())
    assert np.array_equal(plain.sound(), mixed.sound())
    assert plain.boxes() == mixed.boxes()


def test_cases_come_in_turn_in_every_split_and_as_often_as_they_are_named() -> None:
    config = replace(SceneConfig(), cases="single,single,off-screen,alike")
    splits = {split: [case_of(config, n) for n in range(1200) if split_of(config, n) == split] for split in SPLITS}
    for cases in splits.values():
        assert cases.count("single") == pytest.approx(len(cases) / 2, rel=0.06)
        assert cases.count("alike") == pytest.approx(len(cases) / 4, rel=0.12)


@pytest.mark.parametrize("cases", ["", "single,", "off", "single alike"])
def test_a_case_that_is_none_is_refused_with_those_that_are(cases: str) -> None:
    with pytest.raises(InputError, match="is no kind of scene; write some of single,several,alike,off-screen"):
        SceneConfig(cases=cases)


@pytest.mark.parametrize("case", CASES)
def test_each_case_is_what_it_is_called(case: Case) -> None:
    for turn in range(4):
        scene = case_scene(case, turn)
        seen, sounding = scene.objects[scene.hidden :], scene.sources - scene.hidden
        assert len(seen) >= 2
        assert {len(boxes) for boxes in scene.boxes()} == {len(masks) for masks in scene.masks()} == {sounding}
        assert sounding == {"single": 1, "several": 2, "alike": 1, "off-screen": 0}[case]
        assert (len({look for _, look in seen}) == 1) == (case == "alike")
        silent = replace(scene, objects=seen[sounding:], sources=0, hidden=0)
        assert not silent.sound().any()
        alone = [replace(scene, objects=[one], sources=1, hidden=0) for one in scene.objects[: scene.sources]]
        assert all(np.abs(one.sound()).max() > 3000 for one in alone), "each that sounds is heard"
        moved = [np.ptp(np.array(boxes_of(*one, scene.shake, VARIED.fps)), axis=0).max() for one in seen]
        assert min(moved) > 0.05, "all of them move: the picture alone does not tell"


def test_what_sounds_off_screen_is_not_in_the_picture() -> None:
    scene = case_scene("off-screen")
    unseen = replace(scene, objects=scene.objects[1:], hidden=0, sources=0)
    assert np.array_equal(scene.pictures(), unseen.pictures())
    assert np.abs(scene.sound()).max() > 3000


@pytest.mark.parametrize("shape", SHAPES)
def test_masks_cover_the_object_exactly(shape: str) -> None:
    """As large as what is drawn, and where: against the same picture without it."""
    scene = next(one for one in (draw_scene(VARIED, n) for n in range(1, 80)) if one.objects[0][1].shape == shape)
    motion, look = scene.objects[0]
    bare = replace(motion, pivot=None, ground=None)
    still = replace(bare, x=motion.x + 9)  # far beyond the edge
    near = [replace(scene, objects=[(one, look)], sources=0, hidden=0).pictures().astype(int) for one in (bare, still)]
    polygons = outlines_of(motion, look, scene.shake, VARIED.fps)
    for number in range(0, len(polygons), 7):
        drawn = np.abs(near[0][number] - near[1][number]).max(axis=-1) > 12
        fine = Image.new("1", (512, 512))
        ImageDraw.Draw(fine).polygon([512 * corner for corner in polygons[number]], fill=1)
        share = np.asarray(fine, float).reshape(64, 8, 64, 8).mean(axis=(1, 3))
        assert drawn[share > 0.98].mean() > 0.97
        assert not drawn[share == 0].mean() > 0.01


def test_the_truth_of_every_case_survives_the_json(tmp_path: Path) -> None:
    for case in CASES:
        scene = case_scene(case)
        write_json(tmp_path / "truth.json", SceneTruth.of(scene))
        track, frames = read_boxes(tmp_path / "truth.json"), range(60)
        assert track.case == case
        for found, wanted in (
            (track.at(frames, Fraction(15)), scene.boxes()),
            (track.masks_at(frames, Fraction(15)), scene.masks()),
        ):
            assert found == tuple(tuple(one) for one in wanted)

"""A folder of scenes: mp4 files, the true boxes beside each, and scenes.csv that lists them for `avsync pack`.

Each is filmed as H.264 and AAC, aligned exactly on the presentation timeline. Work goes to several processes. A scene
whose files stand there is not made again, so a stopped run goes on.
"""

import io
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import av
import numpy as np
from av.codec.context import Flags
from msgspec import UNSET, UnsetType
from numpy.typing import NDArray

from sharding.base.console import Bar
from sharding.base.csv_table import write_csv
from sharding.base.environment import available_cores
from sharding.base.files import publish, read_json, write_json
from sharding.base.guarded import claim, make_folder
from sharding.base.housekeeping import why_refused
from sharding.base.signals import ctrl_c_held
from sharding.base.workers import start_worker
from sharding.errors import InputError
from sharding.format.crop import Box, Polygon
from sharding.scenes.config import Case, SceneConfig
from sharding.scenes.drawing import Pictures
from sharding.scenes.motion import MOTIONS
from sharding.scenes.scene import Scene, action_of, draw_scene

CSV_NAME = "scenes.csv"
CONFIG_NAME = "scenes.json"
Map = Callable[[Callable[[int], None], Iterable[int]], Iterable[None]]

BT601 = 6  # ISO/IEC 23091-2 matrix coefficients; what swscale converts RGB with when not told otherwise
AAC_BIT_RATE = 64_000
GOLDEN = 0.6180339887498949  # multiples of it, mod 1, fill the unit interval evenly at any count


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneTruth:
    """The json beside a scene's mp4."""

    fps: Fraction
    boxes: list[list[Box]]
    """For each picture, where the objects that sound are seen."""
    masks: list[list[Polygon]] | UnsetType = UNSET
    """Their outlines; where all scenes are the plain ones of always, these have no more than they always had."""
    case: Case | UnsetType = UNSET

    @classmethod
    def of(cls, scene: Scene) -> "SceneTruth":
        fps, boxes = Fraction(scene.config.fps), scene.boxes()
        if not scene.config.varied:
            return cls(fps=fps, boxes=boxes)
        return cls(fps=fps, boxes=boxes, masks=scene.masks(), case=scene.case)


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneReport:
    """What generate() did."""

    table: Path
    """The CSV that lists the scenes: give it to `avsync pack`."""
    made: int
    kept: int
    """Scenes that stood there already."""


def generate(folder: Path, config: SceneConfig) -> SceneReport:
    """Write `config.count` scenes into `folder`. Raises InputError when it holds scenes of other settings."""
    claim(folder)
    _settle(folder, config)
    numbers = range(config.count)
    missing = [number for number in numbers if not video_path(folder, config, number).with_suffix(".json").exists()]
    kept = config.count - len(missing)
    with _workers(config.workers, len(missing)) as run, Bar("scenes", config.count, done=kept) as bar:
        for _ in run(partial(make_scene, folder, config), missing):
            bar.advance()
    _write_table(folder, config)
    return SceneReport(table=folder / CSV_NAME, made=len(missing), kept=kept)


def make_scene(folder: Path, config: SceneConfig, number: int) -> None:
    """Write one scene: the mp4, then its json; a scene that has its json is whole."""
    claim(folder)  # in this process, too
    scene = draw_scene(config, number)
    path = video_path(folder, config, number)
    with publish(path) as file:
        file.write(film(scene.pictures(), scene.sound(), config.fps, config.sample_rate))
    write_json(path.with_suffix(".json"), SceneTruth.of(scene))


def film(pictures: Pictures, sound: NDArray[np.int16], fps: int, rate: int) -> bytes:
    """An mp4 of pictures (T, H, W, 3) and mono sound (S,). Picture 0 and sample 0 are presented at time 0."""
    sink = io.BytesIO()
    with av.open(sink, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        video = container.add_stream("libx264", rate=fps)
        video.height, video.width = pictures.shape[1:3]
        video.pix_fmt = "yuv420p"
        video.time_base = video.codec_context.time_base = Fraction(1, fps)
        video.codec_context.colorspace, video.codec_context.color_range = BT601, 1
        video.codec_context.thread_count = 1
        video.codec_context.flags |= Flags.bitexact
        video.options = {"crf": "18", "preset": "ultrafast"}
        audio = container.add_stream("aac", rate=rate, layout="mono")
        audio.bit_rate = AAC_BIT_RATE
        audio.options = {"aac_coder": "fast"}  # five times faster than the default coder
        audio.codec_context.flags |= Flags.bitexact
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        block = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound).reshape(1, -1), format="s16", layout="mono")
        block.sample_rate, block.pts, block.time_base = rate, 0, Fraction(1, rate)
        container.mux(audio.encode(block))
        container.mux(audio.encode(None))
    return sink.getvalue()


def video_path(folder: Path, config: SceneConfig, number: int) -> Path:
    """Where scene `number` lies: ACTION/NNNNN.mp4, and ACTION/NNNNN.json beside it."""
    return folder / action_of(config, number) / f"{number:05d}.mp4"


def split_of(config: SceneConfig, number: int) -> str:
    """Which split scene `number` belongs to; a scene stays in it when more are made."""
    position = (number + 0.5) * GOLDEN % 1
    if position < config.val_share:
        return "val"
    return "test" if position >= 1 - config.test_share else "train"


def _settle(folder: Path, config: SceneConfig) -> None:
    """Say in the folder which scenes it holds. The number of scenes may grow, and the number of workers is free."""
    kind = replace(config, count=1, workers=0)
    path = folder / CONFIG_NAME
    if path.exists():
        if read_json(path, SceneConfig) != kind:
            raise InputError(
                f"{folder} holds scenes of other settings (see {path}); choose another folder or delete it"
            )
        return
    try:
        for action in MOTIONS:
            make_folder(folder / action)
    except OSError as error:
        raise InputError(
            f"cannot make the folder {error.filename or folder}: {why_refused(error, 'choose another one')}"
        ) from error
    write_json(path, kind)


def _write_table(folder: Path, config: SceneConfig) -> None:
    rows = list[tuple[str, ...]]()
    for number in range(config.count):
        path = video_path(folder, config, number).relative_to(folder)
        boxes = path.with_suffix(".json").as_posix()
        rows.append((path.as_posix(), action_of(config, number), split_of(config, number), path.stem, boxes))
    write_csv(folder / CSV_NAME, ("path", "action", "split", "group", "boxes"), rows)


@contextmanager
def _workers(count: int, tasks: int) -> Iterator[Map]:
    """A `map` over processes, or over none where the start of one would cost more than the work."""
    count = min(count or available_cores(), tasks)
    if count <= 1:
        yield map
        return
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=start_worker)
    try:
        yield partial(_map_in, pool)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)  # after Ctrl-C, scenes in hand are finished and no more begun


def _map_in(pool: ProcessPoolExecutor, function: Callable[[int], None], numbers: Iterable[int]) -> Iterator[None]:
    with ctrl_c_held():  # submitting starts the processes
        return pool.map(function, numbers)

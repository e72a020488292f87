"""The thesis's history again, one command: labels that leak, a cure that is none, one that is, and a late collapse.

FOLDER/scenes, FOLDER/videos     datasets, runs, answers and figures of generated scenes and of a person's videos
FOLDER/replay.html .json .csv    what came out
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Column, Table

from launch.replay import sentences
from launch.replay.recipe import MUTED_S, ReplayRecipe
from launch.replay.stage import FIGURES, StagePaths, play
from sharding.base.console import open_console
from sharding.base.csv_table import write_csv
from sharding.base.files import PART, check_unicode, foreign, publish, write_json
from sharding.base.locks import LOCK_NAME, folder_lock
from sharding.base.pages import image, render
from sharding.base.text import duration, first_few, plain
from sharding.errors import InputError

if TYPE_CHECKING:
    from avsync.replay.result import ReplayResult, StageResult

NAME = "replay"
LENGTH = (
    "The scenes take about 20 minutes on two CPU cores, an hour where others use them too; most of it is four "
    "trainings. Stopped, the same command goes on."
)
TEMPLATE = Path(__file__).with_name("replay.html.j2")


def replay(folder: Path, videos: Path | None = None, recipe: ReplayRecipe | None = None) -> "ReplayResult":
    """Run or go on with the replay in `folder`; ends by saying what to open. Raises what its steps raise."""
    recipe, started = recipe or ReplayRecipe(), time.monotonic()
    _check(folder, videos)
    _print(LENGTH)
    from avsync.replay.result import ReplayResult

    with folder_lock(folder, "avsync replay"):
        stages = [_scenes(folder, recipe)]
        if videos is not None:
            stages.append(_videos(folder, videos, recipe))
        result = ReplayResult(
            stages=tuple(stages),
            muted_s=float(MUTED_S),
            muted_samples=recipe.pairs_of("cyclic", muted=True).mute_samples,
        )
        _write(folder, result)
        _report(folder, result, time.monotonic() - started)
    return result


def _check(folder: Path, videos: Path | None) -> None:
    """Raises InputError for a folder of something else, and for videos that are not there, before any work."""
    check_unicode(folder)
    known = {LOCK_NAME, "scenes", "videos", *(f"{NAME}.{suffix}" for suffix in ("html", "json", "csv"))}
    if others := foreign(folder, known | {name + PART for name in known}):
        raise InputError(
            f"{folder} holds other files ({plain(first_few(others))}) and is no replay; name a new or empty folder"
        )
    if videos is not None and not videos.exists():
        raise InputError(f"--videos {videos} does not exist; name a folder of videos or a .csv that lists them")


def _scenes(folder: Path, recipe: ReplayRecipe) -> "StageResult":
    from sharding.pack.pack import pack
    from sharding.scenes.generate import generate

    paths = StagePaths(folder / "scenes")
    _say(f"avsync scenes {paths.videos}: moving objects, some of which make the sounds, in a room that hums")
    table = generate(paths.videos, recipe.scenes).table
    _say(f"avsync pack {table} {paths.dataset}: videos to shards")
    pack(table, paths.dataset, recipe.pack)
    return play(paths, f"Generated scenes, {recipe.scenes.seconds:g} s each", recipe, _say)


def _videos(folder: Path, videos: Path, recipe: ReplayRecipe) -> "StageResult":
    from sharding.pack.pack import pack

    paths = StagePaths(folder / "videos")
    _say(f"avsync pack {videos} {paths.dataset}: videos to shards")
    pack(videos, paths.dataset, recipe.pack)
    return play(paths, f"Real videos: {plain(videos.name)}", recipe, _say)


def _write(folder: Path, result: "ReplayResult") -> None:
    pictures = {
        (stage.name, name): path.read_bytes()
        for stage in result.stages
        for name in FIGURES
        if (path := StagePaths(folder / stage.name).figure(name)).is_file()
    }
    write_json(folder / f"{NAME}.json", result)
    rows = ((stage.name, *row) for stage in result.stages for arm in stage.arms for row in sentences.rows(arm))
    write_csv(folder / f"{NAME}.csv", ("data", *sentences.COLUMNS), rows)
    with publish(folder / f"{NAME}.html") as file:
        file.write(page_html(result, pictures).encode())


def page_html(result: "ReplayResult", pictures: dict[tuple[str, str], bytes]) -> str:
    """The whole page: verdict first, then figures and tables. pictures: (stage, figure) -> PNG."""
    return render(TEMPLATE, result=result, pictures=pictures, sentences=sentences, image=image)


def _report(folder: Path, result: "ReplayResult", seconds: float) -> None:
    console = open_console()
    for stage in result.stages:
        head, *lines = sentences.table(stage)
        table = Table(*(Column(name, overflow="fold") for name in head), title=stage.told)
        for line in lines:
            table.add_row(*line)
        console.print(table)
        _print(*sentences.audits(stage), *sentences.warnings(stage), *sentences.verdict(stage, result))
    _print(f"\nDone in {duration(seconds)}. Open:\n  {folder / NAME}.html   all of it, with figures")


def _say(text: str) -> None:
    _print(f"\n{text}", style="bold")


def _print(*lines: str, style: str = "") -> None:
    for line in lines:
        open_console().print(line, style=style, soft_wrap=True)

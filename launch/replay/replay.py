"""The thesis's history again, one command: labels that leak, a cure that is none, one that is, and a late collapse.

FOLDER/scenes, FOLDER/videos     datasets, runs, answers and figures of generated scenes and of a person's videos
FOLDER/replay.html .json .csv    what came out
"""

import csv
import io
import time
from pathlib import Path
from typing import TYPE_CHECKING

from launch.replay import told
from launch.replay.page import page_html
from launch.replay.recipe import MUTED_S, Recipe
from launch.replay.stage import FIGURES, StagePaths, play
from sharding.files import publish, write_json
from sharding.words import plain

if TYPE_CHECKING:
    from avsync.replay.result import ReplayResult, StageResult

NAME = "replay"


def replay(folder: Path, videos: Path | None = None, recipe: Recipe | None = None) -> "ReplayResult":
    """Run or go on with the replay in `folder`; ends by saying what to open. Raises what its steps raise."""
    from avsync.replay.result import ReplayResult

    recipe, started = recipe or Recipe(), time.monotonic()
    stages = [_scenes(folder, recipe)]
    if videos is not None:
        stages.append(_videos(folder, videos, recipe))
    muted = recipe.pairs_of("cyclic", muted=True).mute_samples
    result = ReplayResult(stages=tuple(stages), muted_s=float(MUTED_S), muted_samples=muted)
    _write(folder, result)
    _report(folder, result, time.monotonic() - started)
    return result


def _scenes(folder: Path, recipe: Recipe) -> "StageResult":
    from sharding.pack import pack
    from sharding.scenes.generate import generate

    paths = StagePaths(folder / "scenes")
    _say(f"avsync scenes {paths.videos}: moving objects, some of which make the sounds, in a room that hums")
    table = generate(paths.videos, recipe.scenes).table
    _say(f"avsync pack {table} {paths.dataset}: videos to shards")
    pack(table, paths.dataset, recipe.pack)
    return play(paths, f"Generated scenes, {recipe.scenes.seconds:g} s each", recipe, _say)


def _videos(folder: Path, videos: Path, recipe: Recipe) -> "StageResult":
    from sharding.pack import pack

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
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(("data", *told.COLUMNS))
    lines.writerows((stage.name, *row) for stage in result.stages for arm in stage.arms for row in told.rows(arm))
    for suffix, data in (("csv", text.getvalue()), ("html", page_html(result, pictures))):
        with publish(folder / f"{NAME}.{suffix}") as file:
            file.write(data.encode())


def _report(folder: Path, result: "ReplayResult", seconds: float) -> None:
    from rich.table import Column, Table

    from avsync.terminal import open_console
    from sharding.words import duration

    console = open_console()
    for stage in result.stages:
        head, *lines = told.table(stage)
        table = Table(*(Column(name, overflow="fold") for name in head), title=stage.told)
        for line in lines:
            table.add_row(*line)
        console.print(table)
        _print(*told.audits(stage), *told.warnings(stage), *told.verdict(stage, result))
    _print(f"\nDone in {duration(seconds)}. Open:\n  {folder / NAME}.html   all of it, with figures")


def _say(text: str) -> None:
    _print(f"\n{text}", style="bold")


def _print(*lines: str, style: str = "") -> None:
    from avsync.terminal import open_console

    for line in lines:
        open_console().print(line, style=style, soft_wrap=True)

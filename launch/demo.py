"""The whole path on generated scenes, one command: make, pack, train, evaluate, localise. Each step resumes."""

import csv
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from avsync.config import EvaluateConfig, LocalizeConfig, TrainConfig
from avsync.presets import PRESETS
from avsync.run.paths import RunPaths
from sharding.base.files import check_unicode
from sharding.base.guarded import claim
from sharding.config import PackConfig
from sharding.scenes.config import SceneConfig

LENGTH = (
    "The whole path takes about 10 minutes on two CPU cores, 30 where others use them too; most of it is step 3. "
    "Stopped, the same command goes on."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoRecipe:
    """Settings of every step. The defaults suit two CPU cores; docs/log.md says how they came."""

    scenes: SceneConfig = field(default_factory=SceneConfig)
    pack: PackConfig = field(
        default_factory=lambda: PackConfig(fps="15", size=56, sample_rate=16_000, min_clip_s="6", sources_per_shard=100)
    )
    train: TrainConfig = field(default_factory=lambda: replace(PRESETS["small"](), steps=360, validate_every=120))
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)


def demo(folder: Path, recipe: DemoRecipe | None = None) -> None:
    """Run or go on with the demo in `folder`; ends by saying what to open. Raises what its steps raise."""
    recipe = recipe or DemoRecipe()
    check_unicode(folder)
    claim(folder)
    started = time.monotonic()
    _print(LENGTH)
    table = _make_and_pack(folder, recipe)
    run, dataset = folder / "run", folder / "dataset"
    _say(3, f"avsync train {dataset} {run}: learn, without labels, what belongs together")
    from avsync.train.trainer import train  # torch comes with it: only now

    train(dataset, run, recipe.train)
    _say(4, f"avsync evaluate {run} {dataset}: scenes it never saw")
    from avsync.evaluate.evaluate import evaluate

    found = evaluate(run, dataset, recipe.evaluate)
    card = found.card
    video = _test_video(table, card.actions[0].name)
    _say(5, f"avsync localize {run} {video}: where the sound comes from")
    from avsync.localize.localize import localize

    result = localize(run, video, LocalizeConfig())
    minutes, seconds = divmod(round(time.monotonic() - started), 60)
    place = card.localisation
    _print(
        f"\nDone in {minutes}:{seconds:02} minutes. Held-out accuracy {card.accuracy}, chance 50 %"
        + (f", hottest point on the true source {place.times_chance:.1f}x as often as chance" if place else "")
        + f".\nOpen:\n  {result.mp4}   the heat map, with sound"
        f"\n  {result.sheet}   the same as one picture"
        f"\n  {found.plot}   accuracy by action and shift"
        f"\n  tensorboard --logdir {RunPaths(run).tensorboard}   the curves"
    )


def _make_and_pack(folder: Path, recipe: DemoRecipe) -> Path:
    """Returns the scenes' table."""
    from sharding.pack.pack import pack
    from sharding.scenes.generate import generate

    _say(1, f"avsync scenes {folder / 'scenes'}: moving objects, some of which make the sounds")
    table = generate(folder / "scenes", recipe.scenes).table
    _say(2, f"avsync pack {table} {folder / 'dataset'}: videos to shards")
    pack(table, folder / "dataset", recipe.pack)
    return table


def _test_video(table: Path, action: str) -> Path:
    """A scene of the test split, which the network has not seen, of the kind that it understands best."""
    with table.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if (row["split"], row["action"]) == ("test", action)]
    return table.parent / rows[0]["path"]


def _say(number: int, text: str) -> None:
    _print(f"\n{number} of 5: {text}", style="bold")


def _print(text: str, style: str = "") -> None:
    from sharding.base.console import open_console

    open_console().print(text, style=style, soft_wrap=True)

"""Does a network learn more from what was curated? The same one from a clean, a dirty and the curated set.

    python -m benchmarks.curate.downstream SCENES FOLDER --network RUN [--clips 400] [--steps 250] [--seeds 0 1 2]

Of the dirty set 30 % have their sound moved, 20 % have another video's; the rest is as in the clean set. Curated is the
dirty set as `avsync curate` and `pack` leave it, with the network of RUN as judge. All are judged on the same clean
videos, which nothing was chosen on. FOLDER keeps all that is made: a second call goes on.
"""

from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean

import numpy as np

from avsync.config import EvaluateConfig, RuntimeConfig
from avsync.curate.config import CurateConfig, CurateOptions
from avsync.curate.curate import curate
from avsync.evaluate.evaluate import evaluate
from avsync.metrics import Proportion
from avsync.presets import PRESETS
from avsync.train.trainer import train
from benchmarks.base.table import Table, command, report, wide_console
from benchmarks.curate.planted import PLANTS, reel_of, write
from sharding.base.csv_table import write_csv
from sharding.config import PackConfig
from sharding.format.dataset import open_dataset
from sharding.pack.pack import pack
from sharding.sources.source import is_video

MOVED, OTHERS = 0.3, 0.2
"""Shares of the dirty set."""
SETS = ("clean", "dirty", "curated")
FORM = PackConfig(fps="15", size=56, sample_rate=16_000, min_clip_s="6", codec="raw", trim_s="0")


@dataclass(frozen=True, kw_only=True, slots=True)
class Learned:
    """One network of one set."""

    name: str
    seed: int
    clips: int
    accuracy: Proportion
    choice: Proportion


def plant(scenes: Sequence[Path], folder: Path, fps: int) -> Counter[str]:
    """Write scenes as they are to clean/, and as a careless collector has them to dirty/. Returns counts by kind."""
    kinds = Counter[str]()
    for number, scene in enumerate(scenes):
        rng = np.random.default_rng(number)
        dice = rng.random()
        kind = "constant offset" if dice < MOVED else "another" if dice < MOVED + OTHERS else "in sync"
        kinds[kind] += 1
        for name, wanted in (("clean", "in sync"), ("dirty", kind)):
            path = folder / name / f"{scene.stem}.mp4"
            if path.exists():
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            reel, other = (reel_of(one.stem, [one], fps) for one in (scene, scenes[(number + 1) % len(scenes)]))
            frames, wave, _ = PLANTS[wanted](reel, other, rng)
            write(path, frames, wave, fps)
    return kinds


def listed(folder: Path, split: str) -> Path:
    """A CSV of all videos of a folder, on one side."""
    table = folder.parent / f"{folder.name}.csv"
    rows = ([f"{folder.name}/{path.name}", "scene", split] for path in sorted(folder.glob("*.mp4")))
    write_csv(table, ("path", "action", "split"), rows)
    return table


def learn(dataset: Path, test: Path, run: Path, options: Namespace, seed: int) -> Learned:
    """Train and judge one network; what is done already is not done again."""
    preset = PRESETS["small"]()
    config = replace(
        preset, steps=options.steps, seed=seed, validate_every=0,
        runtime=RuntimeConfig(checkpoint_every=options.steps),
    )  # fmt: skip
    train(dataset, run, config)
    card = evaluate(run, test, EvaluateConfig(split="test", checkpoint="last")).card
    assert card.choice
    clips = len(open_dataset(dataset, "train").index)
    return Learned(name=dataset.name, seed=seed, clips=clips, accuracy=card.accuracy, choice=card.choice)


def table_of(found: Sequence[Learned]) -> Table:
    """A row for each set: each seed's accuracy, their mean, and how far it lies from the clean set's."""
    seeds = sorted({one.seed for one in found})
    table = Table(
        "held-out accuracy by what was trained on",
        ("set", "clips", *(f"seed {seed}" for seed in seeds), "mean", "against clean", "mean choice"),
    )
    means = {name: mean(one.accuracy.value for one in found if one.name == name) for name in SETS}
    for name in SETS:
        some = [one for one in found if one.name == name]
        table.add(
            name,
            some[0].clips,
            *(f"{100 * one.accuracy.value:.1f} %" for one in some),
            f"{100 * means[name]:.1f} %",
            f"{100 * (means[name] - means['clean']):+.1f} points",
            f"{100 * mean(one.choice.value for one in some):.1f} %",
        )
    return table


def main(options: Namespace) -> None:
    """Plant, curate, pack, train, judge."""
    scenes = sorted((path for path in options.scenes.rglob("*") if is_video(path.name)), key=lambda path: path.stem)
    taught, asked = scenes[: options.clips], scenes[options.clips : options.clips + options.test]
    kinds = plant(taught, options.folder, options.fps)
    plant(asked, options.folder / "asked", options.fps)
    dirty = listed(options.folder / "dirty", "train")
    table = options.folder / "curated.csv"
    curate(dirty, table, CurateConfig(network=options.network, crop="all"), CurateOptions())
    sets = {"clean": listed(options.folder / "clean", "train"), "dirty": dirty, "curated": table}
    for name, rows in sets.items():
        pack(rows, options.folder / "sets" / name, FORM)
    test = options.folder / "sets" / "test"
    pack(listed(options.folder / "asked" / "clean", "test"), test, FORM)
    found = [
        learn(options.folder / "sets" / name, test, options.folder / "runs" / f"{name}-{seed}", options, seed)
        for seed in options.seeds
        for name in SETS
    ]
    about = (
        f"{len(taught)} scenes to train on ({dict(kinds)} in the dirty set), {len(asked)} to judge by, "
        f"{options.steps} steps"
    )
    report([table_of(found)], about, wide_console(), options, [asdict(one) for one in found])


if __name__ == "__main__":
    parser = command("curate.downstream", __doc__, outputs=True)
    parser.add_argument("scenes", type=Path, metavar="SCENES")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--network", required=True, help="a run that judges, trained on other scenes or on these")
    parser.add_argument("--clips", type=int, default=400, help="scenes to train on")
    parser.add_argument("--test", type=int, default=120, help="scenes to judge by")
    parser.add_argument("--steps", type=int, default=250, help="of each training")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--fps", type=int, default=15, help="of the scenes")
    main(parser.parse_args())

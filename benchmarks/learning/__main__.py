"""How well and how soon networks learn on generated scenes, by pair sampler and by seed.

    python -m benchmarks.learning FOLDER [--networks small paper] [--laws symmetric cyclic uniform] [--seeds 3]
    python -m benchmarks.learning FOLDER --networks small --steps 4 --batch 4 --scenes 12    # a trial

Every cell is a run folder and a result.json in FOLDER; the same command again goes on where it stopped. After each
cell learning.md and learning.png are written. Every network gets the same optimiser and the same number of steps.
"""

import argparse
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import get_args

from avsync.config import ModelName, OptimizerName, PairsName, ViewConfig
from benchmarks.base.table import command
from benchmarks.learning.cell import Cell, Ears, Found, find
from benchmarks.learning.report import markdown, picture
from sharding.base.files import publish
from sharding.config import PackConfig
from sharding.pack.pack import pack
from sharding.scenes.config import SceneConfig
from sharding.scenes.generate import generate


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = command("learning", __doc__)
    parser.add_argument("folder", type=Path, help="for the runs, the table and the scenes")
    parser.add_argument("--networks", nargs="+", choices=get_args(ModelName), default=["small", "paper"])
    parser.add_argument("--laws", nargs="+", choices=get_args(PairsName), default=["symmetric", "cyclic", "uniform"])
    parser.add_argument("--seeds", type=int, default=3, help="runs of each, seeds 0, 1, ...")
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--batch", type=int, default=16, help="clips a step")
    parser.add_argument("--optimizer", choices=get_args(OptimizerName), default="adamw")
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--low-rate-steps", type=int, default=0, help="first steps on every fourth picture")
    parser.add_argument("--wide-steps", type=int, default=0, help="first steps with windows at least 4 s apart")
    parser.add_argument("--ears", choices=get_args(Ears), default="own", help="other ones for any network but thesis")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32", help="bf16: also channels last")
    parser.add_argument("--window-s", type=float, default=4)
    parser.add_argument("--fps", default="15", help="of the scenes made here; thesis needs 97 pictures in a window")
    parser.add_argument("--size", type=int, default=48, help="side of the pictures in pixels; thesis needs 185")
    parser.add_argument("--dataset", type=Path, help="packed scenes; made in FOLDER where none is named")
    parser.add_argument("--scenes", type=int, default=1200, help="to make where no dataset is named")
    return parser.parse_args(arguments)


def dataset_of(options: argparse.Namespace) -> Path:
    """The named one, or scenes made and packed in FOLDER; each step goes on where it was stopped."""
    if options.dataset:
        return options.dataset
    folder, stored = options.folder, round(options.size / ViewConfig().crop)
    table = generate(folder / "scenes", SceneConfig(count=options.scenes)).table
    size = stored + stored % 2
    settings = PackConfig(fps=options.fps, size=size, sample_rate=16_000, min_clip_s="6", sources_per_shard=100)
    pack(table, folder / "dataset", settings)
    return folder / "dataset"


def cells(options: argparse.Namespace) -> list[Cell]:
    """Seed by seed, so that a table that is stopped early still compares."""
    asked = {field.name: getattr(options, field.name) for field in fields(Cell) if hasattr(options, field.name)}
    return [
        Cell(seed=seed, network=network, law=law, **asked)
        for seed in range(options.seeds)
        for network in options.networks
        for law in options.laws
    ]


def main() -> None:
    """Train, judge and write."""
    options = options_of()
    dataset, found = dataset_of(options), list[Found]()
    for cell in cells(options):
        found.append(find(cell, options.folder, dataset))
        with publish(options.folder / "learning.md") as file:
            file.write(markdown(found).encode())
        with publish(options.folder / "learning.png") as file:
            file.write(picture(found))
    print(markdown(found))


if __name__ == "__main__":
    main()

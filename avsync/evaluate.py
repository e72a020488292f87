"""Judge a trained network on fixed pairs it never trained on: accuracy, by action, by |shift|, and its maps."""

from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from avsync.cam import hottest_of
from avsync.config import EvaluateConfig
from avsync.draw import batches_of_rank, fixed_draws
from avsync.feed import Feed
from avsync.loader import LoaderOptions
from avsync.network import LoadedNetwork, load_network, pick_device
from avsync.plots import evaluation_plot
from avsync.pointing import Point, point
from avsync.predict import Answer, Predictions, answers, rows
from avsync.scorecard import Row, Scorecard, by_action, by_shift, localisation, overall, save
from sharding.errors import InputError
from sharding.files import publish


def evaluate(run: Path, dataset: Path, config: EvaluateConfig) -> Scorecard:
    """Write the figures to RUN/evaluation/DATASET-SPLIT and return them. Raises InputError, FormatError."""
    device = pick_device(config.device)
    network = load_network(run, config.checkpoint, device)
    feed = Feed.open(dataset, config.split, network.config.pairs, network.config.view)
    check_same_input(network, feed, dataset)
    got, points, groups = _ask(network, feed, config, device)
    accuracy, auc = overall(got, feed.dataset)
    card = Scorecard(
        run=str(run), dataset=str(dataset), split=config.split, step=network.step, clips=len(np.unique(got.clip)),
        accuracy=accuracy, auc=auc, loss=got.loss, actions=by_action(got, feed.dataset),
        shifts=by_shift(got, feed.dataset), localisation=localisation(points, np.array(groups)),
    )  # fmt: skip
    folder = run / "evaluation" / f"{dataset.resolve().name}-{config.split}"
    save(card, got, feed.dataset, folder)
    with publish(folder / "plot.png") as file:
        file.write(evaluation_plot(card, got))
    show(card, folder)
    return card


def check_same_input(network: LoadedNetwork, feed: Feed, dataset: Path) -> None:
    """Raises InputError when the dataset is not what the network was trained on."""
    if feed.spec() != network.spec:
        raise InputError(
            f"{dataset} does not fit this network: it was trained on {network.spec}, the dataset gives {feed.spec()}; "
            "pack the videos with the settings of the training dataset"
        )


def _ask(
    network: LoadedNetwork, feed: Feed, config: EvaluateConfig, device: torch.device
) -> tuple[Predictions, list[Point], list[int]]:
    draws = fixed_draws(feed.dataset.index, feed.clips, feed.law, feed.view, config.pairs_per_clip)
    share = batches_of_rank(draws, config.batch, 0, 1)
    mute = network.config.pairs.mute_samples
    tables, points, groups = [], list[Point](), list[int]()
    with feed.loader(LoaderOptions(pin=device.type == "cuda")) as loader:
        stream = answers(network.model, loader.batches(share), feed.view, mute, device)
        for answer in track(stream, "evaluating", total=len(share), transient=True):
            tables.append(rows(answer))
            for clip, outcome in _points(answer, feed):
                points.append(outcome)
                groups.append(int(feed.dataset.index.group[clip]))
    return Predictions.of(torch.cat(tables)), points, groups


def _points(answer: Answer, feed: Feed) -> list[tuple[int, Point]]:
    """The pointing game on the in-sync pairs of a batch, where the truth is known."""
    found: list[tuple[int, Point]] = []
    frames = answer.seen.frames.shape[2]
    for row, draw in enumerate(answer.batch.draws):
        meta = feed.dataset.read(draw.clip).meta() if bool(answer.batch.valid[row]) else None
        for number, sound in enumerate(draw.pair.sounds):
            if meta is None or not meta.boxes or not sound.in_sync:
                continue
            outcome = point(hottest_of(answer.said.cam[row, number], frames), meta, draw.pair.picture, feed.view)
            if outcome is not None:
                found.append((draw.clip, outcome))
    return found


def show(card: Scorecard, folder: Path) -> None:
    """Print the tables."""
    console = Console(highlight=False)
    share = card.accuracy
    console.print(
        f"accuracy [bold]{share.value:.1%}[/bold] (95 % interval {share.low:.1%} to {share.high:.1%}), chance 50 %; "
        f"ROC AUC {card.auc:.3f}; loss {card.loss:.3f}; {share.count} examples of {card.clips} clips, "
        f"split {card.split}, step {card.step}"
    )
    console.print(_table("action", card.actions), _table("|shift|", card.shifts))
    place = card.localisation
    if place:
        console.print(
            f"hottest point on a true source: [bold]{place.hottest.value:.1%}[/bold] "
            f"({place.hottest.low:.1%} to {place.hottest.high:.1%}) = {place.times_chance:.1f}x chance "
            f"({place.chance:.1%}); picture's centre {place.centre.value:.1%}"
        )
    console.print(f"figures, predictions and plot: {folder}", soft_wrap=True)


def _table(name: str, lines: tuple[Row, ...]) -> Table:
    table = Table(name, "accuracy", "95 % interval", "examples", title=f"by {name}")
    for line in lines:
        share = line.accuracy
        table.add_row(line.name, f"{share.value:.1%}", f"{share.low:.1%} to {share.high:.1%}", str(share.count))
    return table

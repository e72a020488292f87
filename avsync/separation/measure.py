"""How many decibels a separation is worth on clips it never saw, and beside it what it has to be held against.

`measure` is the table of contents. RUN/evaluation/DATASET-SPLIT-step-STEP/: summary.json, mixtures.csv, plot.png, and
examples to look at and to listen to.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.table import Table

from avsync.config import EvaluateConfig
from avsync.data.order import Draw, batches_of_rank, even_batch
from avsync.data.selection import sampler_of
from avsync.figures import ACCENT, INK, PALE, figure_png
from avsync.loading.feed import Feed
from avsync.loading.options import LoaderOptions
from avsync.metrics import Mean, Proportion, mean_of, proportion_of
from avsync.run.info import check_same_input
from avsync.run.network import pick_device
from avsync.run.paths import SUMMARY, RunPaths, evaluation_place, full_name
from avsync.separation.decibels import COLUMNS, FEWEST, fixed_mixtures, judged
from avsync.separation.examples import Example, ranked, sheet, write_sounds
from avsync.separation.loaded import LoadedSeparator, load_separator
from avsync.staging.mirror import StagedDataset
from sharding.base.console import Bar, open_console
from sharding.base.csv_table import write_csv
from sharding.base.files import publish, write_json
from sharding.base.guarded import check_steps, claim, make_folder
from sharding.base.housekeeping import housekeeping
from sharding.errors import FormatError, InputError

EXAMPLES = "examples"
VANISHES_DB = 1.0
"""An improvement that stays above this with another clip's picture is not owed to the picture."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SeparationCard:
    """summary.json. Improvements are decibels of SI-SDR above the mixture's own."""

    run: str
    dataset: str
    split: str
    step: int
    task: str
    pictures: int
    unreadable: int
    """Rows that could not be read, or whose mixture has a part that is silent."""
    before: Mean
    """SI-SDR with nothing done."""
    improvement: Mean
    """Of what was taken for the picture's own."""
    same_action: Mean | None
    other_action: Mean | None
    """The same of those that were mixed with a clip of their own action, and of another; None: there are none."""
    rest: Mean
    """Of what was left, beside the part that is not the picture's."""
    another_picture: Mean | None
    """With the picture of a third clip: must vanish. None: blind, or no such clip."""
    ceiling: Mean
    """Of the best mask that could be drawn."""
    sdr_before: Mean
    sdr: Mean
    own_part: Proportion
    """How often what was taken is nearer to the picture's own part than to the other; chance is 50 %."""


def measure(run: Path, dataset: Path, config: EvaluateConfig) -> SeparationCard:
    """Write the figures to a folder of RUN/evaluation, print and return them. Raises InputError, FormatError."""
    if config.min_shift_s or config.max_shift_s:
        raise InputError(f"--min-shift-s and --max-shift-s are for sync networks; {run} takes sounds apart: leave out")
    paths, device = RunPaths(run), pick_device(config.device)
    claim(paths.answers)
    check_steps(paths.evaluations)
    loaded = load_separator(run, config.checkpoint, device)
    trained = loaded.config
    pairs = replace(trained.pairs, window_s=config.window_s) if config.window_s else trained.pairs
    source = StagedDataset.of_folder(dataset)
    feed = Feed.of(source, config.split, pairs, trained.view, sampler=sampler_of(trained))
    check_same_input(loaded, feed, dataset)
    asked = _ask(loaded, feed, config, device)
    rows = asked.rows
    both = [feed.dataset.index.action[rows[name].astype(np.int64)] for name in ("clip", "other")]
    card = _card(rows, both[0] == both[1], asked.wanted, loaded, _in_full(run, dataset), config)
    folder = evaluation_place(paths, dataset, config.name, loaded.step)
    _save(card, rows, feed, folder)
    with housekeeping("write examples to", folder, Exception):
        _save_examples(asked, loaded, feed, folder / EXAMPLES)
    _show(card, folder)
    return card


def _in_full(run: Path, dataset: Path) -> tuple[str, str]:
    """Both in full, for the record."""
    return full_name(run.resolve()), full_name(dataset.resolve())


Rows = dict[str, NDArray[np.float64]]
"""By COLUMNS."""


class MixtureAnswers(NamedTuple):
    """What a network was asked."""

    rows: Rows
    """Those that count."""
    wanted: int
    """Rows asked for."""
    batches: list[list[Draw]]
    batch: NDArray[np.int64]
    """Of each row that counts."""
    device: torch.device


def _ask(loaded: LoadedSeparator, feed: Feed, config: EvaluateConfig, device: torch.device) -> MixtureAnswers:
    """Raises FormatError when no row counts."""
    draws = fixed_mixtures(feed, feed.clips, config.pairs_per_clip)
    size = even_batch(len(draws), max(FEWEST, config.batch))
    batches = batches_of_rank(draws, max(FEWEST, size + size % 2), 0, 1)
    group, tables = torch.from_numpy(feed.dataset.index.group.astype(np.int64)), list[torch.Tensor]()
    with feed.loader(LoaderOptions(device=device)) as loader:
        stream = judged(loaded.network, loader.batches(batches), feed.view, loaded.config.separate, group)
        with Bar("taking apart", len(batches), unit="share", passing=True) as bar:
            for got in stream:
                tables.append(got.rows.cpu())
                bar.advance()
        trouble = loader.budget.last
    table = torch.cat(tables).numpy() if tables else np.empty((0, len(COLUMNS)))
    batch = np.repeat(np.arange(len(tables)), [len(one) for one in tables])
    if not len(table):
        raise FormatError(
            f"split {config.split!r} has no two clips of different sources that can be read and heard; "
            f"{trouble or 'they are silent'}: pack more videos, or check the disk"
        )
    return MixtureAnswers(dict(zip(COLUMNS, table.T, strict=True)), len(draws), batches, batch, device)


def _save_examples(asked: MixtureAnswers, loaded: LoadedSeparator, feed: Feed, folder: Path) -> None:
    """Their batches are asked once more: no sound is kept meanwhile."""
    rows, found = ranked(asked.rows["after"] - asked.rows["before"]), list[Example]()
    batches = [asked.batches[asked.batch[row]] for row in rows.values()]
    group = torch.from_numpy(feed.dataset.index.group.astype(np.int64))
    with feed.loader(LoaderOptions(device=asked.device)) as loader:
        stream = judged(loaded.network, loader.batches(batches), feed.view, loaded.config.separate, group)
        for got, (name, row) in zip(stream, rows.items(), strict=True):
            at = np.flatnonzero(got.mixtures.counts.cpu().numpy())[row - np.searchsorted(asked.batch, asked.batch[row])]
            found.append(Example.of(got, int(at), name))
    make_folder(folder)
    spectrum = loaded.network.spectrum
    with publish(folder / f"{EXAMPLES}.png") as file:
        file.write(figure_png(sheet(found, spectrum)))
    write_sounds(folder, found, feed.dataset.info.clock.sample_rate)


def _card(
    rows: Rows,
    alike: NDArray[np.bool_],
    asked: int,
    loaded: LoadedSeparator,
    names: tuple[str, str],
    config: EvaluateConfig,
) -> SeparationCard:
    """alike: of each row, whether it was mixed with a clip of its own action."""
    group = rows["group"].astype(np.int64)
    mixture = np.minimum(rows["clip"], rows["other"]).astype(np.int64)

    def mean(values: NDArray[np.float64], chosen: NDArray[np.bool_] | None = None) -> Mean:
        chosen = np.ones(len(values), bool) if chosen is None else chosen
        return mean_of(values[chosen], group[chosen], mixture[chosen])

    strange = ~np.isnan(rows["swapped"])
    swapped, gain = mean(rows["swapped"] - rows["before"], strange), rows["after"] - rows["before"]
    return SeparationCard(
        run=names[0],
        dataset=names[1],
        split=config.split,
        step=loaded.step,
        task=loaded.config.separate.task,
        pictures=len(group),
        unreadable=asked - len(group),
        before=mean(rows["before"]),
        improvement=mean(gain),
        same_action=mean(gain, alike) if alike.any() else None,
        other_action=mean(gain, ~alike) if not alike.all() else None,
        rest=mean(rows["rest"]),
        another_picture=swapped if strange.any() and loaded.config.separate.task == "screen" else None,
        ceiling=mean(rows["ceiling"] - rows["before"]),
        sdr_before=mean(rows["sdr_before"]),
        sdr=mean(rows["sdr_after"]),
        own_part=proportion_of(rows["right"] > 0, group),
    )


def _save(card: SeparationCard, rows: Rows, feed: Feed, folder: Path) -> None:
    make_folder(folder)
    write_json(folder / SUMMARY, card)
    names = [name for name in COLUMNS if name not in ("clip", "other", "group")]
    lines = (
        (feed.dataset.key(int(clip)), feed.dataset.key(int(other)), *(f"{value:.3f}" for value in values))
        for clip, other, *values in zip(rows["clip"], rows["other"], *(rows[name] for name in names), strict=True)
    )
    write_csv(folder / "mixtures.csv", ("clip", "mixed_with", *names), lines)
    with publish(folder / "plot.png") as file:
        file.write(_plot(rows))


def _plot(rows: Rows) -> bytes:
    """Each picture's improvement, in order, under its ceiling, beside that with another clip's picture."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, color, label in (
        ("ceiling", PALE, "best mask"),
        ("after", ACCENT, "with its picture"),
        ("swapped", INK, "with another clip's picture"),
    ):
        values = rows[name] - rows["before"]
        values = np.sort(values[~np.isnan(values)])
        axes.plot(np.linspace(0, 100, len(values)), values, color=color, label=label)
    axes.axhline(0, color=PALE, linewidth=0.8)
    axes.set(xlabel="% of the pictures", ylabel="improvement of SI-SDR (dB)", ylim=(-25, None))
    axes.legend(frameon=False)
    return figure_png(figure)


def _show(card: SeparationCard, folder: Path) -> None:
    console = open_console()
    table = Table("what is heard", "SI-SDR above the mixture's", "95 % interval", title="whose sound is it")
    for name, found in (
        ("the picture's own part", card.improvement),
        ("- mixed with another action", card.other_action),
        ("- mixed with its own action", card.same_action),
        ("the rest", card.rest),
        ("with another clip's picture", card.another_picture),
        ("best mask, which knows both parts", card.ceiling),
    ):
        if found:
            table.add_row(name, f"{found.value:+.1f} dB", f"{found.low:+.1f} to {found.high:+.1f}")
    console.print(table)
    told = "; blind: which part is whose it was told" if card.task == "blind" else ""
    console.print(
        f"nothing done: SI-SDR {card.before.value:.1f} dB, SDR {card.sdr_before.value:.1f} dB; taken apart: SDR "
        f"{card.sdr.value:.1f} dB; the picture's own part taken {card.own_part}, chance 50 %{told}; {card.pictures} "
        f"pictures, split {card.split}, step {card.step}",
        soft_wrap=True,
    )
    if card.another_picture and card.another_picture.low > VANISHES_DB:
        console.print(
            f"with another clip's picture {card.another_picture.value:+.1f} dB are left: the mixture alone tells part "
            "of it, and the improvement is not all owed to the picture",
            style="bold red",
            soft_wrap=True,
        )
    if card.unreadable:
        console.print(
            f"{card.unreadable} windows are silent or could not be read, or are mixed with such", style="yellow"
        )
    console.print(f"figures, plot, and examples to listen to: {folder}", soft_wrap=True)

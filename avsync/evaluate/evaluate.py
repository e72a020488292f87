"""Judge a trained network on fixed pairs it never trained on: accuracy, by action, by |shift|, and its maps."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from rich.table import Table
from rich.text import Text
from torch import Tensor

from avsync.config import EvaluateConfig, PairConfig
from avsync.data.order import (
    batches_of_rank,
    even_batch,
    mixed,
)
from avsync.evaluate.actions import action_table, action_words
from avsync.evaluate.controls import AskedMap, MapExaminer
from avsync.evaluate.forced_choice import Bias, bias_words, by_action_name
from avsync.evaluate.map_pictures import map_plot, map_sheet
from avsync.evaluate.map_report import Threshold, choose, map_table, map_words, report
from avsync.evaluate.matching import Matcher, Matching
from avsync.evaluate.plots import evaluation_plot
from avsync.evaluate.pointing import PointingResult, point
from avsync.evaluate.scorecard import (
    Scorecard,
    ScoreRow,
    Trustworthiness,
    by_action,
    by_shift,
    localisation,
    save,
)
from avsync.honesty.examination import Examination
from avsync.honesty.judge import Honesty
from avsync.honesty.predict import BatchAnswer, choices
from avsync.honesty.swap import examined, examined_rows
from avsync.loading.feed import Feed
from avsync.loading.options import LoaderOptions
from avsync.metrics import Proportion, Reliability, proportion_of, roc_auc
from avsync.models import MODELS
from avsync.models.cam import MapReading, hottest_of
from avsync.models.sizes import check_size
from avsync.run.info import check_same_input
from avsync.run.network import LoadedNetwork, load_network, pick_device
from avsync.run.paths import RunPaths, evaluation_place, full_name, run_of
from sharding.base.console import Bar, open_console
from sharding.base.files import publish
from sharding.base.guarded import check_steps, claim
from sharding.base.text import interval, percent
from sharding.errors import AvsyncError, FormatError, InputError

VAL_CLIPS, VAL_PAIRS = 200, 2
"""Of val that are asked how maps are to be read, and from which heat on one is lit; and how often each of them."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was found, and where it is written."""

    card: Scorecard
    folder: Path

    @property
    def plot(self) -> Path:
        return self.folder / "plot.png"


@contextmanager
def _own_flags() -> Iterator[None]:
    """Errors about pairs name the flags of this command: training's without its prefix."""
    try:
        yield
    except InputError as error:
        raise type(error)(str(error).replace("--pairs.", "--")) from None


def evaluate(run: Path, dataset: Path, config: EvaluateConfig) -> Evaluation:
    """Write the figures to a folder of RUN/evaluation and return them. Raises InputError, FormatError, OSError."""
    run, device = run_of(run), pick_device(config.device)
    claim(RunPaths(run).answers)
    check_steps(RunPaths(run).evaluations)  # before anything is asked
    network = load_network(run, config.checkpoint, device)
    with _own_flags():
        feed = Feed.open(dataset, config.split, config.pairs_of(network.config.pairs), network.config.view)
        check_size(network.config.model, MODELS[network.config.model], feed.spec())
    check_same_input(network, feed, dataset)
    heard = _ask(network, feed, config, device)
    exam = Examination.of(heard.table, feed.dataset.index.group)
    got = exam.got
    if not len(got.clip):
        raise FormatError(
            f"none of the {len(heard.unreadable)} clips in split {config.split!r} of {dataset} can be read; "
            f"the last: {heard.last_error}. Check the disk, then pack the dataset again"
        )
    found, group = choices(got, feed.sampler.sounds), feed.dataset.index.group
    threshold = _threshold(network, feed, heard.maps, config, device) if heard.maps else None
    shown = heard.maps[threshold.reading] if threshold else []
    maps = report(shown, threshold) if threshold else None
    card = Scorecard(
        run=full_name(run.resolve()),
        dataset=full_name(dataset.resolve()),
        split=config.split,
        step=network.step,
        clips=len(np.unique(got.clip)),
        unreadable=len(heard.unreadable),
        accuracy=proportion_of(got.hits, exam.group),
        auc=roc_auc(got.logit, got.in_sync),
        loss=got.loss,
        actions=by_action(got, feed.dataset),
        shifts=by_shift(got, found, feed.dataset),
        localisation=localisation(heard.points, np.array(heard.groups)),
        honesty=Honesty.of(exam, network.step),
        choice=found.all(group) if len(found.clip) else None,
        bias=Bias.of(got, group, network.threshold),
        matching=heard.matching,
        choice_by_action=by_action_name(found, feed.dataset),
        reliability=Trustworthiness.of(got, group, network.calibration),
        maps=maps,
    )
    result = Evaluation(card, evaluation_place(RunPaths(run), dataset, config.name, network.step))
    save(card, got, feed.dataset, result.folder)
    with publish(result.plot) as file:
        file.write(evaluation_plot(card, got))
    if maps:
        for name, drawn in (("maps.png", map_plot(maps)), ("maps-sheet.png", map_sheet(shown))):
            if drawn:
                with publish(result.folder / name) as file:
                    file.write(drawn)
    show(result, heard.last_error)
    return result


@dataclass(slots=True)
class _Heard:
    """All that the network's answers give, gathered batch by batch."""

    table: Tensor = field(default_factory=lambda: torch.empty(0))
    """Rows of examined_rows, in the order of the draws."""
    points: list[PointingResult] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    """Of each point's clip."""
    matching: Matching | None = None
    maps: dict[MapReading, list[AskedMap]] = field(default_factory=dict)
    """As each reading has them, of pictures of which it is known where the sound comes from."""
    unreadable: set[int] = field(default_factory=set)
    """Clips that could not be read."""
    last_error: str = ""


def _ask(network: LoadedNetwork, feed: Feed, config: EvaluateConfig, device: torch.device) -> _Heard:
    draws = feed.fixed_draws(feed.clips, config.pairs_per_clip)
    batch = even_batch(len(draws), config.batch)
    batches = batches_of_rank(mixed(draws, batch), batch, 0, 1)
    mute, heard, tables = network.config.pairs.mute_samples, _Heard(), list[Tensor]()
    matcher, examiner = Matcher(network.model, feed.dataset), MapExaminer(network.model, feed, heard.maps)
    with feed.loader(LoaderOptions(device=device)) as loader:
        stream = examined(network.model, loader.batches(batches), feed.view, mute, feed.dataset.index.group)
        with Bar("evaluating", len(batches), unit="share", passing=True) as bar:
            for got in stream:
                tables.append(examined_rows(got))
                matcher.ask(got)
                examiner.ask(got)
                _note_points(got.answer, feed, heard)
                clips = zip(got.answer.batch.draws, got.answer.batch.jsons, strict=True)
                heard.unreadable |= {draw.clip for draw, json in clips if draw.clip >= 0 and json is None}
                bar.advance()
        heard.last_error = loader.budget.last
    heard.matching = matcher.found()
    heard.table = _unmixed(torch.cat(tables).unflatten(0, (len(batches) * batch, -1)), mixed(range(len(draws)), batch))
    return heard


def _threshold(
    network: LoadedNetwork,
    asked: Feed,
    maps: Mapping[MapReading, Sequence[AskedMap]],
    config: EvaluateConfig,
    device: torch.device,
) -> Threshold:
    """How maps are read, and from which heat on one is lit: as val has it, or, where that cannot be had, as the split
    that was asked.
    """
    if config.split != "val" and asked.dataset.info.clips.get("val"):
        pairs, folder = config.pairs_of(network.config.pairs), asked.dataset.folder
        try:
            if found := _maps_of_val(network, folder, pairs, config, device):
                return choose(found, "val")
        except AvsyncError as error:
            open_console().print(
                f"maps: from when on one is lit is chosen on {config.split} itself: {error}",
                style="yellow",
                soft_wrap=True,
            )
    return choose(maps, config.split)


def _maps_of_val(
    network: LoadedNetwork, folder: Path, pairs: PairConfig, config: EvaluateConfig, device: torch.device
) -> dict[MapReading, list[AskedMap]]:
    """Raises AvsyncError: no clip of val is long enough, or too many cannot be read."""
    with _own_flags():
        feed = Feed.open(folder, "val", pairs, network.config.view)
    draws, examiner = feed.fixed_draws(feed.fixed_clips(VAL_CLIPS), VAL_PAIRS), MapExaminer(network.model, feed)
    batch = even_batch(len(draws), config.batch)
    batches = batches_of_rank(mixed(draws, batch), batch, 0, 1)
    mute, group = network.config.pairs.mute_samples, feed.dataset.index.group
    with feed.loader(LoaderOptions(device=device)) as loader:
        for got in examined(network.model, loader.batches(batches), feed.view, mute, group):
            examiner.ask(got)
    return examiner.answers


def _unmixed(rows: Tensor, order: list[int]) -> Tensor:
    """Rows (draws, K, columns) as `order` has mixed them, then padding -> (draws*K, columns), as they were."""
    back = torch.empty_like(rows[: len(order)])
    back[order] = rows[: len(order)]
    return back.flatten(0, 1)


def _note_points(answer: BatchAnswer, feed: Feed, heard: _Heard) -> None:
    """The pointing game on the in-sync pairs of a batch, where the truth is known."""
    frames = answer.given.frames.shape[2]
    for row, (draw, meta) in enumerate(zip(answer.batch.draws, answer.batch.metas, strict=True)):
        for number, sound in enumerate(draw.pair.sounds):
            if meta is None or not meta.boxes or not sound.in_sync:
                continue
            outcome = point(hottest_of(answer.output.cam[row, number], frames), meta, draw.pair.picture, feed.view)
            if outcome is not None:
                heard.points.append(outcome)
                heard.groups.append(int(feed.dataset.index.group[draw.clip]))


def show(result: Evaluation, last_error: str) -> None:
    """Print the tables."""
    console, card = open_console(), result.card
    accuracy, found = card.accuracy, card.localisation
    console.print(
        Text.assemble("accuracy ", (percent(accuracy.value), "bold")),
        f"(95 % interval {interval(accuracy.low, accuracy.high)}), chance 50 %; ROC AUC {card.auc:.3f}; "
        f"loss {card.loss:.3f}; {accuracy.count} examples of {card.clips} clips, split {card.split}, step {card.step}",
    )
    for line in choice_words(card):
        console.print(line, soft_wrap=True)
    if card.honesty:
        console.print(card.honesty.text, soft_wrap=True)
        if card.honesty.warning:
            console.print(card.honesty.warning, style="bold red", soft_wrap=True)
    if card.unreadable:
        console.print(
            f"{card.unreadable} clips could not be read and count for nothing; the last: {last_error}", style="yellow"
        )
    console.print(action_table(card.actions), action_words(card.actions), _table("|shift|", card.shifts))
    if card.reliability:
        console.print(_reliability_table(card.reliability.best), reliability_words(card.reliability))
    if found:
        console.print(
            Text.assemble("hottest point of |w . f| on a true source: ", (percent(found.hottest.value), "bold")),
            f"({interval(found.hottest.low, found.hottest.high)}) = {found.times_chance:.1f}x chance "
            f"({percent(found.chance)}); picture's centre {percent(found.centre.value)}",
        )
    if card.maps:
        console.print(map_table(card.maps), map_words(card.maps))
    console.print(f"figures, predictions and plot: {result.folder}", soft_wrap=True)


def choice_words(card: Scorecard) -> list[str]:
    """What the network knows of timing and matching, and what its threshold hides of that."""
    lines = list[str]()
    if card.choice:
        lines.append(f"choice, which of two sounds of its clip belongs to a picture: {card.choice}, chance 50 %")
    asked = [(words, found) for words, found in _matching_of(card) if found.count]
    if asked:
        lines.append("; ".join(f"choice between its sound and {words}: {found}" for words, found in asked))
    if bias := card.bias:
        parted = f"; at {bias.threshold:.2f}, where val parts best, {bias.at_threshold}" if bias.at_threshold else ""
        lines.append(f"accuracy at logit 0: in sync {bias.in_sync}, shifted {bias.shifted}{parted}")
        if words := bias_words(card.accuracy, bias):
            lines.append(words)
    return lines


def reliability_words(found: Trustworthiness) -> str:
    """How far the probabilities are from what came true."""
    raw = f"with logits as they are {percent(found.of_logits.error)}"
    if found.of_run is None:
        return f"expected calibration error {raw}; the run has no calibration of its own for this checkpoint"
    return f"expected calibration error {percent(found.of_run.error)} with the calibration that val gave, {raw}"


def _reliability_table(found: Reliability) -> Table:
    table = Table("predicted", "mean", "in sync", "95 % interval", "examples", title="does the probability mean it")
    for row in found.bins:
        its = row.observed
        cells = (percent(row.predicted), percent(its.value), interval(its.low, its.high), str(its.count))
        table.add_row(interval(row.low, row.high), *cells)
    return table


def _matching_of(card: Scorecard) -> list[tuple[str, Proportion]]:
    if not card.matching:
        return []
    return [
        ("that of another clip of the action", card.matching.same),
        ("that of another action", card.matching.other),
    ]


def _table(name: str, rows: tuple[ScoreRow, ...]) -> Table:
    table = Table(name, "accuracy", "95 % interval", "examples", "choice", "95 % interval", "pairs", title=f"by {name}")
    for row in rows:
        its, choice = row.accuracy, row.choice
        chosen = (percent(choice.value), interval(choice.low, choice.high), str(choice.count)) if choice else ("",) * 3
        table.add_row(Text(row.name), percent(its.value), interval(its.low, its.high), str(its.count), *chosen)
    return table

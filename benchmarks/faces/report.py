"""The table."""

from collections.abc import Mapping
from operator import attrgetter

from benchmarks.base.runner import Rounds
from benchmarks.base.table import Column, Table, of_rounds, statistic
from benchmarks.faces.judge import OFFSETS_MS, WINDOW_S, named
from benchmarks.faces.race import BELOW, LOOK, RECIPES, Outcome
from benchmarks.learning.report import spread
from sharding.base.text import percent

QUOTED = (
    "Quoted, not run: Synchformer (Iashin et al. 2024, arXiv 2401.16423; its repository) names the right one of "
    "21 offsets 0.2 s apart in 47 % of videos of all kinds (VGGSound-Sparse) and one at most a class off in 67 %; of "
    "talking people (LRS3) in 87 % and 99.6 %, trained for days on GPUs."
)


def choice_at(offset: str) -> Column:
    """A column: right choices at an offset."""
    return lambda rounds, way: spread(rounds.each(way, lambda one: one.verdict.choice[offset]), ".1%")


def left(rounds: Rounds[str, Outcome], way: str) -> str:
    """A column; who never got there is counted."""
    return spread([one.left_s for one in rounds[way] if one is not None], ".0f")


COLUMNS: Mapping[str, Column] = {
    "CPU s to leave chance": left,
    **{offset: choice_at(offset) for offset in map(named, OFFSETS_MS)},
    "CPU ms a window": statistic("verdict.forward_ms", ".0f"),
    "parameters, M": statistic("parameters", ".2f", scale=1e-6),
    "steps": statistic("steps", ".0f"),
    "loss at the end, of chance": statistic("loss", ".2f"),
}


def table(rounds: Rounds[str, Outcome]) -> Table:
    """A row for each recipe, medians over the seeds."""
    titled = attrgetter("title")
    found = of_rounds("", rounds, COLUMNS, label=lambda name: titled(RECIPES[name]))
    judged = next((one.verdict for outcomes in rounds.values() for one in outcomes if one), None)
    asked = f"{judged.pairs} and more at each offset, of {judged.clips} clips" if judged else "none"
    found.note = (
        f"Medians over the seeds. Choices between the sound in sync and one shifted by so much, windows of "
        f"{WINDOW_S:g} s ({asked}); chance is 50 %. Chance is left where the mean loss over {LOOK} steps stays "
        f"{percent(1 - BELOW, 0)} below that of who knows nothing. {QUOTED}"
    )
    return found

"""Leaks that are planted in generated scenes are found on real labels; without them nothing is."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from planted import Change, counter_and_tone, falling_level, frame_counter, make, marker_tone, nothing, silent_start

from avsync.audit.config import AuditConfig
from avsync.audit.evidence import Evidence, gather
from avsync.audit.finding import Guesses
from avsync.audit.judge import strictness
from avsync.audit.probes import PROBES, ask_all
from avsync.config import PairConfig, PairsName, ViewConfig
from avsync.feed import Feed
from avsync.loading.options import CPU

pytestmark = pytest.mark.slow
Find = Callable[..., dict[str, Guesses]]
Gathered = Callable[..., Evidence]


def quiet(what: str, done: int, total: int) -> None:
    """Nobody looks."""


@pytest.fixture(scope="module")
def gathered(tmp_path_factory: pytest.TempPathFactory) -> Gathered:
    """What is kept of a planted dataset; each is made once."""

    @cache
    def dataset(change: Change, trim_s: str) -> Path:
        return make(tmp_path_factory.mktemp(change.__name__), change, trim_s=trim_s)

    @cache
    def evidence(change: Change, law: PairsName, window_s: float = 2, trim_s: str = "0.25") -> Evidence:
        pairs = PairConfig(law=law, window_s=window_s, min_shift_s=1, max_shift_s=3)
        config = AuditConfig(pairs=pairs, pairs_per_clip=4, device="cpu")
        feed = Feed.open(dataset(change, trim_s), "train", pairs, ViewConfig())
        return gather(feed, config, quiet)

    return evidence


def found(evidence: Evidence, seed: int = 0) -> dict[str, Guesses]:
    """By name of the probe."""
    with torch.random.fork_rng([]):
        asked = ask_all(replace(evidence, seed=seed), strictness(len(PROBES), 80), quiet, CPU)
        return {guesses.probe: guesses for guesses in asked}


def alarms(said: dict[str, Guesses]) -> set[str]:
    return {name for name, guesses in said.items() if guesses.strict.low > 0.5}


@pytest.mark.parametrize("seed", range(20))
def test_clean_scenes_pass_with_any_seed(gathered: Gathered, seed: int):
    assert not alarms(found(gathered(nothing, "symmetric"), seed))


def test_a_cyclic_shift_is_heard(gathered: Gathered):
    assert "ends meet" in alarms(found(gathered(nothing, "cyclic")))


def test_a_silence_at_the_start_of_the_file_makes_a_cyclic_shift_plain(gathered: Gathered):
    said = alarms(found(gathered(silent_start, "cyclic", 6.5, "0")))
    assert {"quiet start", "quiet lead-in"} <= said
    assert "sound alone" in said


@pytest.mark.parametrize(
    ("change", "probe", "at_least"),
    [
        (marker_tone, "place of the sound", 0.5),
        (falling_level, "place of the sound", 0.6),
        (frame_counter, "place of the picture", 0.6),
    ],
)
def test_a_place_that_one_stream_shows_is_read_and_is_no_label(
    gathered: Gathered, change: Change, probe: str, at_least: float
):
    said = found(gathered(change, "symmetric"))
    assert alarms(said) == {probe}
    assert said[probe].strict.low > at_least


def test_places_that_both_streams_show_are_matched(gathered: Gathered):
    said = alarms(found(gathered(counter_and_tone, "symmetric")))
    assert said == {"place of the sound", "place of the picture", "places in both"}

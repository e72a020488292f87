"""Limits are learnt: slow, uneven and growing runs raise nothing, and what hangs is called within a multiple."""

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avsync.config import UNKNOWN_WAIT_S
from avsync.run.limits import (
    FOR_CLIPS,
    MANY,
    WITH_OTHERS,
    HangRecord,
    Learnt,
    LimitRule,
    Limits,
    Section,
    read_limits,
)
from avsync.run.paths import RunPaths
from avsync.train.sentry import Word, to_blame
from sharding.base.files import add_line, to_json_line, write_json

SECTIONS = [section for section in Section if section is not Section.NONE]
MOST_S = 800.0
"""A healthy wait that is longer was called a hang before anything was learnt, too."""
SHAPES: dict[str, Callable[[random.Random, int], float]] = {
    "even": lambda chance, at: chance.uniform(0.9, 1.1),
    "varying": lambda chance, at: chance.uniform(0.1, 3),
    "growing": lambda chance, at: 1 + at / 40,
    "growing at once": lambda chance, at: 1.0 if at < 100 else 8.0,
    "two kinds": lambda chance, at: 0.05 if at % 7 else 2.0,
    "lognormal": lambda chance, at: chance.lognormvariate(0, 1.2),
    "Pareto": lambda chance, at: chance.paretovariate(2),
    "heavier Pareto": lambda chance, at: 0.2 * chance.paretovariate(1.5),
    "a hiccup": lambda chance, at: 15.0 if at == 400 else 1.0,
    "shrinking": lambda chance, at: 1 + 20 / (1 + at),
}
"""How long a section takes in ten runs, in units of the run's own pace."""


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("pace_s", [0.05, 2, 10, 40])
def test_ten_slow_but_healthy_runs_raise_nothing(shape: str, pace_s: float) -> None:
    """Several attempts each, points of the curves at any distance."""
    for seed in range(5):
        chance, rule, limits, at = random.Random(f"{shape} {pace_s} {seed}"), LimitRule(), Limits(), 0
        for _ in range(3):
            for _ in range(100):
                lately = Learnt()
                for _ in range(chance.choice((1, 3, 10))):
                    took = min(MOST_S, pace_s * SHAPES[shape](chance, at))
                    assert took < limits.limit_s(Section.DATA, rule), (shape, pace_s, seed, at, limits)
                    lately, at = lately.seen(took), at + 1
                limits = limits.learn({Section.DATA: lately})
            limits = limits.later()


times = st.lists(st.floats(0.001, 3000), min_size=1, max_size=40)


@given(times, st.sampled_from(SECTIONS), st.floats(1, 300))
def test_a_limit_is_a_multiple_of_what_was_seen_never_below_the_floor_nor_beyond_need(
    took: list[float], section: Section, floor_s: float
) -> None:
    rule, learnt = LimitRule(floor_s=floor_s), Learnt()
    cold = UNKNOWN_WAIT_S * (1 if section in FOR_CLIPS else 2)
    assert rule.limit_s(section, None) == rule.limit_s(section, learnt) == cold
    for seconds in took:
        learnt = learnt.seen(seconds)
    limit = rule.limit_s(section, learnt)
    assert limit >= floor_s
    assert limit > 2 * max(took), "what has happened once may happen again, and take twice as long"
    assert limit <= max(cold, floor_s, 5 * max(took)), "never later than who has learnt nothing, without a reason"
    often = replace(learnt, count=10_000)
    assert rule.limit_s(section, often) <= max(floor_s, 1.01 * MANY * max(took))
    assert rule.limit_s(section, often) <= limit, "more is known, so less is needed"
    for fixed in (1.0, 77.0):
        told = LimitRule(fixed_s=fixed, floor_s=floor_s)
        assert told.limit_s(section, learnt) == fixed * (1 if section in FOR_CLIPS else 2), "a flag has the last word"


@given(st.dictionaries(st.sampled_from(SECTIONS), st.floats(0.001, 500)), st.floats(1, 100))
def test_who_waits_for_others_outlasts_whatever_they_may_be_at(longest: dict[Section, float], floor_s: float) -> None:
    limits = Limits(sections={section: Learnt(100, long) for section, long in longest.items()})
    rule = LimitRule(floor_s=floor_s)
    for section in WITH_OTHERS:
        for inside in (Section.NONE, *SECTIONS):
            patience = limits.patience_s(section, inside, rule)
            others = {inside, *(one for one in longest if one not in (Section.FIRST_BATCH, Section.FIRST_STEP))}
            others -= {Section.NONE, Section.CHECKPOINT} - {inside}
            for other in others - {Section.NONE}:
                if other is Section.OTHERS and other not in longest:
                    continue
                assert patience > limits.limit_s(other, rule), (section, inside, other)


def test_what_was_learnt_is_kept_with_the_run_and_a_hang_makes_the_next_attempt_twice_as_patient(
    tmp_path: Path,
) -> None:
    paths, rule = RunPaths(tmp_path), LimitRule()
    assert read_limits(paths, "2 ranks") == Limits(on="2 ranks")
    learnt = {section: Learnt(1000, 5.0 + number) for number, section in enumerate(SECTIONS)}
    write_json(paths.limits, Limits(on="2 ranks", sections=learnt))
    before = read_limits(paths, "2 ranks")
    assert all(before.limit_s(one, rule) < rule.limit_s(one, None) for one in SECTIONS)
    assert read_limits(paths, "4 ranks").sections == {}, "on other machines all takes another time"
    limit = before.limit_s(Section.STEP, rule)
    hang = HangRecord(
        rank=1, node="n2", section=Section.STEP, step=7, shard="", seconds=limit + 1, limit_s=limit, at=1.0
    )
    add_line(paths.hangs, to_json_line(hang))
    paths.hangs.write_bytes(paths.hangs.read_bytes() + b"cut sho\n")
    now = read_limits(paths, "2 ranks")
    assert now.limit_s(Section.STEP, rule) >= 2 * limit
    assert {one: now.sections[one] for one in SECTIONS if one is not Section.STEP} == {
        one: before.sections[one] for one in SECTIONS if one is not Section.STEP
    }
    write_json(paths.limits, now)
    assert read_limits(paths, "2 ranks").limit_s(Section.STEP, rule) <= now.limit_s(Section.STEP, rule), "counted once"
    fades = [now]
    for _ in range(30):
        fades.append(fades[-1].later())
    assert all(later.limit_s(Section.STEP, rule) <= one.limit_s(Section.STEP, rule) for one, later in pairwise(fades))
    assert fades[-1].limit_s(Section.STEP, rule) == rule.floor_s, "one bad hour is forgotten"


places = st.tuples(st.integers(5, 7), st.sampled_from(SECTIONS))


@given(st.lists(st.none() | places, min_size=2, max_size=9))
def test_whom_the_others_wait_for_is_who_says_nothing_else_who_is_behind(
    words: list[tuple[int, Section] | None],
) -> None:
    said = [Word(rank=rank, step=at[0], section=at[1]) for rank, at in enumerate(words) if at]
    blamed = to_blame(said, len(words))
    silent = [rank for rank, at in enumerate(words) if at is None]
    if silent:
        assert blamed == silent
        return
    behind = [one for one in blamed if isinstance(one, Word)]
    assert len(behind) == len(blamed) < len(words)
    if blamed:
        rest = [one for one in said if one not in behind]
        assert max(one.position for one in behind) < min(one.position for one in rest)
    else:
        assert len({one.position for one in said}) == 1

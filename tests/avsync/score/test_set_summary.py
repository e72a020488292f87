"""Figures of sets and of pairs, on made-up lines. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from avsync.confidence.curve import Reading, Votes
from avsync.score.set_summary import (
    CLASS_S,
    EXACT,
    SHARES_MS,
    STRETCH_S,
    SetLine,
    compare,
    desync,
    mean_of,
    sign_flip,
    summarise,
)
from sharding.errors import InputError

OFFSETS = np.arange(-50, 51) / 25


def line(name: str, offset_ms: float | None, **changes: object) -> SetLine:
    made = SetLine(
        video=name, size=1, modified_ns=1, network="n", settings="s", verdict="off", offset_ms=offset_ms, desync_s=0.2
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def votes(best_s: Sequence[float | None], *, hop_s: float = 1.0, window_s: float = 1.5) -> Votes:
    """A window a hop, each sure of its offset, or of nothing."""
    nats = np.zeros((len(best_s), len(OFFSETS)))
    for row, best in zip(nats, best_s, strict=True):
        if best is not None:
            row[:] = -3
            row[np.abs(OFFSETS - best).argmin()] = 5
    starts = np.arange(len(best_s), dtype=np.float64) * np.float64(hop_s)
    return Votes(starts_s=starts, window_s=window_s, offsets_s=OFFSETS, nats=nats, capture_s=0.08, reading=Reading())


@pytest.mark.parametrize("offset", [-2.0, -0.4, 0.0, 0.08, 0.12, 0.6, 1.96])
@pytest.mark.parametrize("windows", [1, 3, 4, 20, 61])
def test_desync_of_a_constant_offset_is_its_class_whatever_the_length(offset: float, windows: int) -> None:
    assert desync(votes([offset] * windows)) == pytest.approx(abs(round(offset / CLASS_S)) * CLASS_S)


def test_desync_looks_at_all_of_a_file_not_only_at_its_ends() -> None:
    sound, middle = [0.0] * 20, [0.0] * 20
    middle[7:13] = [1.0] * 6
    assert desync(votes(sound)) == 0
    assert desync(votes(middle)) > 0.1  # type: ignore[operator]


def test_what_tells_nothing_counts_as_a_guess_and_what_was_not_asked_as_nothing() -> None:
    guess = np.abs(np.arange(-10, 11)).mean() * CLASS_S
    assert desync(votes([None] * 12)) == pytest.approx(guess)
    half = desync(votes([0.0] * 12 + [None] * 12, hop_s=STRETCH_S / 2, window_s=STRETCH_S / 2))
    assert half == pytest.approx(guess / 2)
    one = votes([0.0] * 3)
    assert desync(replace(one, offsets_s=one.offsets_s[50:51], nats=one.nats[:, 50:51])) is None


def test_a_set_is_counted_as_its_lines_say_whatever_their_order() -> None:
    lines = [
        line("a", 30.0, verdict="in sync", in_sync=0.9),
        line("b", -70.0, in_sync=0.1),
        line("c", 150.0, in_sync=0.0),
        line("d", 10.0, verdict="can't tell", in_sync=0.4),
        line("e", 20.0, verdict="changes", desync_s=None),
        line("f", None, verdict="can't tell", error="is empty"),
    ]
    found = summarise(lines, 0)
    assert (found.files, found.failed) == (6, 1)
    assert found == summarise(lines[::-1], 0)
    assert found.cant_tell is not None
    assert found.cant_tell.value == pytest.approx(1 / 5)
    assert found.mean_absolute_ms is not None
    assert (found.mean_absolute_ms.value, found.mean_absolute_ms.files) == (pytest.approx(67.5), 4)
    shares = [one and one.value for one in found.in_sync.values()]
    assert shares == pytest.approx([1 / 5, 2 / 5, 3 / 5])  # what changes is in sync at no tolerance
    assert list(found.in_sync) == [f"{most} ms" for most in SHARES_MS]
    assert found.desync_s is not None
    assert found.desync_s.files == 4
    assert found.in_sync_probability is not None
    assert (found.in_sync_probability.value, found.in_sync_probability.files) == (pytest.approx(1.4 / 5), 5)


def test_a_set_of_failures_has_no_figures() -> None:
    found = summarise([line("a", None, error="is empty")], 0)
    assert found.mean_absolute_ms is None
    assert set(found.in_sync.values()) == {None}


@pytest.mark.parametrize("count", [20])
def test_the_interval_holds_the_mean_in_nineteen_of_twenty_sets(count: int) -> None:
    rng, hits = np.random.default_rng(1), 0
    for seed in range(40):
        found = mean_of(rng.exponential(1.0, count), seed)
        assert found is not None
        hits += found.low <= 1.0 <= found.high
    assert hits >= 32


def test_pairs_of_one_name_are_compared_and_the_others_counted() -> None:
    a = {str(number): line(f"A/{number}", 20.0 + number, verdict="in sync") for number in range(8)}
    b = {str(number): line(f"B/{number}", 220.0 + number, desync_s=0.4) for number in range(9)}
    a["0"] = replace(a["0"], verdict="can't tell")
    b["1"] = replace(b["1"], error="is empty")
    found = compare(a, b, 0)
    assert (found.pairs, found.only_a, found.only_b) == (7, 1, 1)
    assert found.absolute_ms is not None
    assert (found.absolute_ms.pairs, found.absolute_ms.mean) == (6, pytest.approx(-200))
    assert found.absolute_ms.p == pytest.approx(2 / 2**6)
    gain = found.in_sync["80 ms"]
    assert gain is not None
    assert gain.mean == pytest.approx(6 / 7)
    assert found.desync_s is not None
    assert found.desync_s.mean == pytest.approx(-0.2)
    turned = compare(b, a, 0)
    assert turned.absolute_ms is not None
    assert turned.absolute_ms.mean == -found.absolute_ms.mean
    assert turned.absolute_ms.p == found.absolute_ms.p


def test_sets_without_a_common_name_or_scored_otherwise_are_refused() -> None:
    one, other = {"x": line("A/x", 0.0)}, {"y": line("B/y", 0.0)}
    with pytest.raises(InputError, match="no file of one set has a counterpart"):
        compare(one, other, 0)
    with pytest.raises(InputError, match="with different networks or settings"):
        compare(one, {"x": line("B/x", 0.0, settings="t")}, 0)


@pytest.mark.parametrize("count", [1, 3, EXACT])
def test_the_test_by_flipped_signs_is_exact_for_few_pairs(count: int) -> None:
    differences = np.random.default_rng(count).normal(0.5, 1, count)
    sums = [abs(np.dot(signs, differences)) for signs in product((1, -1), repeat=count)]
    wanted = np.mean([one >= abs(differences.sum()) - 1e-9 for one in sums])
    assert sign_flip(differences, 0) == pytest.approx(wanted)


def test_for_many_pairs_it_is_drawn_and_says_no_where_there_is_no_difference() -> None:
    rng = np.random.default_rng(0)
    none, some = rng.normal(0, 1, 60), rng.normal(1, 1, 60)
    assert sign_flip(none - none.mean(), 0) > 0.9
    assert sign_flip(some, 0) < 0.001
    assert sign_flip(some, 0) == sign_flip(some, 0)

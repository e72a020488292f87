"""Joined pieces: the places that are told are where one becomes the next."""

import numpy as np
import pytest

from benchmarks.curate.shots import NEAR, counted, joined


@pytest.mark.parametrize("dissolve", [0, 5, 6])
def test_places_lie_in_the_middle_of_what_joins(dissolve: int) -> None:
    pieces = [np.full((20, 2, 2, 3), level, np.uint8) for level in (10, 110, 210)]
    frames, places = joined(pieces, dissolve)
    assert len(frames) == 60 - 2 * dissolve
    for place, (before, after) in zip(places, ((10, 110), (110, 210)), strict=True):
        level = frames[:, 0, 0, 0].astype(int)
        assert level[place - dissolve // 2 - 1] == before
        assert level[place + (dissolve + 1) // 2] == after
        assert abs(level[place] - (before + after) / 2) <= 100 / 2


@pytest.mark.parametrize(("cuts", "hits", "others"), [([], 0, 0), ([21, 40], 2, 0), ([22, 23], 1, 1), ([23, 37], 0, 2)])
def test_counts(cuts: list[int], hits: int, others: int) -> None:
    assert NEAR["cuts"] == 2
    found = counted("cuts", "some", [20, 40], cuts, 1.0)
    assert (found.hits, found.others) == (hits, others)

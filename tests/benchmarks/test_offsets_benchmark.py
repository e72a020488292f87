"""What counts as right, wrong and not told of a planted offset; shares add up for each person."""

from dataclasses import replace
from pathlib import Path

import pytest

from avsync.score.set_summary import SetLine
from benchmarks.faces.offsets import OUTCOMES, Planted, outcome, table_of

LINE = SetLine(
    video="", size=1, modified_ns=1, network="", settings="", seconds=3.0, verdict="off", offset_ms=200.0,
    interval_ms=(180.0, 220.0), confidence=0.9, in_sync=0.0, windows=3, desync_s=0.2, faces=(), error="",
)  # fmt: skip
PLANTED = Planted(path=Path("a.mp4"), group="s1", clip="a", offset_s=0.2)


@pytest.mark.parametrize(
    ("line", "planted_s", "wanted"),
    [
        (LINE, 0.2, "right"),
        (LINE, 0.239, "right"),
        (LINE, 0.241, "wrong and sure"),
        (LINE, -0.2, "wrong and sure"),
        (replace(LINE, verdict="can't tell"), -0.2, "can't tell"),
        (replace(LINE, verdict="can't tell", offset_ms=None), 0.2, "can't tell"),
    ],
)
def test_outcome(line: SetLine, planted_s: float, wanted: str) -> None:
    assert outcome(replace(PLANTED, offset_s=planted_s), line) == wanted


def test_table_has_a_row_for_each_person_and_one_for_all() -> None:
    planted = [replace(PLANTED, group=group, clip=f"{group}{at}") for group in ("s1", "s2") for at in range(3)]
    table = table_of(planted, [OUTCOMES[at % 3] for at in range(6)])
    assert [row[:2] for row in table.rows] == [("s1", "3"), ("s2", "3"), ("all", "6")]

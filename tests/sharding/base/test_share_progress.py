"""What shares of a work tell of themselves, and what all of them come to."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from sharding.base import share_progress as module
from sharding.base.share_progress import (
    ShareProgress,
    ShareTeller,
    WorkProgress,
    read_share,
    read_shares,
    read_whole,
    together,
)

BEGUN = ShareProgress(asked="x", shares=4, all_sources=40, sources=10)


def told(done: int, source_s: float | None = None, left_s: float | None = None) -> ShareProgress:
    return replace(BEGUN, done=done, source_s=source_s, left_s=left_s)


@pytest.mark.parametrize(
    ("shares", "running", "whole"),
    [
        ([], 2, None),
        ([told(0)], 1, (0, None)),  # nothing is done: no pace
        ([told(4, 2.0, 12.0)], 0, (4, None)),  # nothing runs
        ([told(4, 2.0, 12.0)], 1, (4, 12 + 30 * 2)),  # it goes on alone, and the other three follow it
        ([told(4, 2.0, 12.0), told(6, 4.0, 16.0)], 2, (10, (28 + 20 * 3) / 2)),
        ([told(10, 2.0, 0.0)] * 3 + [told(2, 1.0, 80.0)], 4, (32, 80)),  # no sooner than the slowest
        ([told(10, 2.0, 0.0)] * 3, 3, (30, 20)),  # ... nor than one that has not begun
        ([told(10)] * 4, 0, (40, 0)),
        ([told(10), told(10), told(10), told(3)], 1, (33, None)),  # known from before: that is no pace
        ([told(10, 3.0, 0.0), told(3)], 1, (13, 7 * 3 + 20 * 3)),  # begun again: by the pace of others
    ],
)
def test_the_end_of_all_shares(shares: list[ShareProgress], running: int, whole: tuple[int, float] | None) -> None:
    wanted = whole and WorkProgress(sources=40, done=whole[0], left_s=whole[1])
    assert together(shares, running) == wanted


def test_it_is_written_when_something_is_done_now_and_then_otherwise_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, writes = [100.0], list[tuple[float, int]]()
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    teller = ShareTeller(tmp_path / "progress", 3, replace(BEGUN, done=2))
    for at in range(1, 81):
        now[0] = 100 + at / 8
        teller.tell(more=at // 10, left_s=9.0)
        share = read_share(tmp_path / "progress", 3)
        assert share
        if not writes or writes[-1][1] != share.done:
            writes.append((at / 8, share.done))
    assert [done for _, done in writes] == [2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert all(at <= 10 * (done - 2) / 8 + module.LEAST_S for at, done in writes), "told soon"
    assert writes[-1] == (10, 10), "the end at once"
    last = read_share(tmp_path / "progress", 3)
    assert last
    assert (last.source_s, last.left_s) == (10 / 8, 9.0)
    assert read_whole(tmp_path / "progress") is None


def test_shares_of_another_division_or_another_question_do_not_count(tmp_path: Path) -> None:
    for share in range(4):
        ShareTeller(tmp_path, share, replace(BEGUN, asked="old", done=9))
    ShareTeller(tmp_path, 7, replace(BEGUN, shares=8, done=9))
    assert set(read_shares(tmp_path, 4)) == {0, 1, 2, 3}
    time.sleep(0.01)
    ShareTeller(tmp_path, 1, replace(BEGUN, done=1))
    (tmp_path / "share-00002.json").write_text('{"updated": 1')
    (tmp_path / "share-x.json").write_text("{}")
    assert {number: one.done for number, one in read_shares(tmp_path, 4).items()} == {1: 1}
    assert read_shares(tmp_path, 5) == {}
    assert read_shares(tmp_path / "nowhere", 4) == {}


def test_where_nothing_can_be_written_the_work_goes_on(tmp_path: Path) -> None:
    (tmp_path / "progress").write_text("in the way")
    ShareTeller(tmp_path / "progress", 0, BEGUN).tell(10, 0.0)
    assert read_share(tmp_path / "progress", 0) is None

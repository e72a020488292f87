"""When the alarm begins, ends and is told; what does not depend on the order of batches or on luck."""

import math
from dataclasses import replace

import numpy as np
import pytest
from feeds import open_feed

from avsync.config import RuntimeConfig, TrainConfig
from avsync.data.order import even_batch
from avsync.honesty.examination import Examination, in_words
from avsync.honesty.judge import WORSE, Honesty, after, alarm_of, score_of
from avsync.honesty.predict import Predictions
from avsync.loading.feed import Feed
from avsync.run.alarm import Alarm
from avsync.run.state import Best, State
from avsync.train.validation import FEWEST, Validation
from avsync.world import World


def heard(share: float, clips: int = 200, seen: float = 0.5) -> Examination:
    """By the sound alone `share` of the clips are right, in both their sounds; by the picture alone `seen`."""
    in_sync = np.tile([True, False], clips)

    def answers(right: float) -> np.ndarray:
        return np.where(in_sync == (np.arange(2 * clips) // 2 < round(right * clips)), 1.0, -1.0)

    got = Predictions(
        clip=np.repeat(np.arange(clips), 2), shift=np.zeros(2 * clips, np.int64), in_sync=in_sync,
        logit=np.where(in_sync, 1, -1).astype(np.float32),
    )  # fmt: skip
    none = np.full(2 * clips, np.nan)
    return Examination(
        got=got, group=got.clip, other=answers(share), muted=answers(seen), listened=none, spatial=none
    )  # fmt: skip


def run(*shares: float) -> list[Alarm | None]:
    """The alarm after each of these validations, steps 1, 2, ..."""
    alarms, alarm = list[Alarm | None](), None
    for step, share in enumerate(shares, 1):
        alarms.append(alarm := alarm_of(step, heard(share), alarm))
    return alarms


def test_it_begins_beyond_doubt_stays_in_doubt_and_ends_when_nothing_speaks_for_it() -> None:
    alarms = run(0.5, 0.6, 0.7, 0.6, 0.6, 0.52, 0.6)
    assert [alarm and alarm.since for alarm in alarms] == [None, None, 3, 3, 3, None, None]
    assert [alarm and alarm.step for alarm in alarms] == [None, None, 3, 4, 5, None, None]


def test_it_is_told_when_it_begins_and_when_it_is_much_worse() -> None:
    shares = (0.5, 0.7, 0.75, 0.7 + WORSE + 0.01, 0.85, 0.7, 0.95)
    alarms = run(*shares)
    news = [bool(now and now.is_news(before)) for before, now in zip([None, *alarms], alarms, strict=False)]
    assert news == [False, True, False, True, False, False, True]


def test_the_worse_stream_is_named() -> None:
    alarm = alarm_of(1, heard(0.7, seen=0.9), None)
    assert alarm is not None
    assert (alarm.stream, alarm.accuracy) == ("picture", 0.9)
    assert "the picture alone" in alarm.text
    assert "With its sound muted it is still right in 90.0 %" in alarm.text


@pytest.mark.parametrize(("clips", "raised"), [(8, False), (16, False), (17, True), (60, True)])
def test_too_few_sources_are_no_proof(clips: int, raised: bool) -> None:
    assert bool(alarm_of(1, heard(1.0, clips), None)) == raised


@pytest.mark.parametrize("seed", range(20))
def test_an_honest_network_is_not_accused_by_luck(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for clips in (5, 30, 300):
        exam = heard(0.5, clips)
        level = np.repeat(rng.normal(size=clips), 2) * 2
        lucky = replace(exam, other=level + rng.normal(size=2 * clips), muted=level)
        assert alarm_of(1, lucky, None) is None


def test_an_alarm_without_an_honest_checkpoint_says_so_and_a_cheat_is_never_called_honest() -> None:
    state = State(step=3, model="small", digest="", skipped=0)
    exam = heard(0.9)
    alarm = alarm_of(3, exam, None)
    score = score_of(3, exam, alarm)
    assert score.cheats
    standing = after(state, score, alarm, better=True).alarm
    assert standing is not None
    assert standing.honest == 0
    assert "no honest checkpoint is kept" in standing.text.lower()
    kept = after(replace(state, best=Best(2, 0.6, 0.6, 0.6)), score, alarm, better=False).alarm
    assert kept is not None
    assert kept.honest == 2


def test_an_evaluation_says_whether_it_cheats() -> None:
    honest, cheat = Honesty.of(heard(0.5), 7), Honesty.of(heard(0.95), 7)
    assert (honest.cheats, honest.warning, honest.audited) == (None, "", 1)
    assert "with another clip's picture 50.0 %" in honest.text
    assert cheat.cheats == "sound"
    assert cheat.audited == pytest.approx(0.55)
    assert "the sound alone tells this network the label" in cheat.warning


def test_what_could_not_be_asked_is_not_said() -> None:
    exam = heard(0.9)
    alone = replace(exam, other=np.full_like(exam.other, np.nan))
    assert in_words(alone) == "accuracy 100.0 %, not audited, for all clips are of one source (muted 50.0 %)"
    assert score_of(3, alone, None).audited is None
    assert math.isnan(alone.with_another_picture().value)
    assert "another" not in Honesty.of(alone, 1).text
    assert "not audited, for all clips are of one source" in Honesty.of(alone, 1).text


# ---- which clips share a batch


def shares(feed: Feed, batch: int, ranks: int) -> list[list[list[int]]]:
    """Clips of each batch of each rank."""
    config = TrainConfig(batch=batch, validate_clips=1000, runtime=RuntimeConfig(device="cpu"))
    worlds = [
        World(rank=rank, ranks=ranks, device=None, gather=None, autocast=None, broadcast=None)  # type: ignore[arg-type]
        for rank in range(ranks)
    ]
    return [[[draw.clip for draw in rows] for rows in Validation(feed, config, world)._rows] for world in worlds]


@pytest.mark.parametrize(("batch", "ranks"), [(4, 1), (7, 1), (16, 1), (64, 1), (8, 8), (8, 2), (12, 3)])
def test_each_clip_is_asked_once_in_batches_that_can_lend_pictures(dataset, batch: int, ranks: int) -> None:
    feed = open_feed(dataset)
    found = shares(feed, batch, ranks)
    clips = [clip for rank in found for rows in rank for clip in rows if clip >= 0]
    assert sorted(clips) == feed.clips.tolist()
    assert len({len(rank) for rank in found}) == 1, "ranks go through as many batches"
    for rank in found:
        for rows in rank:
            assert FEWEST <= len(rows) <= max(FEWEST, batch // ranks)


@pytest.mark.parametrize(("count", "most", "rows"), [(33, 16, 11), (16, 16, 16), (17, 16, 9), (5, 16, 5), (1, 4, 1)])
def test_batches_are_as_large_as_may_be_and_alike(count: int, most: int, rows: int) -> None:
    assert even_batch(count, most) == rows


def test_neighbours_which_are_often_of_one_source_are_in_different_batches(dataset) -> None:
    feed = open_feed(dataset)
    (batches,) = shares(feed, 6, 1)
    assert len(batches) == 3
    for rows in batches:
        assert not {clip + 1 for clip in rows} & set(rows)

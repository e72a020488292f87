"""Which of several faces speaks; faces that follow each other are one voice. Pure: no video, no network."""

from dataclasses import dataclass
from fractions import Fraction
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from avsync.confidence.curve import Reading
from avsync.confidence.file_evidence import ScoreEvidence
from avsync.localize.watched import Watched
from avsync.score.config import ScoreConfig
from avsync.score.decide import SyncDecision, decide
from avsync.score.faces import faces_words, joined, scored_faces, speaker, together
from sharding.format.clip import Clock

CLOCK = Clock(fps=Fraction(25), sample_rate=16_000)
NETWORK = cast(Any, SimpleNamespace(dataset=SimpleNamespace(clock=CLOCK)))
OFFSETS = np.arange(-20, 21)


@dataclass(frozen=True)
class _Path:
    """A box that stays."""

    x: float

    def region(self, moment: Fraction, picture: object) -> tuple[Fraction, ...]:
        return Fraction(self.x), Fraction(1, 2), Fraction(1, 10), Fraction(1, 10)


def part(start: int, stop: int, x: float = 0.2) -> Watched:
    return Watched(frames=range(start, stop), network=NETWORK, path=cast(Any, _Path(x)))


def evidence(first: int, windows: int, offset: int | None) -> ScoreEvidence:
    """Windows that all know one offset, or nothing."""
    logit = np.full((windows, len(OFFSETS)), -3.0 if offset is not None else 0.0, np.float32)
    if offset is not None:
        logit[:, OFFSETS == offset] = 6
    return ScoreEvidence(
        clock=CLOCK,
        window=25,
        starts=first + 25 * np.arange(windows),
        offsets=OFFSETS,
        logit=logit,
        loudness_db=np.full(windows, -20, np.float32),
        motion=np.full(windows, 5, np.float32),
        peaks=np.full(25 * windows, 0.5, np.float32),
    )


def decided(one: ScoreEvidence) -> SyncDecision:
    return decide(one, ScoreConfig(), Reading())[0]


@pytest.mark.parametrize(
    ("spans", "wanted"),
    [
        ([(0, 100)], False),
        ([(0, 100), (100, 200)], False),
        ([(100, 200), (0, 100)], False),
        ([(0, 100), (99, 200)], True),
        ([(0, 300), (100, 200)], True),
        ([(0, 50), (60, 90), (200, 300), (10, 20)], True),
    ],
)
def test_faces_are_together_when_two_share_a_moment(spans: list[tuple[int, int]], wanted: bool) -> None:
    assert together([part(*span) for span in spans]) is wanted


def test_faces_that_follow_each_other_add_up_in_order_and_are_surer_than_each() -> None:
    early, late = (part(0, 100), evidence(0, 4, 3)), (part(150, 250), evidence(150, 4, 3))
    whole = joined([late, early])
    assert whole.starts.tolist() == sorted([*early[1].starts.tolist(), *late[1].starts.tolist()])
    assert len(whole.peaks) == 250
    assert not whole.peaks[100:150].any()  # nobody was looked at
    found = [decided(one) for one in (whole, early[1])]
    assert found[0].curve is not None
    assert found[1].curve is not None
    assert found[0].curve.confidence >= found[1].curve.confidence
    assert found[0].curve.best_s == pytest.approx(3 / 25, abs=0.02)


def test_a_face_that_was_never_asked_adds_nothing() -> None:
    asked, never = (part(0, 100), evidence(0, 4, 0)), (part(150, 160), evidence(150, 0, 0))
    assert joined([asked, never]) is asked[1]
    assert len(joined([never, never]).starts) == 0


@pytest.mark.parametrize("speaks", [0, 1])
def test_of_two_faces_the_one_that_fits_the_sound_speaks_and_is_named_by_its_place(speaks: int) -> None:
    heard = [evidence(0, 6, None), evidence(0, 6, None)]
    heard[speaks] = evidence(0, 6, 3)
    decisions = [decided(one) for one in heard]
    assert speaker(decisions) == speaks
    parts = [part(0, 150, x=0.7), part(0, 150, x=0.1)]  # the first is the right one
    faces = scored_faces(parts, decisions, speaker(decisions))
    assert [face.name for face in faces] == ["the left face", "the right face"]
    assert [face.speaks for face in faces] == [speaks == 1, speaks == 0]
    side = ("right", "left")[speaks]
    words = faces_words(faces)
    assert f"the {side} face speaks, sound 120 ms late" in words
    assert "it can't be told" in words


def test_many_faces_are_counted_from_the_left() -> None:
    parts = [part(0, 9, x=number / 10) for number in range(5)]
    faces = scored_faces(parts, [decided(evidence(0, 2, None))] * 5, 0)
    assert faces[4].name == "face 5 from the left"
    assert not any(face.speaks for face in faces)

"""Faces of real recordings: found where people are, each through its shot, and not where none are."""

from fractions import Fraction
from pathlib import Path

import pytest

from sharding.faces.follow import QUICK, THOROUGH, FaceLooks
from sharding.faces.steady import find_faces
from sharding.format.crop import BoxPath
from sharding.media.probe import probe
from tests.data import DATA
from tests.drawn_faces import needs_detector

pytestmark = [pytest.mark.slow, pytest.mark.data, needs_detector]
CLIPS = DATA / "clips"
SEEN = {
    "speech_studio/elospheres_T1_matrix0507.mkv": 1,
    "speech_studio/elospheres_T4_matrix1605.mkv": 1,
    "speech_face_crop/hdtf_AOC.mp4": 1,
    "speech_face_crop/pcavs_00104.mp4": 1,
    "speech_amateur/dfdc_anndvqgoko.mp4": 1,
    "speech/interview.mp4": 2,
    "synthetic_face/vasa_3.mp4": 1,
    "animals/budgie.mp4": 0,
    "animation/big_buck_bunny_51.mp4": 0,
}
"""How many people talk, or none, all the time."""


def faces_of(path: Path) -> tuple[BoxPath, ...]:
    source = probe(path)
    return find_faces(source, source.shown)


@pytest.mark.parametrize("looks", [THOROUGH, QUICK], ids=["thorough", "quick"])
@pytest.mark.parametrize("name", SEEN)
def test_each_person_is_one_track_from_beginning_to_end(name: str, looks: FaceLooks):
    source = probe(CLIPS / name)
    tracks = find_faces(source, source.shown, looks=looks)
    assert [(one.track, one.faces) for one in tracks] == [(number + 1, SEEN[name]) for number in range(SEEN[name])]
    for one in tracks:
        assert one.stretch is not None
        assert one.stretch[0] - source.shown[0][0] < 0.5
        assert source.shown[-1][1] - one.stretch[1] < 0.5


@pytest.mark.parametrize(
    "name", ["speech/interview.mp4", "speech_amateur/dfdc_anndvqgoko.mp4", "speech/obama_speech.mp4"]
)
def test_a_quick_look_sees_the_same_mouths(name: str):
    """Within an eighth of the box's side, in 19 of 20 moments: as near as the thorough one is to the mouth itself."""
    source = probe(CLIPS / name)
    thorough, quick = find_faces(source, source.shown), find_faces(source, source.shown, looks=QUICK)
    assert len(thorough) == len(quick)
    for one, other in zip(thorough, quick, strict=True):
        assert float(other.width) == pytest.approx(float(one.width), rel=0.06)
        first, stop = (pick(path.knots[at].time for path in (one, other)) for pick, at in ((max, 0), (min, -1)))
        moments = [first + (stop - first) * step / 100 for step in range(101)]
        missed = [max(abs(a - b) for a, b in zip(middle(one, t), middle(other, t), strict=True)) for t in moments]
        assert sorted(missed)[95] < float(one.width) / 8


def middle(path: BoxPath, moment: Fraction) -> tuple[float, float]:
    x, y = path.corner(moment)
    return float(x + path.width / 2), float(y + path.height / 2)


def test_a_head_that_is_held_still_has_a_box_that_is():
    (one,) = faces_of(CLIPS / "speech_studio/elospheres_T1_matrix0507.mkv")
    for values in ([knot.x for knot in one.knots], [knot.y for knot in one.knots]):
        assert max(values) - min(values) < one.width / 10


def test_shots_of_one_person_are_tracks_of_their_own():
    tracks = [one for one in faces_of(CLIPS / "speech/standup_comedy.mp4") if one.width > 50]
    assert len(tracks) == 3
    assert all(one.faces == 1 for one in tracks)

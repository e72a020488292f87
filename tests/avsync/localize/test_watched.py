"""A network that was trained on mouths is shown the mouths of a whole video, and its heat lies on them."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from bright import AsSeen, network
from torch import Tensor, nn

from avsync.config import LocalizeConfig
from avsync.localize.film import read_pictures
from avsync.localize.localize import localize_with
from avsync.localize.watched import Watched, looks_at_faces
from avsync.models.parts import SyncNet
from sharding.errors import InputError
from sharding.format.crop import BoxPath, Knot
from sharding.media.probe import probe
from tests.drawn_faces import Head, draw_heads, needs_detector
from tests.media import Video, write_video

CPU = torch.device("cpu")
MOUTHS = {"crop": "faces", "min_crop": 32}
WIDTH, HEIGHT = 320, 192


class Dark(nn.Module):
    """Features that are how much darker than middle gray the picture is: an open mouth."""

    def forward(self, frames: Tensor) -> Tensor:
        """frames: (N, 3, T, H, W) -> (N, 1, t, h, w)."""
        return nn.functional.avg_pool3d((-frames.mean(dim=1, keepdim=True)).clamp(min=0), (2, 8, 8))


def heads(time: Fraction) -> list[Head]:
    return [Head(70 + 8 * float(time), 80, 50, float(3 * time % 1)), Head(240, 100, 56, float(4 * time % 1))]


def talk(time: Fraction) -> np.ndarray:
    return draw_heads(WIDTH, HEIGHT, heads(time), (70, 90, 120))


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = Video(seconds=Fraction(3), width=WIDTH, height=HEIGHT, events=(), drawn=talk)
    return write_video(tmp_path_factory.mktemp("talk") / "talk.mp4", made)


def changed(result: Path, video: Path) -> np.ndarray:
    """(T, H, W) how much each pixel was painted over."""
    pairs = zip(read_pictures(probe(result)), read_pictures(probe(video)), strict=True)
    return np.stack([np.abs(one.rgb.astype(int) - other.rgb.astype(int)).max(axis=2) for one, other in pairs])


@needs_detector
def test_heat_of_mouth_crops_lies_on_the_mouths_of_the_whole_picture(video: Path, tmp_path: Path):
    net = network(SyncNet(Dark(), nn.Identity(), AsSeen()).eval(), settings=MOUTHS)
    result = localize_with(net, video, tmp_path / "out" / "heat.mp4", LocalizeConfig(), CPU)
    assert result.faces == 2
    painted = changed(result.mp4, video)[6:-6]
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    for frame in range(0, len(painted), 10):
        near = np.zeros((HEIGHT, WIDTH), bool)
        for head in heads(Fraction(frame + 6, 30)):
            x, y = head.mouth
            around = (np.abs(columns - x) < 0.85 * head.size) & (np.abs(rows - y) < 0.85 * head.size)
            assert painted[frame][around].max() > 60
            near |= around
        assert painted[frame][~near].max() < 40


@needs_detector
def test_all_of_the_picture_is_looked_at_where_that_is_asked(video: Path, tmp_path: Path):
    config = LocalizeConfig(crop="all")
    result = localize_with(network(settings=MOUTHS), video, tmp_path / "out" / "heat.mp4", config, CPU)
    assert result.faces == 0


@needs_detector
def test_a_video_without_a_face_says_so_and_what_to_do(tmp_path: Path):
    plain = write_video(tmp_path / "plain.mp4", Video(seconds=Fraction(2)))
    with pytest.raises(InputError, match=r"plain\.mp4: it shows no large face.*--crop all"):
        localize_with(network(settings=MOUTHS), plain, tmp_path / "out" / "heat.mp4", LocalizeConfig(), CPU)


@pytest.mark.parametrize(
    ("settings", "crop", "faces"),
    [
        (None, "auto", False), (MOUTHS, "auto", True), ({"crop": "boxes"}, "auto", True),
        (None, "faces", True), (MOUTHS, "all", False),
    ],
)  # fmt: skip
def test_faces_are_looked_at_as_the_dataset_was_packed_or_as_asked(settings, crop, faces: bool):
    assert looks_at_faces(network(settings=settings), crop) is faces


def test_what_the_network_sees_goes_with_the_box():
    """A view of 40 of 48 pixels in the middle of a box of 60 that goes 10 pixels a second."""
    knots = tuple(Knot(Fraction(time), Fraction(10 * time), Fraction(20)) for time in (0, 4))
    path = BoxPath(track=1, faces=1, width=Fraction(60), height=Fraction(60), knots=knots)
    part = Watched(frames=range(40), network=network(), path=path, picture=(Fraction(320), Fraction(160)))
    for time in (0, 1, 3):
        seen = np.array(part.seen(Fraction(time), 640, 320)) * (320, 160, 320, 160)
        assert seen == pytest.approx((10 * time + 5, 25, 10 * time + 55, 75), abs=0.01)
    assert part.has(Fraction(0))
    assert not part.has(Fraction(4))
    assert replace(part, path=None).has(Fraction(9))

"""Scores of maps whose answer is known, and what avsync localize says of networks that look only, or listen only."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from avsync.data.transforms import NetworkInput
from avsync.honesty.maps import DEAF, FLAT, MapScorer, MapScores, listened, spatial
from avsync.models.parts import SyncNet, SyncOutput

MAP = torch.arange(1.0, 1 + 2 * 3 * 4).reshape(1, 2, 3, 4)


def one(score: Tensor) -> float:
    return round(score.item(), 5)


def test_the_same_map_has_not_listened_whatever_its_sign() -> None:
    assert one(listened(MAP, MAP)) == one(listened(MAP, -MAP)) == 0


def test_maps_without_a_common_cell_have_listened_in_full() -> None:
    left, right = MAP.clone(), MAP.clone()
    left[..., :2], right[..., 2:] = 0, 0
    assert one(listened(left, right)) == 1
    assert one(listened(MAP, torch.zeros_like(MAP))) == 1, "dark in silence"


def test_a_map_twice_as_hot_is_half_the_same() -> None:
    assert one(listened(MAP, 2 * MAP)) == 0.5


@pytest.mark.parametrize("scale", [1e-30, 1e-6, 1.0, 1e6])
def test_no_scale_changes_a_score_and_nothing_is_not_a_number(scale: float) -> None:
    assert one(listened(scale * MAP, scale * MAP.flip(-1))) == one(listened(MAP, MAP.flip(-1)))
    assert one(spatial(scale * MAP)) == one(spatial(MAP))


def test_two_maps_without_heat_are_the_same_and_point_nowhere() -> None:
    dark = torch.zeros(1, 2, 3, 4)
    assert one(listened(dark, dark)) == one(spatial(dark)) == 0


@given(st.integers(1, 4), st.integers(2, 5), st.integers(2, 5), st.integers(0, 1000))
def test_scores_lie_between_0_and_1_and_do_not_mind_the_order_of_the_sounds(t: int, h: int, w: int, seed: int) -> None:
    a, b = torch.randn(2, 3, t, h, w, generator=torch.Generator().manual_seed(seed))
    for score in (listened(a, b), spatial(a)):
        assert ((score >= 0) & (score <= 1)).all()
    assert torch.equal(listened(a, b), listened(b, a))


def test_whole_frames_point_nowhere_one_cell_points_and_half_the_cells_are_half_dark() -> None:
    whole, single, half = torch.ones(1, 2, 4, 4), torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 4)
    single[..., 1, 2], half[..., :2] = -3, 1
    assert (one(spatial(whole)), one(spatial(single))) == (0, 1)
    assert one(spatial(half)) == pytest.approx(8 / 15, abs=1e-5)


def test_a_moment_counts_by_its_heat_and_a_map_of_one_cell_points_nowhere() -> None:
    film = torch.zeros(1, 2, 4, 4)
    film[0, 0, 0, 0], film[0, 1] = 16, 1 / 16
    assert one(spatial(film)) == pytest.approx(16 / 17, abs=1e-5)
    assert one(spatial(torch.ones(1, 5, 1, 1))) == 0


def test_noise_is_where_the_reading_draws_its_line() -> None:
    noise = torch.randn(4, 8, 40, 40, generator=torch.Generator().manual_seed(0))
    assert spatial(noise).mean().item() == pytest.approx(FLAT, abs=0.01)


class Fixed(nn.Module):
    """The map of `looks` shares of the picture's place and `hears` shares of the sound's first sample."""

    def __init__(self, looks: float, hears: float) -> None:
        super().__init__()
        self.looks, self.hears = looks, hears

    def forward(self, seen: Tensor, heard: Tensor) -> SyncOutput:
        """seen: (N, 3, t, h, w), heard: (N, C, S)"""
        cam = self.looks * seen[:, 0] + self.hears * heard[:, 0, :1, None, None]
        return SyncOutput(cam.mean(dim=(1, 2, 3)), cam)


def asked(looks: float, hears: float) -> tuple[float, float]:
    frames, sounds = torch.zeros(1, 3, 2, 5, 5), torch.zeros(1, 1, 1, 100)
    frames[..., 2, 2], sounds[..., 0] = 1, 1
    scorer = MapScorer(SyncNet(nn.Identity(), nn.Identity(), Fixed(looks, hears)))
    output = scorer.ask(NetworkInput(frames, sounds))
    assert output.logit.shape == (1, 1)
    assert output.cam.shape == (1, 1, 2, 5, 5)
    scorer.ask(NetworkInput(frames, sounds))
    return scorer.mean()


def test_a_network_that_only_looks_is_called_deaf_and_one_that_only_listens_is_called_flat() -> None:
    assert asked(looks=1, hears=0) == (0, 1)
    assert asked(looks=0, hears=1) == (1, 0), "backwards its first sample is silent"
    assert "nearly the same map whatever is heard" in MapScores(0, 1).meaning
    assert "lights whole frames" in MapScores(1, 0).meaning
    assert "points at places" in MapScores(DEAF, FLAT).meaning
    assert str(MapScores(0.826, 0.905)) == "listened 0.83, spatial 0.91"

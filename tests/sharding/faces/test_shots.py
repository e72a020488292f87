"""Shots are told apart where pictures change at once and altogether, and nowhere else."""

import numpy as np
import pytest

from sharding.faces.follow import ShotChanges

HEIGHT, WIDTH = 96, 160


def scene(seed: int, *, large: int = 8) -> np.ndarray:
    """(96, 320) of cells `large` pixels a side, of a brightness of its own."""
    rng = np.random.default_rng(seed)
    low = int(rng.integers(0, 130))
    cells = rng.integers(low, low + 120, (HEIGHT // large, 2 * WIDTH // large))
    return np.kron(cells, np.ones((large, large))).astype(np.uint8)


def begins(pictures: list[np.ndarray]) -> list[int]:
    changes = ShotChanges()
    return [number for number, picture in enumerate(pictures) if changes.begins(picture)]


def panned(seed: int, count: int, step: int) -> list[np.ndarray]:
    """A camera that goes by so many pixels a picture."""
    return [scene(seed)[:, step * number % WIDTH :][:, :WIDTH] for number in range(count)]


@pytest.mark.parametrize("step", [0, 1, 3])
@pytest.mark.parametrize("lengths", [(10, 10, 10), (4, 25, 7, 12)])
def test_scenes_one_after_the_other_are_as_many_shots(lengths: tuple[int, ...], step: int):
    shots = [panned(seed, length, step) for seed, length in enumerate(lengths)]
    starts = np.cumsum((0, *lengths[:-1])).tolist()
    assert begins([picture for shot in shots for picture in shot]) == starts


@pytest.mark.parametrize("step", [1, 8, 40])
def test_a_camera_that_shakes_makes_no_shot(step: int):
    rng = np.random.default_rng(step)
    wide = scene(5)
    pictures = [wide[:, (at := int(rng.integers(0, step + 1))) : at + WIDTH] for _ in range(60)]
    assert len(begins(pictures)) <= 2


def test_a_light_that_fades_is_no_new_shot():
    picture = scene(3).astype(float)[:, :WIDTH]
    assert begins([(picture * (1 - 0.03 * number)).astype(np.uint8) for number in range(30)]) == [0]


def test_pictures_that_stay_hide_no_shot():
    """Each twice, as of a source of half the rate."""
    pictures = [picture for seed in (1, 2) for picture in panned(seed, 8, 2) for _ in range(2)]
    assert begins(pictures) == [0, 16]

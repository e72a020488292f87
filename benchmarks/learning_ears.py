"""A network with other ears, to see whether they are what keeps it on the plateau near ln 2."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from torch import nn

from avsync.config import ModelName
from avsync.models import MODELS, paper, small
from avsync.models.parts import InputSpec, SyncNet

Ears = Literal["own", "waveform", "log-mel"]
EARS: dict[Ears, tuple[Callable[[InputSpec], nn.Module], int]] = {
    "waveform": (lambda spec: paper.Audio(spec.channels), 256),
    "log-mel": (lambda spec: small.AudioPart(spec.clock.sample_rate), small.FEATURES),
}
"""How they are built, and how many features they give."""
WANTED: dict[ModelName, int] = {"paper": 256, "small": small.FEATURES, "covariance": small.FEATURES}
"""Features that the networks take in, those whose ears can be changed."""


@contextmanager
def other_ears(network: ModelName, ears: Ears) -> Iterator[None]:
    """While this lasts, networks of this name are built with these ears."""
    own = MODELS[network]
    if ears != "own":
        MODELS[network] = lambda spec: _fitted(own(spec), spec, ears, WANTED[network])
    try:
        yield
    finally:
        MODELS[network] = own


def _fitted(net: SyncNet, spec: InputSpec, ears: Ears, wanted: int) -> SyncNet:
    build, features = EARS[ears]
    fit = (nn.Conv1d(features, wanted, 1, bias=False), nn.BatchNorm1d(wanted), nn.ReLU())
    net.audio = nn.Sequential(build(spec), *fit)
    return net

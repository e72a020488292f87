"""The networks by name. To add one: a file with `build`, a line in MODELS, its name in avsync.config.ModelName.

In: an InputSpec, then tensors. Out: a SyncNet, then a SyncOutput: a logit for each sound, and its map.
Imported by: loading and run (what a network is shown), and all rooms above that ask one or draw its maps.

Every network keeps two promises that tests check for all of MODELS: it is made of the parts of avsync.models.parts, and
the cells of its map stand evenly over the picture and the window, cell i of n over the i-th n-th, to half a cell.

thesis paper small covariance embedding    a network each
parts    what all are made of            sizes    can one work with windows of this size
stem     a faster first convolution      cam      from a map's cells to heat and to its hottest point
"""

from collections.abc import Callable

from avsync.models import covariance, embedding, paper, small, thesis
from avsync.models.parts import SyncNet
from avsync.models.sizes import check_size
from avsync.spec import InputSpec
from sharding.errors import InputError

MODELS: dict[str, Callable[[InputSpec], SyncNet]] = {
    "thesis": thesis.build,
    "paper": paper.build,
    "small": small.build,
    "covariance": covariance.build,
    "embedding": embedding.build,
}

REFINE: dict[str, Callable[[SyncNet], None]] = {"paper": paper.refine}
"""Networks that can draw a finer map than they were trained with, in place and without training."""


def build_model(name: str, spec: InputSpec) -> SyncNet:
    """The network `name` with fresh weights. Raises InputError when it cannot work with inputs like `spec`."""
    check_size(name, _known(name), spec)
    return MODELS[name](spec)


def build_trained(name: str, spec: InputSpec) -> SyncNet:
    """The same for weights that have worked with inputs like `spec`: asking whether it can loads torch's compiler, as
    long as all else that it takes to ask such a network. Raises InputError.
    """
    return _known(name)(spec)


def _known(name: str) -> Callable[[InputSpec], SyncNet]:
    if name not in MODELS:
        raise InputError(f"--model {name} is not known; choose one of {', '.join(MODELS)}")
    return MODELS[name]

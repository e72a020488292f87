"""Where a run's first weights come from: `avsync train DATASET RUN --from OTHER`.

What OTHER had learned is taken over by name and shape; what is worked out from the dataset (mel filters, windows) is
the new run's own. run.json keeps the descent, so that the same command begins with the very same weights as long as
no checkpoint of its own is there, and says so where they are gone.
"""

from pathlib import Path
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import (
    _BatchNorm,  # pyright: ignore[reportPrivateUsage] # the common class of all of torch's
)

from avsync.run.checkpoint import load_weights
from avsync.run.info import Descent, Features, read_run
from avsync.run.origins import differences, digest_of
from avsync.run.paths import RunPaths
from avsync.spec import InputSpec
from sharding.base.text import counted
from sharding.errors import FormatError, UsageError


def take_features(network: nn.Module, features: Features) -> str:
    """Put their weights into the network that they are of; returns what was done, as a sentence.

    Raises InputError, FormatError where they are gone, or are not those that the run began with.
    """
    folder = RunPaths(Path(features.origin.run)).checkpoint(features.origin.step)
    saved = _weights_in(folder, features.origin)
    network.load_state_dict(saved)
    return f"sees by network {features.model!r} of {features.origin.run}, step {features.origin.step:,}"


def take_weights(network: nn.Module, descent: Descent, spec: InputSpec) -> str:
    """Put the ancestor's weights into `network`; returns what was taken, as one sentence.

    Raises InputError, FormatError where they are gone, or are not those that the run began with.
    """
    run = Path(descent.run)
    folder = RunPaths(run).checkpoint(descent.step)
    before = read_run(RunPaths(run))
    saved = _weights_in(folder, descent)
    own = network.state_dict()
    learned = [name for name in _learned(network) if name in saved and saved[name].shape == own[name].shape]
    if not learned:
        raise UsageError(f"nothing in {folder} fits this network, whose windows or sizes are others; leave --from out")
    network.load_state_dict({name: saved[name] for name in learned}, strict=False)
    left = len(_learned(network)) - len(learned)
    kept = f"; {counted(left, 'tensor')} of other shapes begin anew" if left else ""
    return f"starts from {descent.run}, step {descent.step:,}: {counted(len(learned), 'tensor')} taken{kept}" + (
        _differs(before.spec, spec)
    )


def _weights_in(folder: Path, descent: Descent) -> dict[str, Any]:
    saved = load_weights(folder)
    if digest_of(folder) != descent.digest:
        raise FormatError(
            f"{folder} is not what this run was begun from: it was trained anew. Start a new run in another folder"
        )
    return saved


def _differs(before: InputSpec, now: InputSpec) -> str:
    """What its weights are not used to."""
    changed = differences(before, now)
    return f"; it was trained with {', '.join(changed)}" if changed else ""


def _learned(network: nn.Module) -> list[str]:
    """Weights, and the statistics of batch norm; no tables that follow from the input."""
    statistics = (
        f"{path}.{name}" if path else name
        for path, module in network.named_modules()
        if isinstance(module, _BatchNorm)
        for name, _ in module.named_buffers(recurse=False)
    )
    return [*(name for name, _ in network.named_parameters()), *statistics]

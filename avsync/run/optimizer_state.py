"""An optimiser's state out of a checkpoint, put where it belongs, or refused before it can end a step.

torch takes a state of any shapes and settings, and only the next step fails, or trains otherwise than the run says.
"""

import math
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from sharding.errors import FormatError

STEP = "step"
"""What every optimiser of torch calls its count of steps."""
MOST_STEPS = 2**53
"""What counts steps may count so many."""


def restore_optimizer(optimizer: Optimizer, saved: dict[str, Any], folder: object) -> None:
    """Put a saved state into an optimiser. Raises FormatError, naming `folder`, when it belongs to another one.

    Settings are the run's, whatever stands in the checkpoint, but for the rate, which was the last step's.
    """
    own = [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]
    try:
        if problem := _problem_of(saved, optimizer):
            raise ValueError(problem)
        optimizer.load_state_dict(saved)
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        fact = (str(error) or type(error).__name__).splitlines()[0]
        raise FormatError(
            f"{folder} holds another optimiser's state: {fact}; delete its folder to go on from an older checkpoint"
        ) from error
    for group, settings in zip(optimizer.param_groups, own, strict=True):
        rate = group["lr"]
        group.update(settings)
        if isinstance(rate, float) and math.isfinite(rate):
            group["lr"] = rate


def _problem_of(saved: dict[str, Any], optimizer: Optimizer) -> str:
    wanted = _states_after_a_step(optimizer)
    numbers = [number for group in saved["param_groups"] for number in group["params"]]
    if len(numbers) != len(wanted) or not set(saved["state"]) <= set(numbers):
        return f"it is of {len(numbers)} weights, {len(wanted)} are trained"
    for number, names in zip(numbers, wanted, strict=True):
        state = saved["state"].get(number) or {}
        for name in names.keys() | state.keys() if state else ():
            if problem := _problem_of_value(name, state.get(name), names.get(name)):
                return f"{name!r} of weight {number} {problem}"
    return ""


def _problem_of_value(name: str, value: Any, wanted: Any) -> str:
    plain = (
        (value.layout, value.device.type, value.is_complex()) == (torch.strided, "cpu", False)
        if isinstance(value, Tensor)
        else value is None or isinstance(value, int | float)
    )
    if not plain:
        return "is neither a number nor a plain tensor"
    if not isinstance(wanted, Tensor):
        return ""  # what another version of torch keeps besides
    if wanted.ndim or name != STEP:  # a weight of one number has moments of one number
        shape = tuple(value.shape) if isinstance(value, Tensor) else "none"
        return "" if shape == tuple(wanted.shape) else f"has the shape {shape}, {tuple(wanted.shape)} is needed"
    count = value.item() if isinstance(value, Tensor) and value.numel() == 1 else value
    counts = isinstance(count, int | float) and 0 <= count < MOST_STEPS
    return "" if counts else "is no number of steps"


def _states_after_a_step(optimizer: Optimizer) -> list[dict[str, Any]]:
    """Of each weight, from a twin without memory, which trains nothing: what it keeps is its own affair."""
    groups = [
        group | {"params": [nn.Parameter(torch.empty_like(weight, device="meta")) for weight in group["params"]]}
        for group in optimizer.param_groups
    ]
    build = cast(Callable[..., Optimizer], type(optimizer))
    twin = build(groups)
    weights = [weight for group in groups for weight in group["params"]]
    for weight in weights:
        weight.grad = torch.empty_like(weight)
    twin.step()
    return [dict(twin.state[weight]) for weight in weights]

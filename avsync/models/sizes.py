"""Can a network work with windows of this size? If not: which side is too small, and what is the smallest that works.

Asked of the network itself, run on torch's "meta" device: shapes without numbers, at no cost.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import torch

from avsync.models.parts import SyncNet
from avsync.spec import InputSpec
from sharding.errors import UsageError

Build = Callable[[InputSpec], SyncNet]
_AMPLE = {"frames": 256, "height": 512, "width": 512, "samples": 1 << 20}  # more than any network here needs


def check_size(name: str, build: Build, spec: InputSpec) -> None:
    """Raises UsageError naming every side of `spec` that is too small for network `name`, and the flag to change."""
    with torch.device("meta"):
        net = build(spec).eval()
    if _runs(net, spec):
        return
    ample = replace(spec, **{side: max(least, getattr(spec, side)) for side, least in _AMPLE.items()})
    small = [side for side in _AMPLE if not _runs(net, replace(ample, **{side: getattr(spec, side)}))]
    if not small:  # sides that work one by one but not together, or a network that works with nothing: a bug
        _shapes(net, spec)
    raise UsageError("; ".join(_complaint(name, spec, side, _least(net, ample, side)) for side in small))


def _shapes(net: SyncNet, spec: InputSpec) -> torch.Size:
    frames = torch.empty(1, 3, spec.frames, spec.height, spec.width, device="meta")
    sounds = torch.empty(1, 1, spec.channels, spec.samples, device="meta")
    return net(frames, sounds).cam.shape


def _runs(net: SyncNet, spec: InputSpec) -> bool:
    try:
        return 0 not in _shapes(net, spec)
    except RuntimeError:  # what torch raises when a kernel is larger than its input
        return False


def _least(net: SyncNet, ample: InputSpec, side: str) -> int:
    """The smallest `side` that runs: by halving, for what fits stays fitting when it grows."""
    low, high = 0, getattr(ample, side)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _runs(net, replace(ample, **{side: middle})) else (middle, high)
    return high


def _complaint(name: str, spec: InputSpec, side: str, least: int) -> str:
    have = getattr(spec, side)
    if side in ("height", "width"):
        return (
            f"network {name!r} needs pictures at least {least} pixels in {side}, these have {have}: "
            f"give --view.size {least} or more, or pack larger pictures"
        )
    if side == "frames":
        seconds = math.ceil(100 * least / spec.clock.fps) / 100
        return (
            f"network {name!r} needs windows of at least {least} frames, these have {have} "
            f"({float(spec.clock.fps):g} a second): raise --pairs.window-s to {seconds:g} or more, "
            "or, in a low-rate stage, lower --low-rate.every"
        )
    seconds = math.ceil(100 * least / spec.clock.sample_rate) / 100
    return (
        f"network {name!r} needs windows of at least {least} samples of sound, these have {have}: "
        f"raise --pairs.window-s to {seconds:g} or more, or pack with a higher sample rate"
    )

"""An objective that makes maps point: the best place alone must tell whether a sound belongs there.

The logit is a mean over all places, so that evidence may lie anywhere. Here the places of a picture are a bag of
instances (multiple-instance learning), pooled by log-sum-exp (Pinheiro & Collobert 2015, "From image-level to
pixel-level labeling"), nearly their maximum: one place must be sure of a sound in sync, and no place of another. A
third sound for each picture belongs to no place at all: silence, noise as loud as its own, or another clip's sound.

B clips, K sounds per clip; t h w cells; C channels, S samples.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from avsync.data.order import Draw, clip_rng
from avsync.models.cam import AROUND, blurred
from avsync.models.parts import SyncOutput

SHARE = 2 * np.pi * AROUND**2
"""Of the picture, that one place stands for: as if it alone had evidence. The area of the blur (avsync.models.cam)."""
SHARPNESS = 0.25
"""Of the pooling, in logits; towards 0 it is the maximum, and only one place of each picture would learn."""
STREAM = 1 << 33
"""Added to the seed: randomness of its own, beside that of windows and augmentation."""
KINDS = 4
"""Silence, noise, and twice another clip's sound: that is the hard one."""


def with_controls(sounds: Tensor, in_sync: Tensor, draws: Sequence[Draw], seed: int, step: int) -> Tensor:
    """(B, K, C, S) -> (B, K + 1, C, S): a sound that belongs to no place, the same of a clip in a step each time."""
    own = sounds[torch.arange(len(sounds), device=sounds.device), in_sync.argmax(1)]
    other = own.roll(1, 0)
    rows = list[Tensor]()
    for row, draw in enumerate(draws):
        rng = clip_rng(seed + STREAM, step, max(0, draw.clip))
        kind = int(rng.integers(KINDS))
        if kind == 0 or (kind > 1 and len(own) == 1):  # alone in its batch there is no other clip
            rows.append(torch.zeros_like(own[row]))
        elif kind == 1:
            noise = torch.from_numpy(rng.standard_normal(tuple(own.shape[1:]), np.float32)).to(own)
            rows.append((noise * own[row].square().mean().sqrt()).clamp(-1, 1))
        else:
            rows.append(other[row])
    return torch.cat((sounds, torch.stack(rows)[:, None]), dim=1)


def place_logits(out: SyncOutput) -> Tensor:
    """(B, K): what the best place of each picture says alone, over the whole window and with what is around it."""
    cam = out.cam.float().flatten(0, 1)
    level, side = cam.mean(dim=1, keepdim=True), max(cam.shape[2:])
    for axis in (2, 3):
        level = blurred(level, axis, AROUND * side)
    bias = out.logit.float().flatten() - cam.mean(dim=(1, 2, 3))
    places = level.flatten(1) * SHARE / SHARPNESS
    best = SHARPNESS * (torch.logsumexp(places, dim=1) - np.log(places.shape[1]))
    return (best + bias).view(out.logit.shape)


def best_place(out: SyncOutput, in_sync: Tensor, valid: Tensor) -> Tensor:
    """() binary cross-entropy of place_logits. in_sync (B, K - 1): of all but the last, which belongs nowhere.

    A sound in sync counts as much as all others of its picture together; rows that are not valid count for nothing.
    """
    label = functional.pad(in_sync, (0, 1))
    weight = valid.unsqueeze(1) * (label + (1 - label) / (label.shape[1] - 1))
    losses = functional.binary_cross_entropy_with_logits(place_logits(out), label, reduction="none")
    return (losses * weight).sum() / weight.sum().clamp(min=1)

"""The loss, and what is counted beside it."""

from typing import NamedTuple

from torch import Tensor
from torch.nn import functional

# B clips, K sounds per clip.


class Score(NamedTuple):
    """Sums over the examples of a batch that count; add them up over batches and ranks, then divide."""

    loss: Tensor
    """() mean binary cross-entropy of this batch, with gradient"""
    correct: Tensor
    """() examples on the right side of 0"""
    examples: Tensor
    """() examples"""


def score(logit: Tensor, in_sync: Tensor, valid: Tensor) -> Score:
    """logit, in_sync (B, K); valid (B,). Rows that are not valid count for nothing."""
    weight = valid.unsqueeze(1).expand_as(logit).float()
    count = weight.sum()
    losses = functional.binary_cross_entropy_with_logits(logit.float(), in_sync, reduction="none")
    mean = (losses * weight).sum() / count.clamp(min=1)
    correct = (((logit > 0) == (in_sync > 0.5)) * weight).sum()
    return Score(mean, correct, count)

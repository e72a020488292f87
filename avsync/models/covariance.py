"""The paper's eyes, ears of log-mel, and the small network's meeting of both: a trunk of full size that learns early.

Where the paper sets features of picture and sound side by side and leaves it to convolutions to compare them, they are
centred over time and multiplied here: their covariance, place by place (avsync.models.small). On generated scenes the
paper's network is still at ln 2 after steps in which this one has left it (docs/log.md). The map has a cell for each 8
pixels and 4 frames, 28x28 for pictures of 224: finer than the paper's 7x7.

B clips, T frames, H W pixels; t = T/4, h w = H/8 W/8; c features.
"""

from torch import Tensor, nn

from avsync.models import paper
from avsync.models.parts import SyncNet
from avsync.models.small import FEATURES, AudioPart, FusedPart, check_rate
from avsync.spec import InputSpec


def build(spec: InputSpec) -> SyncNet:
    """The network for `spec`. Raises InputError when the sound has too few samples a second for its bands."""
    check_rate("covariance", spec.clock)
    return SyncNet(PaperVideoPart(), AudioPart(spec.clock.sample_rate), FusedPart())


class PaperVideoPart(paper.Video):
    """The paper's pictures' part, and a linear layer to as many features as the sound has.

    The last halving sits on the second of two cells, so that the map's cells lie over what they show.
    """

    def __init__(self) -> None:
        super().__init__()
        self.block2 = paper.Block3d(paper.SEEN, paper.SEEN, stride=(2, 2, 2), late=True)
        self.project = nn.Conv3d(paper.SEEN, FEATURES, 1, bias=False)
        self.norm = nn.BatchNorm3d(FEATURES)

    def forward(self, frames: Tensor) -> Tensor:
        """frames: (B, 3, T, H, W) in [-1, 1] -> (B, c, t, h, w)."""
        return self.norm(self.project(super().forward(frames)))

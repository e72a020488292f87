"""A network whose map is simply where the picture is bright: what it is shown can be read off its heat."""

from fractions import Fraction

from torch import Tensor, nn

from avsync.config import TrainConfig, ViewConfig
from avsync.models.parts import SyncNet, SyncOutput
from avsync.run.network import LoadedNetwork
from avsync.spec import InputSpec
from sharding.format.clip import Clock, Fit
from sharding.format.index import DatasetInfo, Settings

CLOCK = Clock(fps=Fraction(10), sample_rate=8000)


class Bright(nn.Module):
    """Features that are simply the picture's brightness above middle gray, on a grid of 8 pixels and 2 frames."""

    def forward(self, frames: Tensor) -> Tensor:
        """frames: (N, 3, T, H, W) -> (N, 1, t, h, w)."""
        return nn.functional.avg_pool3d(frames.mean(dim=1, keepdim=True).clamp(min=0), (2, 8, 8))


class AsSeen(nn.Module):
    """The map is the picture feature; the sound counts for nothing."""

    def forward(self, seen: Tensor, heard: Tensor) -> SyncOutput:
        """seen: (N, 1, t, h, w), heard: (N, c, s) -> logit (N,), cam (N, t, h, w)."""
        cam = seen[:, 0] * 5 + 0 * heard.mean()
        return SyncOutput(cam.mean(dim=(1, 2, 3)), cam)


def network(
    model: SyncNet | None = None,
    *,
    clock: Clock = CLOCK,
    frames: int = 20,
    crop: int = 40,
    fit: Fit = "squash",
    settings: Settings | None = None,
) -> LoadedNetwork:
    """Windows of 2 s at 10 fps, a 40 pixel crop of 48 pixels: quick to ask."""
    info = DatasetInfo(
        format_version=1,
        codec="h264",
        clock=clock,
        width=48,
        height=48,
        channels=1,
        fit=fit,
        actions=("drums",),
        clips={"train": 1},
        shards={"train": 1},
        sources=1,
        lost_clips=0,
        rejects=0,
        settings=settings or {},
        written_by="test",
    )
    spec = InputSpec(frames=frames, height=crop, width=crop, samples=clock.sample_at(frames), channels=1, clock=clock)
    config = TrainConfig(model="paper", view=ViewConfig(crop=crop / 48))
    net = model or SyncNet(Bright(), nn.Identity(), AsSeen()).eval()
    return LoadedNetwork(model=net, config=config, spec=spec, dataset=info, step=7)

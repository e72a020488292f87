"""A network that needs no training: it sees flashes, hears beeps, and says whether they come together."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import torch
from torch import Tensor, nn

from avsync.confidence.curve import Reading
from avsync.config import TrainConfig, ViewConfig
from avsync.models.parts import SyncNet, SyncOutput
from avsync.run.network import LoadedNetwork
from avsync.score.config import ScoreConfig
from avsync.score.result import ScoreResult
from avsync.score.score import Scorer
from avsync.spec import InputSpec
from sharding.format.clip import Clock
from sharding.format.index import DatasetInfo
from tests.media import Video, write_video

CLOCK = Clock(fps=Fraction(10), sample_rate=8000)
WINDOW = 20
EVENTS = tuple(Fraction(n, 10) for n in (9, 16, 29, 34, 48, 53, 69, 74, 92, 101, 117, 126, 133, 148, 159))
"""Seconds; no two distances are alike for long."""


class Flashes(nn.Module):
    """1 where a picture is white."""

    def forward(self, frames: Tensor) -> Tensor:
        """frames: (N, 3, T, H, W) -> (N, 1, T, 1, 1)."""
        return (frames.mean(dim=(1, 3, 4)) > 0.3).float()[:, None, :, None, None]


class Beeps(nn.Module):
    """1 where a beep begins."""

    def forward(self, sounds: Tensor) -> Tensor:
        """sounds: (N, C, S) -> (N, 1, T)."""
        pieces = sounds.mean(dim=1, keepdim=True).unflatten(2, (WINDOW, -1))
        return (pieces.abs().amax(dim=3) > 0.3).float()


class Together(nn.Module):
    """Sure where they agree, sure where they do not, and unsure where there is nothing."""

    def forward(self, seen: Tensor, heard: Tensor) -> SyncOutput:
        """seen: (N, 1, T, 1, 1), heard: (N, 1, T) -> logit (N,), cam (N, T, 1, 1)."""
        flash, beep = seen.flatten(1), heard.flatten(1)
        both, either = (flash * beep).sum(dim=1), torch.maximum(flash, beep).sum(dim=1)
        logit = torch.where(either > 0, 8 * both / either.clamp(min=1) - 3, torch.zeros_like(both))
        return SyncOutput(logit, seen[:, 0])


class Nodding(nn.Module):
    """Says yes to everything."""

    def forward(self, seen: Tensor, heard: Tensor) -> SyncOutput:
        return SyncOutput(heard.new_full((len(heard),), 3.0), seen[:, 0])


def network(fused: nn.Module | None = None) -> LoadedNetwork:
    """Windows of 2 s at 10 fps, pictures of 16 pixels."""
    info = DatasetInfo(
        format_version=1,
        codec="h264",
        clock=CLOCK,
        width=16,
        height=16,
        channels=1,
        fit="squash",
        actions=("drums",),
        clips={"train": 1},
        shards={"train": 1},
        sources=1,
        lost_clips=0,
        rejects=0,
        settings={},
        written_by="test",
    )
    spec = InputSpec(frames=WINDOW, height=16, width=16, samples=CLOCK.sample_at(WINDOW), channels=1, clock=CLOCK)
    model = SyncNet(Flashes(), Beeps(), fused or Together()).eval()
    config = TrainConfig(model="paper", view=ViewConfig(crop=1.0))
    return LoadedNetwork(model=model, config=config, spec=spec, dataset=info, step=7)


def scorer(folder: Path, net: LoadedNetwork | None = None, **settings: object) -> Scorer:
    config = replace(ScoreConfig(early_ms=80, late_ms=80), **settings)  # type: ignore[arg-type]
    folder.mkdir(parents=True, exist_ok=True)
    reading = Reading() if config.trust is None else Reading(trust=config.trust)
    device = torch.device("cpu")
    return Scorer(network=net or network(), run=folder, config=config, device=device, folder=folder, reading=reading)


def ask(folder: Path, video: Path, net: LoadedNetwork | None = None, **settings: object) -> ScoreResult:
    return scorer(folder / "answers", net, **settings).ask(video)[0]


def film(**changes: object) -> Video:
    """12 s of flashes and beeps at 10 fps."""
    made = Video(seconds=Fraction(12), events=EVENTS, fps=Fraction(10), width=32, height=32, sample_rate=8000)
    return replace(made, **changes)  # type: ignore[arg-type]


def late(milliseconds: int, **changes: object) -> Video:
    """The same with its sound late."""
    return film(beep_delay=Fraction(milliseconds, 1000), **changes)


def joined(folder: Path, picture: Video, sound: Video, name: str = "joined.mkv") -> Path:
    """The picture of one, the sound of the other."""
    parts = [write_video(folder / f"part-{number}.mkv", one) for number, one in enumerate((picture, sound))]
    target = folder / name
    with av.open(str(parts[0])) as seen, av.open(str(parts[1])) as heard, av.open(str(target), "w") as new:
        picked = [seen.streams.video[0], heard.streams.audio[0]]
        streams = [new.add_stream_from_template(one) for one in picked]
        for old, container, stream in zip(picked, (seen, heard), streams, strict=True):
            for packet in container.demux(old):
                if packet.size:
                    packet.stream = stream
                    new.mux(packet)
    return target

"""A small network that learns from generated scenes on two CPU cores in minutes. Not a published one.

The same three parts as the others. What makes it quick to learn: where picture and sound meet, their features are
centred over time and multiplied, so that summing over the window gives their covariance, place by place. Unrelated
motion gives about 0 from the first step on, and no plateau is left to cross (docs/log.md has the curves).
No layer mixes distant places, so a hot spot of the map means evidence at that spot.

B clips, N clips x sounds, C audio channels, T frames, H W pixels, S samples; t = T/2, h w = H/4 W/4; c features.
"""

import torch
from torch import Tensor, nn

from avsync.models.parts import CamHead, SyncNet, SyncOutput, Uncompiled, match_time
from avsync.spec import InputSpec
from sharding.errors import UsageError
from sharding.format.clip import Clock

FEATURES = 48
"""c, where picture and sound meet."""
BANDS = 40
"""Of the mel scale."""
HOP_S, WINDOW_S = 0.0125, 0.025
"""Fine enough to tell which of two frames at 30 fps an impact belongs to."""
LOWEST_HZ = 60.0
LOWEST_RATE = 8000
"""Samples a second; below it some mel bands would be empty."""
AT_ONCE = 8
"""Sounds that are set against one clip at a time: of more, what lies in between leaves the core's cache."""
FLOOR = 1e-4
"""Added to the power before the logarithm: below it is silence."""


def build(spec: InputSpec) -> SyncNet:
    """The network for `spec`. Raises UsageError when the sound has too few samples a second for its bands."""
    check_rate("small", spec.clock)
    return SyncNet(VideoPart(), AudioPart(spec.clock.sample_rate), FusedPart())


def check_rate(network: str, clock: Clock) -> None:
    """Raises UsageError when a mel band would be empty."""
    if clock.sample_rate < LOWEST_RATE:
        raise UsageError(
            f"network {network!r} needs sound of at least {LOWEST_RATE} Hz, this has {clock.sample_rate}: "
            "pack with a higher --sample-rate, or train network 'paper'"
        )


def conv3d(inputs: int, outputs: int, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> nn.Sequential:
    """Convolution, batch norm, ReLU. Padding keeps a cell's centre over the centre of the pixels it stands for."""
    time, height, width = ((size - step) // 2 for size, step in zip(kernel, stride, strict=True))
    convolution = nn.Conv3d(inputs, outputs, kernel, stride, (time, height, width), bias=False)
    return nn.Sequential(convolution, nn.BatchNorm3d(outputs), nn.ReLU(inplace=True))


def conv1d(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    convolution = nn.Conv1d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm1d(outputs), nn.ReLU(inplace=True))


class VideoPart(nn.Module):
    """Two convolutions that see motion, and a linear layer. A cell sees 6 frames of 14 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            conv3d(3, 32, (3, 6, 6), (1, 4, 4)),
            conv3d(32, FEATURES, (4, 3, 3), (2, 1, 1)),
            nn.Conv3d(FEATURES, FEATURES, 1, bias=False),
            nn.BatchNorm3d(FEATURES),
        )

    def forward(self, frames: Tensor) -> Tensor:
        """frames: (B, 3, T, H, W) in [-1, 1] -> (B, c, t, h, w)."""
        return self.layers(frames.contiguous(memory_format=torch.channels_last_3d))  # twice as fast on a CPU


class AudioPart(nn.Module):
    """Log-mel spectrogram and two convolutions over time, the bands as channels: 40 steps a second."""

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            LogMel(sample_rate),
            nn.BatchNorm1d(BANDS),
            conv1d(BANDS, FEATURES, 5),
            conv1d(FEATURES, FEATURES, 5, stride=2),
        )

    def forward(self, sounds: Tensor) -> Tensor:
        """sounds: (N, C, S) in [-1, 1] -> (N, c, t')."""
        return self.layers(sounds.mean(dim=1))


class LogMel(Uncompiled):
    """Logarithm of the power in mel bands; float32 also where the network runs in half precision.

    Its complex numbers are none of torch.compile's.
    """

    def __init__(self, sample_rate: int, hop: int = 0) -> None:
        """hop: samples from step to step; 0: HOP_S."""
        super().__init__()
        from torchaudio.transforms import MelSpectrogram  # late: beside some builds of torch it does not import

        window = round(WINDOW_S * sample_rate)
        with torch.device("cpu"):  # torchaudio looks at the numbers, which device "meta" has none of
            self.power = MelSpectrogram(
                sample_rate=sample_rate,
                n_fft=1 << window.bit_length(),
                win_length=window,
                hop_length=hop or round(HOP_S * sample_rate),
                f_min=LOWEST_HZ,
                n_mels=BANDS,
            )
        self.power.to(torch.get_default_device())

    def forward(self, sound: Tensor) -> Tensor:
        """sound: (N, S) -> (N, bands, S / hop)."""
        kind = "cpu" if sound.is_meta else sound.device.type  # torch knows no autocast on device "meta"
        with torch.autocast(kind, enabled=False):
            return torch.log(self.power(sound.float())[..., :-1] + FLOOR)


class FusedPart(nn.Module):
    """Product of picture and sound; evidence counts where the moments around it, at the same place, agree."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = nn.Sequential(
            conv1d(FEATURES, FEATURES, 3), nn.Conv1d(FEATURES, FEATURES, 1, bias=False), nn.BatchNorm1d(FEATURES)
        )
        self.from_seen = nn.Conv3d(FEATURES, FEATURES, 1, bias=False)
        self.from_heard = nn.Conv1d(FEATURES, FEATURES, 1, bias=False)
        self.from_product = nn.Conv3d(FEATURES, FEATURES, 1, bias=False)
        self.norm = nn.BatchNorm3d(FEATURES)
        self.agreement = nn.Conv3d(FEATURES, FEATURES, (5, 1, 1), padding=(2, 0, 0))
        self.head = CamHead(FEATURES)
        assert self.agreement.bias is not None
        nn.init.ones_(self.agreement.bias)  # gates start open

    def forward(self, seen: Tensor, heard: Tensor) -> SyncOutput:
        """seen: (N, c, t, h, w); heard: (N, c, t') -> logit (N,), cam (N, t, h, w)."""
        heard = centred(self.heard(match_time(heard, seen.shape[2])))
        seen = centred(seen)
        return self._met(seen, self.from_seen(seen), heard)

    def logits(self, seen: Tensor, heard: Tensor) -> Tensor:
        """seen: (1, c, t, h, w); heard: (K, c, t') -> (K,). The pictures are looked at once, a few sounds at a time."""
        heard = centred(self.heard(match_time(heard, seen.shape[2])))
        seen = centred(seen)
        shown = self.from_seen(seen)
        return torch.cat([self._met(seen, shown, some).logit for some in heard.split(AT_ONCE)])

    def _met(self, seen: Tensor, shown: Tensor, heard: Tensor) -> SyncOutput:
        product = self.from_product(seen * over_places(heard))
        evidence = torch.relu(self.norm(product + shown + over_places(self.from_heard(heard))))
        return self.head(evidence * torch.sigmoid(self.agreement(evidence)))


def centred(features: Tensor) -> Tensor:
    """(N, c, t, ...), less the mean over time."""
    return features - features.mean(dim=2, keepdim=True)


def over_places(heard: Tensor) -> Tensor:
    """(N, c, t) -> (N, c, t, 1, 1)"""
    return heard[..., None, None]

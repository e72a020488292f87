"""The thesis's network (2022), layer by layer as in its tables; names are the tables' names.

Where the tables are silent (docs/networks.md): shortcuts pool, then project; ELU after every convolution of pictures;
the sound's third shortcut ends at its last layer; sound is stretched to the pictures' length when sizes differ.

N clips or pairs, C audio channels, T frames, H W pixels, S samples; t h w after the strides.
"""

from torch import Tensor, nn
from torch.nn import functional

from avsync.models.parts import (
    CamHead,
    PooledShortcut,
    SyncNet,
    SyncOutput,
    match_time,
    start_weights,
    tile_over,
)
from avsync.spec import InputSpec


class Audio(nn.Module):
    """Waveform to 128 features, 6 a second for the thesis's 4 s at 44.1 kHz."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(channels, 64, kernel_size=65, stride=4)
        self.pool1 = nn.MaxPool1d(4)
        self.batch1 = nn.BatchNorm1d(64)
        self.conv2 = nn.Conv1d(64, 128, kernel_size=1, stride=4, bias=False)
        self.batch2 = nn.BatchNorm1d(128)
        self.shortcut1 = PooledShortcut(channels, 128, dimensions=1)
        self.conv3 = nn.Conv1d(128, 128, kernel_size=15, stride=4)
        self.conv4 = nn.Conv1d(128, 128, kernel_size=16, padding=9, bias=False)
        self.batch3 = nn.BatchNorm1d(128)
        self.shortcut2 = PooledShortcut(128, 128, dimensions=1)
        self.conv5 = nn.Conv1d(128, 128, kernel_size=15, stride=4, padding=6)  # kernel missing in the text; 14-17 fit
        self.pool2 = nn.MaxPool1d(6)  # 4 in the text contradicts its own sizes
        self.conv6 = nn.Conv1d(128, 128, kernel_size=5, bias=False)
        self.batch5 = nn.BatchNorm1d(128)
        self.shortcut3 = PooledShortcut(128, 128, dimensions=1)

    def forward(self, sound: Tensor) -> Tensor:
        """sound: (N, C, S) -> (N, 128, t)."""
        x = self.batch1(functional.elu(self.pool1(self.conv1(sound))))
        x = self.batch2(self.conv2(x))
        start = x = x + self.shortcut1(sound, x)
        x = self.batch3(self.conv4(functional.elu(self.conv3(x))))
        start = x = x + self.shortcut2(start, x)
        x = self.batch5(self.conv6(self.pool2(self.conv5(x))))
        return x + self.shortcut3(start, x)


class Video(nn.Module):
    """Pictures to 64 features on a grid of 8 pixels and 4 frames; nothing is padded."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(3, 64, kernel_size=(5, 7, 7), stride=2, bias=False)
        self.batch1 = nn.BatchNorm3d(64)
        self.pool1 = nn.MaxPool3d((1, 2, 2))
        self.conv2 = nn.Conv3d(64, 64, kernel_size=3, stride=2)
        self.conv3 = nn.Conv3d(64, 64, kernel_size=3)
        self.conv4 = nn.Conv3d(64, 64, kernel_size=3)
        self.conv5 = nn.Conv3d(64, 64, kernel_size=(1, 3, 3), bias=False)
        self.batch5 = nn.BatchNorm3d(64)
        self.shortcut = PooledShortcut(64, 64, dimensions=3)

    def forward(self, frames: Tensor) -> Tensor:
        """frames: (N, 3, T, H, W) -> (N, 64, t, h, w)."""
        start = x = self.pool1(functional.elu(self.batch1(self.conv1(frames))))
        for conv in (self.conv2, self.conv3, self.conv4):
            x = functional.elu(conv(x))
        x = functional.elu(self.batch5(self.conv5(x)))
        return x + self.shortcut(start, x)


class Fused(nn.Module):
    """Both together, to one number and its map."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(192, 128, kernel_size=1)
        self.conv2 = nn.Conv3d(128, 128, kernel_size=3)
        self.conv3 = nn.Conv3d(128, 128, kernel_size=3)
        self.conv4 = nn.Conv3d(128, 256, kernel_size=3)
        self.conv5 = nn.Conv3d(256, 512, kernel_size=3)
        self.conv6 = nn.Conv3d(512, 128, kernel_size=(5, 3, 3), bias=False)
        self.batch6 = nn.BatchNorm3d(128)
        self.shortcut1 = PooledShortcut(128, 128, dimensions=3)
        self.batch_shortcut1 = nn.BatchNorm3d(128)  # the second BN of the table's row
        self.conv7 = nn.Conv3d(128, 256, kernel_size=3)
        self.conv8 = nn.Conv3d(256, 512, kernel_size=3)
        self.conv9 = nn.Conv3d(512, 128, kernel_size=(3, 2, 2), bias=False)
        self.batch9 = nn.BatchNorm3d(128)
        self.shortcut2 = PooledShortcut(128, 128, dimensions=3)
        self.head = CamHead(128)

    def forward(self, seen: Tensor, heard: Tensor) -> SyncOutput:
        """seen: (N, 64, t, h, w), heard: (N, 128, t') -> logit (N,), cam (N, t, h, w)."""
        x = tile_over(match_time(heard, seen.shape[2]), seen)
        start = x = functional.elu(self.conv1(x))
        for conv in (self.conv2, self.conv3, self.conv4, self.conv5):
            x = functional.elu(conv(x))
        x = functional.elu(self.batch6(self.conv6(x)))
        start = x = x + self.batch_shortcut1(self.shortcut1(start, x))
        for conv in (self.conv7, self.conv8):
            x = functional.elu(conv(x))
        x = functional.elu(self.batch9(self.conv9(x)))
        return self.head(x + self.shortcut2(start, x))


def build(spec: InputSpec) -> SyncNet:
    """The network for inputs like `spec`; the tables have one audio channel."""
    net = SyncNet(Video(), Audio(spec.channels), Fused())
    start_weights(net)
    return net

"""An embedding of each picture and of each stretch of sound as long as it; how alike they are, moment by moment.

For faces: what it sees is a mouth, and what counts is the moment, so the sound is compared with every picture by
itself and the answers are summed. Two streams that meet in a product are SyncNet's (Chung & Zisserman 2016), cosines
of embeddings trained by a choice among offsets are those of Perfect match (Chung et al. 2019). What is ours: the sum
over places comes last, so that each place's share of the cosine is a cell of the map; brightness and contrast are
taken out of a window before anything is learned of it; and offset 0 is compared with the other offsets within the
window, so that a logit of 0 means the same for every person, microphone and room.

B clips, N clips x sounds, C audio channels, T frames, H W pixels, S samples; h w = H/16 W/16; c features.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from avsync.models.parts import SyncNet, SyncOutput
from avsync.models.small import BANDS, LogMel, check_rate, conv1d
from avsync.spec import InputSpec
from sharding.format.clip import Clock

FEATURES = 128
"""c, of an embedding."""
SEEN = (48, 96, 128)
"""Channels at a quarter, an eighth and a sixteenth of the picture's sides."""
HEARD = (96, 128)
STEPS = 4
"""Of the spectrogram, in a frame."""
GRID = 4
"""Places along a side that have weights of their own; a finer map shares them between neighbours."""
SHARPNESS = 10.0
"""What cosines are multiplied by, at first."""
LUMA = (0.299, 0.587, 0.114)
"""ITU-R BT.601-7: what colour adds is the person's, not the moment's."""
EDGE, ENDS = 5, 9
"""Answers of the sound part at either end of a window that depend on where it ends: they see 28 steps of the
spectrogram, whose own window reaches over 2 more. And frames that those answers are computed from."""
AROUND = 2
"""Pictures before and after each, that the first convolution sees."""


def build(spec: InputSpec) -> SyncNet:
    """The network for `spec`. Raises UsageError when the sound has too few samples a second for its bands."""
    check_rate("embedding", spec.clock)
    return SyncNet(PictureEmbedding(), SoundEmbedding(spec.clock), CosineFusion())


class Conv(nn.Module):
    """Convolution of each picture by itself, 3x3, batch norm, ReLU.

    Halving an even side, a kernel of 3 cannot sit in the middle of two cells: it sits on the first of them, or with
    `late` on the second. One of each brings the map's cells back over what they show.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1, *, late: bool = False) -> None:
        super().__init__()
        self.late = late
        padding = (0, 0, 0) if late else (0, 1, 1)
        self.conv = nn.Conv3d(inputs, outputs, (1, 3, 3), (1, stride, stride), padding, bias=False)
        self.norm = nn.BatchNorm3d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, c, T, h, w) -> (B, c', T, ...)"""
        if self.late:
            pads = [(0, 1) if size % 2 == 0 else (1, 1) for size in reversed(x.shape[3:])]  # torch: last axis first
            x = functional.pad(x, [side for pad in pads for side in pad])
        return functional.relu(self.norm(self.conv(x)))


class PictureEmbedding(nn.Module):
    """Pictures to what each place says of each moment. A cell sees 7 frames."""

    luma: Tensor

    def __init__(self) -> None:
        super().__init__()
        first, second, third = SEEN
        # kernel 6 at stride 4: the middle of each cell, and what moves across its border
        self.conv1 = nn.Conv3d(1, first, (2 * AROUND + 1, 6, 6), (1, 4, 4), padding=(0, 1, 1), bias=False)
        self.norm1 = nn.BatchNorm3d(first)
        self.conv2 = Conv(first, second, 2)
        self.conv3 = Conv(second, third, 2, late=True)
        self.conv4 = Conv(third, third)
        self.moment = nn.Conv3d(third, third, (3, 1, 1), padding=(1, 0, 0), bias=False)
        self.norm = nn.BatchNorm3d(third)
        self.places = nn.Parameter(torch.randn(FEATURES, third, GRID * GRID) / (GRID * math.sqrt(third)))
        self.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # twice as fast on a CPU
        self.register_buffer("luma", torch.tensor(LUMA), persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        """frames: (B, 3, T, H, W) in [-1, 1] -> (B, c, T, h, w), whose sum over h w is the embedding."""
        light = even_light(torch.einsum("bcthw,c->bthw", frames, self.luma))
        before, after = light[:, :1].expand(-1, AROUND, -1, -1), light[:, -1:].expand(-1, AROUND, -1, -1)
        x = torch.cat((before, light, after), dim=1).unsqueeze(1)
        x = functional.relu(self.norm1(self.conv1(x.contiguous(memory_format=torch.channels_last_3d))))
        x = self.conv3(self.conv2(x))
        x = x + self.conv4(x)
        x = x + functional.relu(self.norm(self.moment(x)))
        height, width = x.shape[3:]
        weights = self.places if (height, width) == (GRID, GRID) else self._resized(height, width)
        return torch.einsum("bitp,oip->botp", x.flatten(3), weights).unflatten(-1, (height, width))

    def _resized(self, height: int, width: int) -> Tensor:
        """The weights of the places for another grid, so that a larger picture of the same gives the same sum."""
        square = self.places.unflatten(-1, (GRID, GRID))
        finer = functional.interpolate(square, (height, width), mode="bilinear", align_corners=False)
        return finer.flatten(2) * (GRID * GRID / (height * width))


def even_light(luma: Tensor) -> Tensor:
    """Mean 0 and standard deviation 1 over a whole window. luma: (B, T, H, W)."""
    about, spread = luma.mean(dim=(1, 2, 3), keepdim=True), luma.std(dim=(1, 2, 3), keepdim=True)
    return (luma - about) / (spread + 0.05)  # the 0.05: noise in darkness stays dark


class SoundEmbedding(nn.Module):
    """Log-mel spectrogram, four steps a frame, and convolutions over time, the bands as channels."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        first, second = HEARD
        hop = max(1, round(clock.sample_rate / clock.fps / STEPS))
        self.hop = hop
        self.spectrogram = LogMel(clock.sample_rate, hop)
        self.norm = nn.BatchNorm1d(BANDS)
        self.layers = nn.Sequential(
            conv1d(BANDS, first, 5),
            conv1d(first, first, 3),
            conv1d(first, second, 4, 2),
            conv1d(second, second, 3),
            conv1d(second, second, 4, 2),
            conv1d(second, second, 3),
            nn.Conv1d(second, FEATURES, 1),
        )

    def forward(self, sounds: Tensor) -> Tensor:
        """sounds: (N, C, S) in [-1, 1] -> (N, c, t')."""
        bands = self.spectrogram(sounds.mean(dim=1))
        return self.layers(self.norm(bands))

    def along(self, sound: Tensor, starts: Sequence[int], samples: int, kept: dict[int, Tensor], begin: int) -> Tensor:
        """What `forward` answers about the windows of `samples` that begin at `starts` (ascending) of one sound, (C, S)
        -> (K, c, t'): a quarter of the work. What lies EDGE steps inside of a window knows nothing of its ends, and is
        computed once for all windows; only what is nearer to an end is computed for each place where one begins or
        ends, and `kept`: where one window ends another one begins.
        """
        frame = STEPS * self.hop
        first, ends = starts[0], ENDS * frame
        if len(starts) < 2 or samples % frame or samples < 2 * ends or any((one - first) % frame for one in starts):
            return self(torch.stack([sound[:, start : start + samples] for start in starts]))
        whole = self(sound[None, :, first : starts[-1] + samples])[0]
        edges = sorted({edge for start in starts for edge in (start, start + samples - ends)})
        if new := [edge for edge in edges if begin + edge not in kept]:
            short = self(torch.stack([sound[:, edge : edge + ends] for edge in new]))
            kept.update((begin + edge, one) for edge, one in zip(new, short, strict=True))
        heads = torch.stack([kept[begin + start] for start in starts])
        tails = torch.stack([kept[begin + start + samples - ends] for start in starts])
        inner = samples // frame + heads.shape[2] - ENDS - 2 * EDGE
        middles = [whole[:, at : at + inner] for at in ((start - first) // frame + EDGE for start in starts)]
        return torch.cat((heads[:, :, :EDGE], torch.stack(middles), tails[:, :, -EDGE:]), dim=2)


class CosineFusion(nn.Module):
    """Cosine of what is seen and what is heard, moment by moment, as against other offsets within the same window; each
    place's share of it is a cell of the map.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sharpness = nn.Parameter(torch.tensor(math.log(SHARPNESS)))
        self.others = nn.Parameter(torch.zeros(1))
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, seen: Tensor, heard: Tensor) -> SyncOutput:
        """seen: (N, c, T, h, w); heard: (N, c, t') -> logit (N,), cam (N, T, h, w)."""
        steps, cells = seen.shape[2], seen.shape[3] * seen.shape[4]
        seen, heard = seen.float(), even_sound(heard, steps)  # in half precision a cosine has three digits
        whole = seen.sum(dim=(3, 4))
        length, sharpness = whole.norm(dim=1).clamp(min=1e-6), self.sharpness.exp()  # (N, T)
        alike = torch.einsum("nct,ncu->ntu", whole / length[:, None], heard) * sharpness
        wanted = torch.einsum("ntu,ncu->nct", offset_weights(alike, self.others.sigmoid()), heard)
        share = torch.einsum("ncthw,nct->nthw", seen, wanted) / length[..., None, None]
        cam = share * (sharpness * steps * cells)
        return SyncOutput(cam.mean(dim=(1, 2, 3)) + self.bias, cam)

    def features(self, seen: Tensor, heard: Tensor) -> Tensor:
        """What a task may look at, for there is no layer before the answer: what is seen, what is heard, and where they
        agree. seen: (N, c, T, h, w); heard: (N, c, t') -> (N, 3c, T, 1, 1).
        """
        whole = functional.normalize(seen.float().sum(dim=(3, 4)), dim=1)
        heard = unit_sound(heard, seen.shape[2])
        return torch.cat((whole, heard, whole * heard), dim=1)[..., None, None]

    def logits(self, seen: Tensor, heard: Tensor) -> Tensor:
        """The same logits, of one window's pictures and many sounds, a twentieth of the work: the map's mean is a sum
        of likenesses, weighted, and so one of evidence for offsets. seen: (1, c, T, h, w); heard: (K, c, t') -> (K,).
        """
        whole, sounds = seen.float().sum(dim=(3, 4))[0], even_sound(heard, seen.shape[2])
        whole = whole / whole.norm(dim=0).clamp(min=1e-6)
        alike = (whole.T @ sounds) * self.sharpness.exp()  # (K, T, T)
        evidence = offset_evidence(alike, moments_apart(alike))
        return (evidence * offset_shares(evidence, self.others.sigmoid())).sum(dim=1) + self.bias


def even_sound(heard: Tensor, steps: int) -> Tensor:
    """Of length 1 at each picture's moment, less its mean over the moments: how alike this person and this room are at
    all falls away. (N, c, t') -> (N, c, T)
    """
    heard = unit_sound(heard, steps)
    return heard - heard.mean(dim=2, keepdim=True)


def unit_sound(heard: Tensor, steps: int) -> Tensor:
    """Of length 1 at each picture's moment. (N, c, t') -> (N, c, T)"""
    return functional.normalize(in_frames(heard.float(), steps), dim=1)


def offset_weights(alike: Tensor, share: Tensor) -> Tensor:
    """How much each picture's likeness to each moment of the sound counts, so that the sum is the evidence for offset 0
    above a share, 0 to 1, of that for the window's other offsets. alike, result: (N, T, T), pictures by moments.

    Evidence for an offset is the sum over the moments that overlap; its chance grows with the root of their number, by
    which it is divided. Of the others the strongest counts most (softmax): if one of them fits better than offset 0,
    the sum is low, whoever speaks. The share is learned: they tell where 0 lies, and are evidence of fewer moments.
    """
    along = moments_apart(alike)
    return torch.einsum("nd,dtu->ntu", offset_shares(offset_evidence(alike, along), share), along)


def moments_apart(alike: Tensor) -> Tensor:
    """(D, T, T): which pictures and moments lie each offset apart, weighted so that evidence is a sum over them."""
    steps = alike.shape[1]
    reach = steps - max(1, math.ceil(steps / 3))  # a third of the window overlaps still
    time, offsets = torch.arange(steps, device=alike.device), torch.arange(-reach, reach + 1, device=alike.device)
    along = (time[None, None, :] - time[None, :, None] == offsets[:, None, None]).to(alike.dtype)
    return along / along.sum(dim=(1, 2), keepdim=True).sqrt()


def offset_evidence(alike: Tensor, along: Tensor) -> Tensor:
    """(N, D)"""
    return torch.einsum("ntu,dtu->nd", alike, along)


def offset_shares(evidence: Tensor, share: Tensor) -> Tensor:
    """(N, D) how much the evidence for each offset counts: 1 that for 0, in the middle, less a share of the others'."""
    count = evidence.shape[1]
    own = torch.arange(count, device=evidence.device) == count // 2
    others = evidence.masked_fill(own, -math.inf).softmax(dim=1) if count > 1 else torch.zeros_like(evidence)
    return own.to(evidence.dtype) - share * others


def in_frames(heard: Tensor, steps: int) -> Tensor:
    """Sound features, a step more or less, at the middles of the frames: (N, c, t') -> (N, c, T)."""
    if heard.shape[2] == steps:
        return heard
    return functional.interpolate(heard, steps, mode="linear", align_corners=False)

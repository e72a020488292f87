"""Clips changed in ways that change nothing about their time: other faces, lights, cameras, microphones and rooms.

A network that has seen few people learns these people instead of what moves with the sound. What is changed is drawn
for each clip of each step from (seed, step, clip) alone, as its windows are, so that a run that resumes sees it again.
All sounds of a picture pass through the same microphone and room: what differs between them still is their time only.

B clips, K sounds, T frames, H W pixels of the stored picture, h w of the network's, S samples, C audio channels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from avsync.config import AugmentConfig, TrainConfig
from avsync.data.batch import Batch
from avsync.data.order import Draw, View, clip_rng
from avsync.data.transforms import Convert, NetworkInput, planes_of, sounds_of, to_rgb, weights_of

STREAM = 1 << 32
"""Added to the seed, which is below it: randomness of its own, beside that of the windows."""
STEADY = 0.5
"""Of the clips have a crop that does not tremble; the others by any amount up to the largest."""
BANDS = 3
"""Waves over the logarithm of the frequency that a microphone's response is made of."""
LOWEST_HZ, QUIETEST = 60.0, 1e-4

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Changes:
    """What is done to each clip; B rows each."""

    zoom: Floats
    """(B, 2) factor of what is seen, along x and y"""
    turn: Floats
    """(B,) radians"""
    move: Floats
    """(B, T, 2) shares of the crop's half side by which its middle is off, along x and y"""
    gain: Floats
    """(B,) factor of the picture's contrast"""
    lift: Floats
    """(B,) added to the picture, of -1 to 1"""
    grain: Floats
    """(B,) standard deviation of noise on the picture"""
    tone: Floats
    """(B, BANDS + 1) decibels: of all, and the height of each wave over the frequencies"""
    phase: Floats
    """(B, BANDS) of the waves, radians"""
    hiss: Floats
    """(B,) standard deviation of noise on the sound, share of the sound's own; 0: none"""
    seeds: NDArray[np.int64]
    """(B,) of the noise"""


def augmented(
    batch: Batch, view: View, config: TrainConfig, step: int, sample_rate: int, convert: Convert = to_rgb
) -> NetworkInput:
    """As transforms.prepare, of clips that are changed as `config.augment` says."""
    changes = changes_of(batch.draws, batch.yuv.shape[1], config.augment, config.seed, step)
    return NetworkInput(
        changed_pictures(whole_pictures(batch, view, convert), batch.draws, view, changes),
        changed_sounds(sounds_of(batch, config.pairs.mute_samples), sample_rate, changes),
    )


def whole_pictures(batch: Batch, view: View, convert: Convert = to_rgb) -> Tensor:
    """(B, 3, T, H', W') in [-1, 1]: so large that a crop has as many pixels as the network is shown."""
    height, width = (
        round(side * out / crop)
        for side, out, crop in (
            (view.height, view.out_height, view.crop_height),
            (view.width, view.out_width, view.crop_width),
        )
    )
    return convert(planes_of(batch.yuv), weights_of(batch), (height, width))


def changes_of(draws: Sequence[Draw], frames: int, config: AugmentConfig, seed: int, step: int) -> Changes:
    """Drawn for the rows of a batch."""
    rows = [_row(clip_rng(seed + STREAM, step, max(0, draw.clip)), frames, config) for draw in draws]
    zoom, turn, move, light, tone, phase, hiss, seeds = zip(*rows, strict=True)
    gain, lift, grain = np.array(light, np.float32).T
    return Changes(
        zoom=np.array(zoom, np.float32),
        turn=np.array(turn, np.float32),
        move=np.stack(move).astype(np.float32),
        gain=gain,
        lift=lift,
        grain=grain,
        tone=np.array(tone, np.float32),
        phase=np.array(phase, np.float32),
        hiss=np.array(hiss, np.float32),
        seeds=np.array(seeds),
    )


def _row(rng: np.random.Generator, frames: int, config: AugmentConfig) -> tuple[object, ...]:
    size, shape = rng.uniform(-1, 1), rng.uniform(-1, 1)
    zoom = [math.exp(config.zoom * size + side * config.zoom / 2 * shape) for side in (1, -1)]
    drift = np.linspace(-0.5, 0.5, frames)[:, None] * rng.normal(0, config.drift, 2)
    tremble = rng.normal(0, 1, (frames, 2)) * config.tremble * max(0.0, (rng.random() - STEADY) / (1 - STEADY))
    light = [
        math.exp(rng.uniform(-1, 1) * config.light),
        rng.uniform(-1, 1) * config.light / 2,
        rng.random() * config.light / 10,
    ]
    tone = rng.normal(0, 1, BANDS + 1) * config.tone_db / np.array([1, *range(1, BANDS + 1)])
    below_db = rng.uniform(config.hiss_db, config.hiss_db + 20)
    hiss = 10 ** (-below_db / 20) if config.hiss_db and rng.random() < 0.5 else 0.0
    return (
        zoom,
        rng.uniform(-1, 1) * math.radians(config.turn_deg),
        drift + tremble,
        light,
        tone,
        rng.uniform(0, 2 * math.pi, BANDS),
        hiss,
        int(rng.integers(2**31)),
    )


def changed_pictures(whole: Tensor, draws: Sequence[Draw], view: View, changes: Changes) -> Tensor:
    """Each clip's crop, zoomed, turned and moved about, in another light. whole: (B, 3, T, H', W') in [-1, 1], the
    stored picture at any size -> (B, 3, T, h, w). What lies beyond the picture is its border.
    """
    clips, _, frames, height, width = whole.shape
    grid = functional.affine_grid(
        _affine(draws, view, changes).to(whole.device),
        [clips * frames, 3, view.out_height, view.out_width],
        align_corners=False,
    )
    pictures = whole.transpose(1, 2).reshape(clips * frames, 3, height, width)
    cut = functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
    cut = cut.unflatten(0, (clips, frames)).transpose(1, 2)
    gain, lift, grain = (_rows(each, cut) for each in (changes.gain, changes.lift, changes.grain))
    about = cut.mean(dim=(1, 2, 3, 4), keepdim=True)
    return (cut - about) * gain + about + lift + grain * _noise(changes.seeds, cut)


def _affine(draws: Sequence[Draw], view: View, changes: Changes) -> Tensor:
    """(B*T, 2, 3) from the crop's coordinates, -1 to 1, to those of the whole picture."""
    sides = np.array([view.width, view.height], np.float64)
    crop = np.array([view.crop_width, view.crop_height], np.float64)
    corner = np.array([(draw.left, draw.top) for draw in draws], np.float64)
    flip = np.array([(-1.0 if draw.flip else 1.0, 1.0) for draw in draws])
    cos, sin = np.cos(changes.turn), np.sin(changes.turn)
    turn = np.stack((np.stack((cos, -sin), -1), np.stack((sin, cos), -1)), -2)  # (B, 2, 2)
    # pixels of the crop -> turned and zoomed -> shares of the whole picture
    linear = turn * (crop[None, None, :] * changes.zoom[:, None, :] * flip[:, None, :]) / sides[None, :, None]
    middle = (2 * corner + crop) / sides - 1  # (B, 2)
    frames = changes.move.shape[1]
    offset = middle[:, None] + changes.move * (crop / sides)
    matrix = np.concatenate((np.repeat(linear[:, None], frames, 1), offset[..., None]), axis=-1)
    return torch.from_numpy(matrix.astype(np.float32)).flatten(0, 1)


def changed_sounds(sounds: Tensor, sample_rate: int, changes: Changes) -> Tensor:
    """Through another microphone, and with noise. sounds: (B, K, C, S) -> the same."""
    samples = sounds.shape[-1]
    spectrum = torch.fft.rfft(sounds.float())
    frequency = torch.linspace(0, sample_rate / 2, spectrum.shape[-1]).clamp(min=LOWEST_HZ)
    octave = torch.log(frequency / LOWEST_HZ) / math.log(sample_rate / 2 / LOWEST_HZ)  # 0 to 1
    waves = torch.arange(1, BANDS + 1)[:, None] * octave * math.pi + torch.from_numpy(changes.phase)[..., None]
    heights = torch.from_numpy(changes.tone)
    decibels = heights[:, :1] + (heights[:, 1:, None] * torch.cos(waves)).sum(dim=1)  # (B, frequencies)
    response = (10 ** (decibels / 20))[:, None, None].to(sounds.device)
    heard = torch.fft.irfft(spectrum * response, samples)
    level = heard.square().mean(dim=(1, 2, 3), keepdim=True).sqrt() + QUIETEST
    return heard + _rows(changes.hiss, heard) * level * _noise(changes.seeds + 1, heard)


def _rows(values: Floats, like: Tensor) -> Tensor:
    """(B,) -> (B, 1, ...), as many axes as `like` has."""
    return torch.from_numpy(values).to(like.device).view(-1, *[1] * (like.dim() - 1))


def _noise(seeds: NDArray[np.int64], like: Tensor) -> Tensor:
    """Normal, each row's from its seed."""
    rows = []
    for seed in seeds.tolist():
        dice = torch.Generator(like.device).manual_seed(seed)
        rows.append(torch.randn(like.shape[1:], generator=dice, device=like.device))
    return torch.stack(rows)

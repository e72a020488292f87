"""Hand-made rules: one number of a sound each, that may give away how its window was made. To add one: a line in RULES.

They hear what a network needs many examples to learn, and they say what it was. N windows, S samples, B blocks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

SOFTEST = 3e-5
"""Levels are not told apart below it: one step of 16 bits."""
NEAR_ZERO = 2.5 / 32768
ORDER = 12
"""Samples that the next one is predicted from."""

Rule = Callable[[Tensor, int], Tensor]
"""Sounds (N, S) in [-1, 1] and their rate in Hz -> (N,)."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A rule and the question that it answers."""

    rule: Rule
    asks: str


def levels(sound: Tensor, rate: int, seconds: float) -> Tensor:
    """(N, B) root mean squares of blocks side by side, natural logarithm."""
    length = max(1, min(round(rate * seconds), sound.shape[1]))
    blocks = sound[:, : sound.shape[1] // length * length].unflatten(1, (-1, length))
    return blocks.square().mean(2).sqrt().clamp(min=SOFTEST).log()


def quiet_start(sound: Tensor, rate: int) -> Tensor:
    """Level of the first 4 ms against that of all."""
    first = max(2, round(rate * 0.004))
    return levels(sound[:, :first], rate, 1)[:, 0] - levels(sound, rate, sound.shape[1] / rate)[:, 0]


def quiet_lead(sound: Tensor, rate: int) -> Tensor:
    """Logarithm of the number of samples before the first one that is not far below the usual level."""
    usual = sound.square().mean(1, keepdim=True).sqrt().clamp(min=SOFTEST)
    loud = functional.pad((sound.abs() > 0.1 * usual).float(), (0, 1), value=1)
    return loud.argmax(1).float().log1p()


def outstanding(size: Tensor, rate: int) -> Tensor:
    """(N, B) by how much each millisecond's largest value stands out of both what is before and what is after it.

    An impact is followed by its own ringing, a click of a splice by nothing. size: (N, S), not negative.
    """
    length = max(4, round(rate / 1000))
    peak = functional.max_pool1d(size[:, None], length, length)[:, 0]
    usual = functional.avg_pool1d(size[:, None], length, length)[:, 0]
    near = functional.avg_pool1d(functional.pad(usual[:, None], (8, 8), mode="replicate"), 6, 1)[:, 0]
    blocks = peak.shape[1]
    before, after = near[:, 1 : 1 + blocks], near[:, 10 : 10 + blocks]
    return peak.clamp(min=SOFTEST).log() - torch.maximum(before, after).clamp(min=SOFTEST).log()


def bend(sound: Tensor) -> Tensor:
    """(N, S - 2) size of the second difference."""
    return sound.diff(n=2, dim=1).abs()


def surprise(sound: Tensor, rate: int) -> Tensor:
    """(N, S') size of what linear prediction over 0.1 s does not foresee: a join breaks a tone's course."""
    length = min(max(8 * ORDER, round(rate * 0.1)), sound.shape[1])
    return _unforeseen(sound.unfold(1, length, length - ORDER)).abs().flatten(1)


def _unforeseen(blocks: Tensor) -> Tensor:
    """(..., length - ORDER) of blocks (..., length): each sample, less what was foreseen of it.

    The predictor of least squares, by the autocorrelation method (Makhoul 1975).
    """
    length = blocks.shape[-1]
    spectrum = torch.fft.rfft(blocks * torch.hann_window(length, device=blocks.device), 2 * length)
    lags = torch.fft.irfft(spectrum.abs().square())[..., : ORDER + 1].double()
    step = torch.arange(ORDER, device=blocks.device)
    matrix = lags[..., (step[:, None] - step).abs()]
    matrix = matrix + torch.eye(ORDER, device=blocks.device) * (lags[..., :1, None] * 1e-6 + 1e-10)
    taps = torch.linalg.solve(matrix, lags[..., 1:, None])[..., 0].float()
    left = blocks[..., ORDER:].clone()
    for back in range(1, ORDER + 1):
        left.addcmul_(taps[..., back - 1, None], blocks[..., ORDER - back : length - back], value=-1)
    return left


def ends_meet(sound: Tensor, rate: int) -> Tensor:
    """How badly the end foretells the start. It does so well in a sound that was turned round: there they were one."""
    half = min(max(4 * ORDER, round(rate * 0.05)), sound.shape[1] // 2)
    left = _unforeseen(torch.cat((sound[:, -half:], sound[:, :half]), 1)).square()
    at = half - ORDER
    return left[:, at : at + 2].mean(1).clamp(min=1e-12).log() - left.mean(1).clamp(min=1e-12).log()


def join(sound: Tensor, rate: int) -> Tensor:
    """The sharpest bend against its surroundings."""
    return outstanding(bend(sound), rate).amax(1)


def broken_course(sound: Tensor, rate: int) -> Tensor:
    """The largest surprise against its surroundings."""
    return outstanding(surprise(sound, rate), rate).amax(1)


def quietest(sound: Tensor, rate: int) -> Tensor:
    """The quietest 6 ms anywhere, against the quiet tenth of all: what a faded join leaves."""
    fine = levels(sound, rate, 0.002)
    if fine.shape[1] < 3:
        return torch.zeros(len(sound), device=sound.device)
    power = functional.avg_pool1d((2 * fine).exp()[:, None], 3, 1)[:, 0].log() / 2
    return power.amin(1) - power.quantile(0.1, dim=1)


def silence_run(sound: Tensor, rate: int) -> Tensor:
    """Logarithm of the longest run of samples next to zero."""
    loud = sound.abs() > NEAR_ZERO
    step = torch.arange(1, sound.shape[1] + 1, device=sound.device)
    last = torch.where(loud, step, 0).cummax(1).values
    return (step - last).amax(1).float().log1p()


def level_jump(sound: Tensor, rate: int) -> Tensor:
    """The largest change of level from one 40 ms to the next."""
    return levels(sound, rate, min(0.04, sound.shape[1] / rate / 2)).diff(dim=1).abs().amax(1)


def spectrum_change(sound: Tensor, rate: int) -> Tensor:
    """The largest change of the spectrum's shape from 0.1 s to the next."""
    length = max(16, round(rate * 0.05))
    shown = torch.fft.rfft(sound.unfold(1, length, length) * torch.hann_window(length, device=sound.device))
    bands = functional.adaptive_avg_pool1d(shown.abs().square().flatten(0, 1)[:, None], 12)
    shape = bands[:, 0].clamp(min=SOFTEST**2).log().unflatten(0, shown.shape[:2])
    if shape.shape[1] < 4:
        return torch.zeros(len(sound), device=sound.device)
    smooth = functional.avg_pool1d(shape.transpose(1, 2), 2, 1)
    return (smooth[..., 2:] - smooth[..., :-2]).abs().mean(1).amax(1)


RULES: Mapping[str, Listed] = {
    "quiet start": Listed(quiet_start, "Do sounds of one label begin more quietly than they go on?"),
    "quiet lead-in": Listed(quiet_lead, "Do sounds of one label stay quiet for longer before they begin?"),
    "join": Listed(join, "Do sounds of one label have a click that nothing rings after?"),
    "broken course": Listed(broken_course, "Do sounds of one label break off in their course and begin anew?"),
    "ends meet": Listed(ends_meet, "Do sounds of one label end where they begin, as if turned round?"),
    "quietest 6 ms": Listed(quietest, "Do sounds of one label have a moment that is quieter than any other?"),
    "silence run": Listed(silence_run, "Do sounds of one label have longer runs of digital silence?"),
    "level jump": Listed(level_jump, "Do sounds of one label change their level more suddenly?"),
    "spectrum change": Listed(spectrum_change, "Do sounds of one label change their spectrum more suddenly?"),
}

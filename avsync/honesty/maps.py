"""Does a map listen, and does it point? Two scores without a threshold and without knowing where the truth is.

`listened`: how much the map changes when the sound does. Many localisation models draw the same map whatever they
hear (Juanola et al. 2024, arXiv 2410.01020, who ask with silence, noise and another sound).
`spatial`: whether few cells are lit, or the whole picture. The participation ratio counts the lit cells.

N maps; t h w cells. All of it is of |w . f|, what is drawn.
"""

import torch
from torch import Tensor


def listened(own: Tensor, other: Tensor) -> Tensor:
    """1 - sum(min) / sum(max) of two maps of one picture with two sounds: 0 the same map, 1 nothing in common.

    This is the distance of Ruzicka 1958 (weighted Jaccard). A map that only grows hotter counts as changed, as it
    must: to go dark in silence is to listen. Two maps that are 0 everywhere are the same map.
    own, other: (N, t, h, w) -> (N,)
    """
    own, other = own.float().abs().flatten(1), other.float().abs().flatten(1)
    common, whole = torch.minimum(own, other).sum(1), torch.maximum(own, other).sum(1)
    return torch.where(whole > 0, 1 - common / whole.clamp_min(torch.finfo(whole.dtype).tiny), 0.0)


def spatial(cam: Tensor) -> Tensor:
    """Share of the cells that stay dark: 0 where whole frames are lit alike, 1 where the heat is in one cell.

    Of n cells (sum h)^2 / sum h^2 are lit, moment by moment; moments count by their heat. Noise, half-normal, is at
    1 - 2/pi = 0.36. A map without heat, or of one cell, points nowhere: 0.
    cam: (N, t, h, w) -> (N,)
    """
    heat = cam.float().abs().flatten(2)  # (N, t, n)
    heat = heat / heat.amax(dim=(1, 2), keepdim=True).clamp_min(torch.finfo(heat.dtype).tiny)  # squares must not vanish
    total, squares, cells = heat.sum(2), heat.square().sum(2), heat.shape[2]
    lit = torch.where(squares > 0, total.square() / squares.clamp_min(torch.finfo(heat.dtype).tiny), cells)
    dark = (cells - lit) / max(cells - 1, 1)  # (N, t)
    weight = total.sum(1)
    return torch.where(weight > 0, (dark * total).sum(1) / weight.clamp_min(torch.finfo(heat.dtype).tiny), 0.0)

"""The swap test: a network is asked again with the picture of another clip, and with its sound muted.

Under honest labels neither the sound alone nor the picture alone knows whether they belong together, so an honest
network is then right half of the time. What stays right without the picture was heard; what stays right without the
sound was seen. It finds what one stream gives away. It does not find what only both together do, such as a file
position that can be read in each: for that there is the audit before training.

The video part runs once, the audio part once more on one row of silence; the fused part 2.5 times as often with two
sounds a clip. B clips, K sounds, N = B*K; t h w cells.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor

from avsync.data.batch import Batch
from avsync.data.order import View
from avsync.data.transforms import NetworkInput, prepare
from avsync.honesty.maps import listened, spatial
from avsync.honesty.predict import BatchAnswer, rows
from avsync.models.parts import SyncNet, SyncOutput

NONE = float("nan")
"""Where a question could not be asked."""


class Examined(NamedTuple):
    """One batch: the honest answer, and the answers to the trick questions."""

    answer: BatchAnswer
    other: Tensor
    """(B, K) logits with another clip's picture; NaN where the batch has none of another source."""
    muted: Tensor
    """(B, K) logits with silence for every sound."""
    listened: Tensor
    """(B,) how much the map of the sound in sync changes with silence and with another clip's sound: their mean."""
    spatial: Tensor
    """(B,) of the same map; NaN, like `listened`, where no sound is in sync."""
    seen: Tensor
    """(B, c, t, h, w) features of the pictures, for who has further questions"""
    heard: Tensor
    """(N, c, t) features of the sounds"""


@torch.no_grad()
def examined(
    network: SyncNet,
    batches: Iterable[Batch],
    view: View,
    mute: int,
    group: NDArray,
    lay_out: Callable[[Tensor], Tensor] = torch.Tensor.contiguous,
) -> Iterator[Examined]:
    """The network's answers, batch by batch, on their device. The network must be in evaluation mode.

    group: (clips of the dataset,) source of each clip; `lay_out` puts frames into the memory order that the network
    likes.
    """
    for batch in batches:
        given = prepare(batch, view, mute)
        given = given._replace(frames=lay_out(given.frames))
        clips = zip(batch.draws, batch.jsons, strict=True)
        sources = [-1 if json is None else int(group[draw.clip]) for draw, json in clips]
        yield examine(network, batch, given, donors(sources))


def donors(sources: Sequence[int]) -> list[int]:
    """For each row the row whose picture it gets: of another source, each one's used once; -1: there is none.

    sources: -1 for a row that does not count. Only where one source has more than half of the rows, some go without.
    """
    counted = sorted((row for row, source in enumerate(sources) if source >= 0), key=lambda row: sources[row])
    most = max(Counter(sources[row] for row in counted).values(), default=0)
    found = [-1] * len(sources)
    for number, row in enumerate(counted):
        donor = counted[(number + most) % len(counted)]  # beyond one's own source, as rows of a source lie together
        if sources[donor] != sources[row]:
            found[row] = donor
    return found


def examine(network: SyncNet, batch: Batch, given: NetworkInput, donor: Sequence[int]) -> Examined:
    """One batch as the network is shown it; donor: see `donors`."""
    clips, sounds = given.sounds.shape[:2]
    seen, heard = network.video(given.frames), network.audio(given.sounds.flatten(0, 1))
    silence = network.audio(torch.zeros_like(given.sounds[0, :1])).expand(clips, *heard.shape[1:])
    output = network.fuse(seen, heard)
    muted = network.fuse(seen, silence)
    device = output.logit.device
    has_one = torch.tensor([row >= 0 for row in donor], device=device)
    picture_of = torch.tensor([other if other >= 0 else row for row, other in enumerate(donor)], device=device)
    swapped = network.fuse(seen[picture_of], heard)
    own = output.cam[torch.arange(clips, device=device), batch.in_sync.argmax(1)]
    syncs = batch.in_sync.amax(1) > 0.5
    return Examined(
        answer=BatchAnswer(batch, given, output),
        other=torch.where(has_one.unsqueeze(1), swapped.logit, NONE),
        muted=muted.logit.expand(clips, sounds),
        listened=torch.where(syncs, _listened(own, muted, swapped, picture_of, has_one), NONE),
        spatial=torch.where(syncs, spatial(own), NONE),
        seen=seen,
        heard=heard,
    )


def _listened(own: Tensor, muted: SyncOutput, swapped: SyncOutput, donor: Tensor, has_one: Tensor) -> Tensor:
    """own: (B, t, h, w). Row i of `swapped` has the picture of row donor[i]: it says how that row's map changes."""
    in_silence = listened(own, muted.cam[:, 0])
    with_another = torch.full_like(in_silence, NONE)
    asked, picture = has_one.nonzero().squeeze(1), donor[has_one]
    with_another[picture] = listened(own[picture], swapped.cam[asked, 0])
    return torch.stack((in_silence, with_another)).nanmean(dim=0)


def examined_rows(got: Examined) -> Tensor:
    """(N, 9) float64, ready to be gathered over ranks: those of predict.rows, other, muted, listened, spatial.

    The last two stand in the rows of sounds in sync; elsewhere they are NaN.
    """
    in_sync = got.answer.batch.in_sync > 0.5
    maps = [torch.where(in_sync, score.unsqueeze(1), NONE) for score in (got.listened, got.spatial)]
    columns = [column.double().flatten() for column in (got.other, got.muted, *maps)]
    return torch.cat((rows(got.answer), torch.stack(columns, dim=1)), dim=1)

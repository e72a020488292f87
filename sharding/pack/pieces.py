"""The pieces of a source that become clips: a pure function of its usable time."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from math import ceil

from sharding.config import PackConfig
from sharding.errors import RejectError, RejectReason
from sharding.media.packet_times import Stretch

SHORT_PIECE = Fraction(3, 5)
"""A pair needs its window and room for the shift, 6 s of 10 by default: one long clip serves, two short ones do not."""


def cut(stretches: Sequence[Stretch], config: PackConfig) -> list[range]:
    """The clips of a source with picture and sound in `stretches` (ascending, apart), as ranges of frame numbers.

    Each stretch gives the fewest equal pieces of at most `clip_s` (they differ by a frame at most); if
    these were shorter than `min_clip_s` or SHORT_PIECE of `clip_s`, it gives as many of `clip_s` as fit.
    Raises RejectError when none fits.
    """
    pieces = [piece for stretch in stretches for piece in _equal(stretch, config)]
    if not pieces:
        longest = max((end - start for start, end in stretches), default=Fraction(0))
        raise RejectError(
            RejectReason.TOO_SHORT,
            f"picture and sound overlap for {max(0.0, float(longest)):.2f} s; trimmed by {config.trim_s} s "
            f"at both ends they give less than a clip of {config.min_clip_s} s",
        )
    return _spread(pieces, config.max_clips_per_source)


def _equal(stretch: Stretch, config: PackConfig) -> list[range]:
    fps = config.clock.fps
    first, stop = ceil((stretch[0] + config.trim) * fps), int((stretch[1] - config.trim) * fps)
    total = stop - first
    if total < config.min_clip_frames:
        return []
    count = ceil(total / config.clip_frames)
    if count > 1 and total // count < max(config.min_clip_frames, SHORT_PIECE * config.clip_frames):
        count = total // config.clip_frames
        total = count * config.clip_frames
    edges = [first + number * total // count for number in range(count + 1)]
    return [range(start, end) for start, end in pairwise(edges)]


def _spread(pieces: list[range], most: int | None) -> list[range]:
    if most is None or len(pieces) <= most:
        return pieces
    return [pieces[(2 * number + 1) * len(pieces) // (2 * most)] for number in range(most)]

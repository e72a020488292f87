"""What is said about a localised video: the title of its sheet, and what its reader should know."""

from fractions import Fraction
from pathlib import Path

from avsync.honesty.film import MapScores
from avsync.honesty.reading import in_numbers
from avsync.run.network import LoadedNetwork
from sharding.media.probe import Probe

LITTLE_SOUND = 0.9
"""A video with sound for less than this share of its pictures gets a remark."""


def title_of(video: Path, network: LoadedNetwork, in_sync: float, scores: MapScores) -> str:
    """Two lines."""
    name = video.name.encode("utf-8", "replace").decode()  # fonts know nothing of bytes that are no text
    first = f"{name}     in sync: {in_sync:.0%}     {network.config.model}, step {network.step:,}"
    return f"{first}\n{in_numbers(*scores)}"


def note_on(video: Path, source: Probe, shown: Fraction, need: Fraction) -> str:
    """What of the video the network could not see or hear; it has pictures for `shown` s and `need` s are a window."""
    seconds = float(shown)
    if shown < need:
        return (
            f"{video.name} has {seconds:.2f} s, the network looks at {float(need):.2f} s: "
            "its last picture and silence filled the rest, so trust the score less"
        )
    heard = float(min(source.audio.end, source.video.end) - max(source.audio.start, source.video.start))
    if heard < LITTLE_SOUND * seconds:
        return (
            f"{video.name} has sound for {heard:.1f} of {seconds:.1f} s: the rest is judged in silence, trust it less"
        )
    return ""

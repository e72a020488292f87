"""What the scores of a map mean, in plain words. Numbers in, words out; no torch here."""

from math import pi

DEAF = 0.25
"""Below it three quarters of the map stay whatever is heard. A network that ignores the sound is at 0; the small one
before its first step at 0.6, trained on scenes at 0.75: to listen is needed for a good map, but makes none."""
FLAT = 1 - 2 / pi
"""Noise is at 0.36 (half-normal heat). The small network before its first step is at 0.15, trained on scenes at 0.6:
what points less than noise does points nowhere."""


def in_numbers(listened: float, spatial: float) -> str:
    """`this map listened: 0.83, spatial 0.91`"""
    return f"this map listened: {listened:.2f}, spatial {spatial:.2f}"


def read_map(listened: float, spatial: float) -> str:
    """What the two numbers say together."""
    if listened < DEAF:
        return "nearly the same map whatever is heard: it shows what the network looks at, not what sounds"
    if spatial < FLAT:
        return "it changes with the sound but lights whole frames: it says when, not where"
    return "it changes with the sound and points at places"

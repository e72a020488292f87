"""InputSpec: what a network is shown. Without torch: what a run was trained on is read where no network is built."""

from dataclasses import dataclass

from sharding.format.clip import Clock

MOST_FRAMES, MOST_PIXELS, MOST_SAMPLES = 100_000, 8192, 1 << 30
"""In a window: far more than any network is given."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InputSpec:
    """What the network will be shown; a network checks on building that it can work with it."""

    frames: int
    """T of a window."""
    height: int
    width: int
    samples: int
    """S of a window, per channel."""
    channels: int
    """Audio channels."""
    clock: Clock

    def __post_init__(self) -> None:
        """Raises ValueError for what no window can be, before memory is asked for it."""
        sides = 1 <= self.height <= MOST_PIXELS and 1 <= self.width <= MOST_PIXELS
        sound = 1 <= self.samples <= MOST_SAMPLES and self.clock.sample_rate <= MOST_SAMPLES and self.channels in (1, 2)
        if not (sides and sound and 1 <= self.frames <= MOST_FRAMES):
            raise ValueError(f"no window is like this: {self}")

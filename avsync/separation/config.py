"""How a video is taken apart, as a person may set it. No torch here: help must come at once."""

from dataclasses import dataclass
from typing import Annotated, Literal

from sharding.base.written_paths import IS_PATH
from sharding.errors import InputError

ON, OFF, SHEET = ".on-screen.mp4", ".off-screen.mp4", ".png"
"""What the names of the films and of the picture end in."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SeparateOptions:
    """How a video is taken apart."""

    output: Annotated[str, IS_PATH] = ""
    """Where to write: NAME.mp4 stands for NAME.on-screen.mp4, NAME.off-screen.mp4 and NAME.png; default:
    RUN/separate/VIDEO.mp4."""
    overlap: float = 0.5
    """Share of a window that the next one covers again; one fades into the other."""
    device: Literal["auto", "cpu"] = "auto"
    """auto: the GPU when there is one."""
    checkpoint: Literal["best", "last"] = "best"
    """best: least error in validation; last: newest."""

    def __post_init__(self) -> None:
        if not 0 < self.overlap < 1:
            raise InputError(f"--overlap {self.overlap} must lie between 0 and 1: windows fade into each other")

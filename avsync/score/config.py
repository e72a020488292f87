"""Everything a person can set about scoring a file. No torch here: help must come at once."""

from dataclasses import dataclass
from typing import Annotated, Literal

from avsync.config import SURE
from sharding.base.written_paths import IS_PATH
from sharding.errors import InputError

MOST_MS = 30_000
"""Of tolerance: no larger offset is ever tried."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreConfig:
    """How files are scored."""

    early_ms: float = 40.0
    """Sound that comes earlier than its picture by up to this is in sync (EBU R 37)."""
    late_ms: float = 60.0
    """Sound that comes later than its picture by up to this is in sync (EBU R 37)."""
    sure: float = SURE
    """Below this probability the answer is "can't tell"."""
    reach_s: float = 2.0
    """Offsets up to so many seconds, either way, are tried."""
    hop_s: float = 0.0
    """Seconds from one window to the next; 0: 1 s, less for short files, more for those over 5 minutes."""
    trust: float = 2.0
    """How much the network's evidence counts. 2 makes the confidence true on generated scenes; lower it where sure
    answers prove wrong."""
    output: Annotated[str, IS_PATH] = ""
    """Folder for the answers, VIDEO.json and VIDEO.png; default: RUN/score."""
    fix: bool = False
    """Where the offset is known and out of tolerance: also write a copy whose sound is moved, VIDEO.fixed.SUFFIX beside
    the video. Nothing is coded again; the picture stays as it is, byte by byte."""
    fix_to: Annotated[str, IS_PATH] = ""
    """Another name for that copy; for one video."""
    device: Literal["auto", "cpu"] = "auto"
    """auto: the GPU when there is one."""
    checkpoint: Literal["best", "last"] = "best"
    """best: highest audited accuracy in validation; last: newest."""

    def __post_init__(self) -> None:
        if not (0 <= self.early_ms <= MOST_MS and 0 <= self.late_ms <= MOST_MS):
            raise InputError(
                f"--early-ms {self.early_ms} and --late-ms {self.late_ms} must lie in 0 to {MOST_MS:,} milliseconds"
            )
        if not 0.5 <= self.sure < 1:
            raise InputError(f"--sure {self.sure} is a probability: at least 0.5, below 1")
        if not 0 < self.reach_s <= 30:
            raise InputError(f"--reach-s {self.reach_s} must be above 0 s, and at most 30 s")
        if not 0 <= self.hop_s <= 60:
            raise InputError(f"--hop-s {self.hop_s} must be at most 60 s, or 0 to let the length decide")
        if not 0 < self.trust <= 10:
            raise InputError(f"--trust {self.trust} must be above 0, and at most 10")

"""Everything a person can set about scoring a file. No torch here: help must come at once."""

from dataclasses import dataclass
from typing import Annotated, Literal

from avsync.config import REACH_S, SURE, check_question
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
    reach_s: float = REACH_S
    """Offsets up to so many seconds, either way, are tried."""
    hop_s: float = 0.0
    """Seconds from one window to the next; 0: 1 s, less for short files, more for those over 5 minutes."""
    trust: float | None = None
    """How much the network's evidence counts: lower it where sure answers prove wrong. By default what the training
    found on its val split, which makes the confidence true there; 2 where the run does not say."""
    crop: Literal["auto", "faces", "all"] = "auto"
    """What the network is shown: each face, or all of the picture; auto: as its dataset was packed."""
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
        check_question(self.sure, self.reach_s, self.hop_s, self.trust)

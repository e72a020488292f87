"""Everything a person can set about curating videos. No torch here: help must come at once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from avsync.config import REACH_S, SURE, check_question
from sharding.base.environment import available_cores
from sharding.base.written_paths import IS_PATH
from sharding.errors import InputError

CropName = Literal["auto", "faces", "all"]
MOST_TOLERANCE_MS = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class CurateConfig:
    """What is kept, and how it is looked for."""

    network: Annotated[str, IS_PATH] = "faces"
    """Folder of a training run; faces: the network of faces that comes with avsync."""
    checkpoint: Literal["best", "last"] = "best"
    """best: highest audited accuracy in validation; last: newest."""
    crop: CropName = "auto"
    """What the network is shown: each face, or all of the picture; auto: as its dataset was packed."""
    tolerance_ms: float = 40.0
    """A piece whose sound is off by up to this is kept as it is; what is off by more is moved, where that is sure."""
    sure: float = SURE
    """Below this probability the answer is "can't tell", and nothing is moved."""
    reach_s: float = REACH_S
    """Offsets up to so many seconds, either way, are tried."""
    hop_s: float = 0.0
    """Seconds from one window to the next; 0: 1 s, less for short shots, more for those over 5 minutes."""
    trust: float | None = None
    """As of avsync score: how much the network's evidence counts; by default as its training found."""
    min_crop: int = 32
    """Smallest side of a mouth's box in pixels of the video; what is smaller is left out."""
    device: Literal["auto", "cpu"] = "auto"
    """auto: the GPU when there is one."""
    workers: int | None = None
    """Processes that look at the same time; default, and 0: one for each CPU core this process may use."""
    limit_s: int = 600
    """CPU seconds a video may take without coming further; one that takes longer is dropped as corrupt."""

    def __post_init__(self) -> None:
        if not 1 <= self.tolerance_ms <= MOST_TOLERANCE_MS:
            raise InputError(f"--tolerance-ms {self.tolerance_ms} must be 1 to {MOST_TOLERANCE_MS} milliseconds")
        check_question(self.sure, self.reach_s, self.hop_s, self.trust)
        if self.min_crop < 1:
            raise InputError(f"--min-crop {self.min_crop} must be at least 1 pixel")
        if self.workers is not None and self.workers < 0:
            raise InputError(f"--workers {self.workers} must not be below 0; 0 is one for each CPU core")
        if self.limit_s < 1:
            raise InputError(f"--limit-s {self.limit_s} must be at least 1 second")

    @property
    def processes(self) -> int:
        return self.workers or available_cores()

    def decides_answers(self) -> dict[str, str | int | float | None]:
        """The settings that what is found depends on; the network itself is told by its weights."""
        names = ("tolerance_ms", "sure", "reach_s", "hop_s", "min_crop")
        return {"crop": self.crop, "trust": self.trust, **{name: float(getattr(self, name)) for name in names}}


@dataclass(frozen=True, kw_only=True, slots=True)
class CurateOptions:
    """What one call does."""

    root: Path | None = None
    """Folder that the videos of a CSV lie in; its own folder by default."""
    page: Path | None = None
    """Also draw what was found as one HTML page, which any browser opens."""
    dry_run: bool = False
    """Say what would be looked at; look at nothing, write nothing."""
    share: int | None = None
    """Look only at this share of the sources, from 0 on, and write no table; a call without it writes that."""
    shares: int | None = None
    """Into how many shares --share divides the sources."""

    def __post_init__(self) -> None:
        if (self.share is None) != (self.shares is None):
            raise InputError("--share and --shares belong together: --share 0 --shares 4 is the first of four")
        if self.share is not None and self.shares is not None and not 0 <= self.share < self.shares:
            raise InputError(f"--share {self.share} must be 0 to {self.shares - 1}, one of --shares {self.shares}")

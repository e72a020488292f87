"""Where a checkpoint stands: state.json, and best.json and trust.json beside the checkpoints. No torch here.

All that a run needs to go on at the exact clip is the number of steps; the rest is there to prove it.
"""

import math
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import msgspec

from avsync.config import MOST_TRUST
from avsync.data.order import Digest
from avsync.metrics import Calibration
from avsync.run.alarm import Alarm
from sharding.base.files import LARGEST_RECORD, Count, Measured

HANDICAP = 0.1
"""So much audited accuracy a checkpoint that cheats must have beyond an honest one to take its place. Less may be luck:
among networks that know nothing, audited accuracies scatter about 1/2, and one that cheats would be kept as often."""


@dataclass(frozen=True, slots=True)
class Best:
    """best.json: the checkpoint with the highest audited accuracy of validation."""

    LARGEST_FILE: ClassVar[int] = LARGEST_RECORD

    step: Count
    accuracy: Measured
    loss: Measured = math.inf
    audited: Measured | None = None
    """The accuracy, less what one stream alone is worth (avsync.honesty); None in files of before that was asked."""
    cheats: bool = False
    """An alarm stood."""
    threshold: Measured | None = None
    """The logit that parts sounds in sync from others best (metrics.Calibration); None: not known."""
    scale: Measured | None = None
    """What a logit above it is worth (metrics.Calibration); None: not known, as in files of before it was kept."""

    @property
    def worth(self) -> float:
        """What `best` goes by."""
        audited = self.accuracy if self.audited is None else self.audited
        return audited - HANDICAP * self.cheats

    @property
    def calibration(self) -> Calibration | None:
        """What its logits meant in validation."""
        if self.threshold is None or self.scale is None:
            return None
        return Calibration(self.scale, self.threshold)

    def beats(self, other: "Best") -> bool:
        """Higher audited accuracy, an honest one favoured (HANDICAP).

        Of equal ones the one that owes less to one stream, then the lower loss. Equal ones are common where the val
        split is small, and all that only cheat are at 50 %.
        """
        return (self.worth, -self.accuracy, -self.loss) > (other.worth, -other.accuracy, -other.loss)


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkTrust:
    """How `avsync score` is to read the logits of a checkpoint, by files with known offsets made of the val split."""

    step: Count
    trust: Annotated[float, msgspec.Meta(gt=0, le=MOST_TRUST)] | None
    """How much its answers count; None: could not be told."""
    threshold: Measured = 0.0
    """The logit that tells nothing."""
    none: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.25
    """Probability, before anything is looked at, that a file's sound does not belong to its picture."""
    confidence: tuple[Measured, Measured] = (1.0, 0.0)
    """Scale and threshold (metrics.Calibration) of the best offset's log odds."""
    low: Measured = 0.0
    """`trust` lies between this ..."""
    high: Measured = 0.0
    """... and this, with 90 %: what other sources would have given."""
    error: Measured = 0.0
    """Expected calibration error of the confidence on these files."""
    before: Measured = 0.0
    """The same with the trust of a network that was never asked."""
    clips: Count = 0
    sources: Count = 0
    why: str = ""
    """Why it could not be told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrustRecord:
    """trust.json: of the checkpoints that were asked when the training ended."""

    LARGEST_FILE: ClassVar[int] = LARGEST_RECORD

    networks: tuple[NetworkTrust, ...]

    def of(self, step: int) -> NetworkTrust | None:
        """Of the checkpoint of `step`; None: it was not asked."""
        return next((one for one in self.networks if one.step == step), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """What the order of clips depends on, in a checkpoint's own words: it may lie in the wrong folder."""

    seed: Count
    batch: Count
    data: str
    """SplitPrint.joined of the train split."""


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """state.json: where a checkpoint stands. Its size does not grow with the run."""

    LARGEST_FILE: ClassVar[int] = LARGEST_RECORD

    step: Count
    """Steps done."""
    model: str
    digest: str
    """Fingerprint of all clips trained on so far (order.Digest)."""
    skipped: Count
    """Clips that could not be read so far."""
    best: Best | None = None
    """The best validation so far."""
    mark: str = ""
    """The digest when the present block of the order began: from there it is worked out anew on resuming."""
    origin: Origin | None = None
    ranks: Count = 1
    """Processes that trained together."""
    sums: tuple[Measured, ...] = ()
    """Loss, correct, examples since the last point of the curves, where a wish to stop came between two points."""
    alarm: Alarm | None = None
    """One stream alone tells the label, by the last validation."""
    unscored: bool = False
    """The validation of this step was left for a wish to stop: whoever goes on begins with it."""

    def after(self, digest: Digest) -> "State":
        """One more step, which `digest` has counted."""
        return replace(self, step=digest.steps, digest=digest.state, mark=digest.mark)

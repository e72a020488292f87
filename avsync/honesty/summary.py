"""An evaluation's answer to "does it cheat?", for summary.json and the terminal."""

from dataclasses import dataclass

import numpy as np

from avsync.honesty.examination import UNASKED, Examination
from avsync.honesty.judge import alarm_of
from avsync.metrics import Share
from avsync.run.alarm import Stream


@dataclass(frozen=True, kw_only=True, slots=True)
class Honesty:
    """Of one network on one split."""

    other_picture: Share
    """Accuracy with the picture of another clip: by the sound alone. An honest network is at 1/2."""
    muted: Share
    """Accuracy with silence: by the picture alone. An honest network is at 1/2."""
    audited: float | None
    """The accuracy, less what the better one of these is worth; None: there was no picture of another source."""
    cheats: Stream | None
    """This stream alone tells it the label, beyond doubt (avsync.honesty.judge)."""
    listened: float | None
    """Mean over the clips' maps; None: no sound was in sync."""
    spatial: float | None

    @classmethod
    def of(cls, got: Examination, step: int) -> "Honesty":
        """step: of the checkpoint."""
        alarm, maps = alarm_of(step, got, None), got.maps
        listened, spatial = (float(np.mean(maps.listened)), float(np.mean(maps.spatial))) if maps else (None, None)
        return cls(
            other_picture=got.with_another_picture(), muted=got.with_muted_sound(), audited=got.audited,
            cheats=alarm and alarm.stream, listened=listened, spatial=spatial,
        )  # fmt: skip

    @property
    def text(self) -> str:
        """One line."""
        shares = (("with another clip's picture", self.other_picture), ("with muted sound", self.muted))
        asked = [
            f"{words} {share.value:.1%} ({share.low:.1%} to {share.high:.1%})" for words, share in shares if share.count
        ]
        maps = [] if self.listened is None else [f"maps listened {self.listened:.2f}, spatial {self.spatial:.2f}"]
        return f"does it cheat: {', '.join(asked)}; honest is 50 %; " + "; ".join(
            [UNASKED if self.audited is None else f"audited accuracy {self.audited:.1%}", *maps]
        )

    @property
    def warning(self) -> str:
        """Empty for an honest network."""
        if not self.cheats:
            return ""
        return (
            f"CHEATING: the {self.cheats} alone tells this network the label, so its accuracy and its maps mean "
            "nothing; let avsync audit DATASET find the leak"
        )

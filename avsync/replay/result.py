"""All numbers of a replay: replay.json, and what figures, table and page are made of."""

from dataclasses import dataclass
from typing import Literal

from avsync.audit.result import AuditResult
from avsync.evaluate.scorecard import Localisation
from avsync.metrics import Proportion
from avsync.run.alarm import Alarm
from avsync.run.state import Best

Which = Literal["best", "last"]
"""Which checkpoint of a run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """The answers, as proportions of right ones with their intervals."""

    step: int
    """Of the checkpoint."""
    own: Proportion
    """By labels such as it was trained on."""
    other: Proportion
    """... with the picture of another clip: by the sound alone."""
    muted: Proportion
    """... with the sound muted: by the picture alone."""
    audited: float | None
    """`own`, less what one stream alone is worth."""
    honest: Proportion
    """On symmetric pairs: what it knows of picture and sound together."""
    listened: float | None
    """Mean over the maps of symmetric pairs in sync, as in avsync/honesty/maps.py; None: there was none."""
    spatial: float | None
    localisation: Localisation | None
    """Where the same maps point; None where no true boxes are known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayArmResult:
    """A network after its training."""

    name: str
    title: str
    law: str
    cheats: bool
    """An alarm stands at the end."""
    alarm: Alarm | None
    best: Best | None
    """Its checkpoint with the highest audited accuracy."""
    last: Asked
    """The network as it is at the end: what one would have without an audit."""
    kept: Asked | None
    """The same questions to the best checkpoint of a network that began honestly, where that is another one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StageResult:
    """A dataset with its audits and networks."""

    name: str
    told: str
    """What it is, in words."""
    clips: dict[str, int]
    """Of each split."""
    steps: int
    audits: tuple[AuditResult, ...]
    arms: tuple[ReplayArmResult, ...]

    def audit_of(self, law: str) -> AuditResult | None:
        """Of the labels of such pairs, on the training split."""
        return next((one for one in self.audits if one.config.pairs.law == law), None)

    def arm(self, name: str) -> ReplayArmResult | None:
        return next((one for one in self.arms if one.name == name), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayResult:
    """replay.json"""

    stages: tuple[StageResult, ...]
    muted_s: float
    muted_samples: int

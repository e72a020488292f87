"""All numbers of a replay: replay.json, and what figures, table and page are made of."""

from dataclasses import dataclass

from avsync.audit.result import AuditResult
from avsync.replay.ask import Asked
from avsync.run.alarm import Alarm
from avsync.run.state import Best


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
        """Of the labels of a law, on the training split."""
        return next((one for one in self.audits if one.config.pairs.law == law), None)

    def arm(self, name: str) -> ReplayArmResult | None:
        return next((one for one in self.arms if one.name == name), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayResult:
    """replay.json"""

    stages: tuple[StageResult, ...]
    muted_s: float
    muted_samples: int

"""What an audit found: right guesses, what they mean, all of it as one record for screen, page and JSON. No torch."""

from dataclasses import dataclass
from typing import Literal

from avsync.audit.config import AuditConfig
from avsync.audit.leak import Leak, Leakage
from avsync.metrics import Proportion

Kind = Literal["law", "network", "position", "both", "rule"]
"""position: where in its file one stream lies, which is no label; both: the label, guessed by comparing the places read
in both streams."""
Verdict = Literal["pass", "warning", "fail"]
"""warning: it is no leak by itself, but would become one together with another."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Guesses:
    """What a probe gives to be judged: right guesses on clips of sources that it did not learn from."""

    probe: str
    """Name of the probe in PROBES, in plain words: "sound alone", "quiet start"."""
    kind: Kind
    asks: str
    """The question in one sentence: "Does the sound alone tell the label?"."""
    accuracy: Proportion
    """95 % interval, by source."""
    strict: Proportion
    """The same with the wide interval that verdicts are made of (see avsync.audit.verdicts)."""
    auc: float
    """ROC AUC of the probe's score; 0.5 is chance."""
    note: str = ""
    """What a reader should know, in one sentence; may be empty."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditFinding:
    """Guesses, judged."""

    guesses: Guesses
    verdict: Verdict
    reason: str
    """Why this verdict, and what to do, in one or two plain sentences."""
    detectable: float
    """Accuracy from which on this audit would have raised its hand, with so many sources."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditResult:
    """Verdict, reasons and numbers."""

    dataset: str
    verdict: Verdict
    sentence: str
    """The verdict in words."""
    notes: tuple[str, ...]
    """What must be known beside it, one sentence each."""
    config: AuditConfig
    clips: int
    """Of the split, long enough for the sampler: the leak is that of all of them."""
    looked_at: int
    """Of these, decoded for the probes at most."""
    sources: int
    """That those are of."""
    z: float
    """Standard deviations that the strict intervals reach."""
    leak: Leak | None
    """Of pairs: what their places tell."""
    findings: tuple[AuditFinding, ...]
    mixtures: Leakage | None = None
    """Of mixtures: what one tells to who has counted them."""

    @property
    def by_sampler(self) -> tuple[AuditFinding, ...]:
        """Those that were computed, not measured."""
        return tuple(one for one in self.findings if one.guesses.kind == "law")

    @property
    def told(self) -> tuple[tuple[str, Leakage, AuditFinding | None], ...]:
        """What the law tells, to whom, and what was found of it; None: it is the label itself."""
        if self.leak is None:
            return tuple(("the mixture", self.mixtures, one) for one in self.by_sampler if self.mixtures)
        sound, picture = self.by_sampler
        return (
            ("the sound's place", self.leak.sound, sound),
            ("the picture's place", self.leak.picture, picture),
            ("both places: that is the label", self.leak.both, None),
        )

    @property
    def by_probes(self) -> tuple[AuditFinding, ...]:
        return tuple(one for one in self.findings if one.guesses.kind != "law")

    @property
    def troubles(self) -> list[tuple[str, AuditFinding]]:
        """All that did not pass, fails first; names of probes, and one of them: the same reason stands once."""
        found = sorted((one for one in self.findings if one.verdict != "pass"), key=lambda one: one.verdict != "fail")
        first = {one.reason: one for one in reversed(found)}
        return [
            (", ".join(one.guesses.probe for one in found if one.reason == reason), first[reason])
            for reason in dict.fromkeys(one.reason for one in found)
        ]

"""What an audit found, as a whole: printed, drawn, and written as JSON. No torch here."""

from dataclasses import dataclass

from avsync.audit.config import AuditConfig
from avsync.audit.finding import Finding, Verdict
from avsync.audit.leak import Leak


@dataclass(frozen=True, kw_only=True, slots=True)
class Audit:
    """Verdict, reasons and numbers."""

    dataset: str
    verdict: Verdict
    sentence: str
    """The verdict in words."""
    notes: tuple[str, ...]
    """What must be known beside it, one sentence each."""
    config: AuditConfig
    clips: int
    """Of the split, long enough for the law: the leak is that of all of them."""
    looked_at: int
    """Of these, decoded for the probes at most."""
    sources: int
    """That those are of."""
    z: float
    """Standard deviations that the strict intervals reach."""
    leak: Leak
    findings: tuple[Finding, ...]

    @property
    def by_law(self) -> tuple[Finding, ...]:
        """Those that were computed, not measured."""
        return tuple(one for one in self.findings if one.guesses.kind == "law")

    @property
    def by_probes(self) -> tuple[Finding, ...]:
        return tuple(one for one in self.findings if one.guesses.kind != "law")

    @property
    def troubles(self) -> list[tuple[str, Finding]]:
        """All that did not pass, fails first; names of probes, and one of them: the same reason is told once."""
        found = sorted((one for one in self.findings if one.verdict != "pass"), key=lambda one: one.verdict != "fail")
        first = {one.reason: one for one in reversed(found)}
        return [
            (", ".join(one.guesses.probe for one in found if one.reason == reason), first[reason])
            for reason in dict.fromkeys(one.reason for one in found)
        ]

"""What one look at the labels found: a share of right guesses, its interval, and what it means. No torch here."""

from dataclasses import dataclass
from typing import Literal

from avsync.metrics import Share

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
    accuracy: Share
    """95 % interval, by source."""
    strict: Share
    """The same with the wide interval that verdicts are made of (see avsync.audit.judge)."""
    auc: float
    """ROC AUC of the probe's score; 0.5 is chance."""
    note: str = ""
    """What a reader should know, in one sentence; may be empty."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """Guesses, judged."""

    guesses: Guesses
    verdict: Verdict
    reason: str
    """Why this verdict, and what to do, in one or two plain sentences."""
    detectable: float
    """Accuracy from which on this audit would have raised its hand, with so many sources."""

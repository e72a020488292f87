"""From what a probe guessed to a verdict, with a reason in plain words and what to do. No torch here.

One audit asks many questions, and each interval misses the truth now and then. So the strict interval is as wide as it
takes that a clean dataset fails in one audit of a thousand, all probes together (Bonferroni), one-sided: to guess
worse than chance is no leak. Sources, not examples, are the sample; where they are few, their scatter is known badly,
so the width is that of Student's t distribution.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from avsync.audit.config import Law
from avsync.audit.leak import Leak, Leakage
from avsync.audit.result import AuditFinding, Guesses, Kind, Verdict
from avsync.config import PairsName
from avsync.metrics import Proportion
from sharding.base.text import counted, percent

CHANCE = 0.5
FALSE_ALARMS = 1e-3
"""Share of audits of clean data that fail."""
PLAIN_PLACE = 0.6
"""From here on a place that can be read in one stream alone is a fail. Were the other stream read as well, a label is
guessed right when both readings are right or both are wrong: 0.6^2 + 0.4^2 = 52 %, too little for an audit to see.
Above, one cue in the other stream, a counter or a tone, is all that is missing to a leak that a network finds."""
ROUNDING = 1e-9
"""Bits or rates below this are what adding up floats leaves."""
NO_LEAK: tuple[Kind, ...] = ("law", "position")
"""Kinds whose rate of right guesses is computed, or not one of labels."""
FEW_SOURCES = 10
"""Fewer can pass nothing."""
WORST_LAST: tuple[Verdict, ...] = ("pass", "warning", "fail")
HONEST: PairsName = "symmetric"
"""The pairs of which one stream alone cannot tell the label, whatever is in it."""
MIXTURES: Law = "mixtures"
FAIR: Mapping[Law, str] = {
    HONEST: "with symmetric pairs one stream alone cannot know that",
    MIXTURES: "every mixture is heard with both of its pictures, so it alone cannot know that",
}
"""What makes labels that need both streams, and why."""


def strictness(probes: int, sources: int) -> float:
    """Standard deviations that the strict interval reaches, for so many probes on so many sources."""
    return _student(FALSE_ALARMS / max(1, probes), max(1, sources - 1))


def _student(tail: float, freedom: int) -> float:
    """The point beyond which `tail` of Student's t distribution lies."""
    if freedom > 1000:
        return NormalDist().inv_cdf(1 - tail)
    low, high = 0.0, np.pi / 2  # angle: arctan(t / sqrt(freedom))
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if (1 - _within(middle, freedom)) / 2 > tail else (low, middle)
    return float(np.sqrt(freedom) * np.tan(low))


def _within(angle: float, freedom: int) -> float:
    """Share of Student's t distribution between -t and t (Abramowitz & Stegun 26.7.3 and 26.7.4)."""
    odd = freedom % 2
    steps = np.arange(1 + odd, freedom - 1, 2)
    terms = np.cos(angle) ** odd * np.cumprod(np.r_[1, steps / (steps + 1) * np.cos(angle) ** 2])
    total = np.sin(angle) * terms.sum() if freedom > 1 else 0.0
    return float(2 / np.pi * (angle + total)) if odd else float(total)


def words_of(law: Law) -> str:
    """`symmetric pairs`, `mixtures`."""
    return law if law == MIXTURES else f"{law} pairs"


def judge(guesses: Guesses, law: Law) -> AuditFinding:
    """What a probe's guesses on such labels mean."""
    strict = guesses.strict
    if not strict.count:
        return _finding(guesses, "warning", "No example could be looked at, so nothing is known.")
    if strict.low <= CHANCE:
        return _finding(guesses, "pass", "No better than guessing.")
    if guesses.kind == "position":
        return _finding(guesses, *_place(strict))
    return _finding(guesses, "fail", f"{_right(strict)}, where guessing gives 50 %: {_remedy(guesses, law)}")


def _finding(guesses: Guesses, verdict: Verdict, reason: str) -> AuditFinding:
    return AuditFinding(guesses=guesses, verdict=verdict, reason=reason, detectable=detectable(guesses.strict))


def _right(strict: Proportion) -> str:
    return f"{percent(strict.value)} of {strict.count:,} right"


def _place(strict: Proportion) -> tuple[Verdict, str]:
    """Of a place that can be read in one stream."""
    if strict.low <= PLAIN_PLACE:
        return "warning", (
            f"This stream shows a little of its place in the file: {_right(strict)}. That is no leak while the other "
            "stream shows none; compare the two before you trust a high score."
        )
    return "fail", (
        f"This stream shows its place in the file: {_right(strict)}. If the other one does too, a network compares the "
        "places and never listens. Look for a counter, a tone, a fade or a change of level at the ends of the videos; "
        "cut it away (avsync pack --trim-s) or pack the originals."
    )


def _remedy(guesses: Guesses, law: Law) -> str:
    if guesses.kind == "law" and law in FAIR:
        return f"{FAIR[law]}. That is counted, and a bug: please report it."
    if guesses.kind == "law":
        return f"the pair sampler itself tells the label to whoever can read the place. Use --pairs.law {HONEST}."
    if guesses.kind == "both":
        return (
            "picture and sound both show their place in the file, and a network may compare the places instead of "
            "what is seen and heard. Find and remove the trace in one of them: a counter in the picture, a tone, a "
            "fade, a change of level, marks of an encoder; pack the originals."
        )
    if law in FAIR:
        return (
            f"{FAIR[law]}. It is the one audit in a thousand that errs: try another --seed. If it stays, it is a bug: "
            "please report it."
        )
    if guesses.kind == "rule":
        return f"what so simple a rule finds in one stream, a network finds, too. Use --pairs.law {HONEST}."
    return (
        "one stream alone tells the label, so a network will learn that and need not compare picture and sound. "
        f"Use --pairs.law {HONEST}; to mute or fade the sound's start or a join does not cure it."
    )


def detectable(strict: Proportion) -> float:
    """Accuracy from which on the interval would have lain above chance, were its examples as many and as alike.

    Wilson's bounds p of a share v are where (v - p)^2 = k p (1 - p); k tells how much the sample is worth, and at
    p = 1/2 the share must lie sqrt(k) / 2 above.
    """
    bound = strict.low if strict.low > 0 else strict.high
    if not strict.count or bound >= 1:
        return 1.0
    k = (strict.value - bound) ** 2 / (bound * (1 - bound))
    return min(1.0, CHANCE + float(np.sqrt(k)) / 2)


def judge_sampler(leak: Leak, pairs: PairsName) -> tuple[AuditFinding, AuditFinding]:
    """What the pair sampler alone tells of the label; exact, so it has no interval."""
    return _of_place("sound", leak.sound, pairs), _of_place("picture", leak.picture, pairs)


def _of_place(stream: str, leakage: Leakage, pairs: PairsName) -> AuditFinding:
    guesses = _exact(
        leakage,
        probe=f"law of the {stream}'s place",
        asks=f"Do sounds in sync and out of sync come with {stream} windows from other places of a clip?",
        note="Computed from the sampler and the lengths of all clips, without error.",
    )
    fine = "Both labels have the same places, exactly: 0 bits, whatever a stream shows of its place."
    if pairs == "cyclic":
        fine += " Cyclic pairs leak elsewhere, at the join of the turned sound."
    told = (
        f"The place alone tells {leakage.bits:.4f} bits: {percent(leakage.accuracy)} right, where guessing gives 50 %"
    )
    return _of_law(guesses, leakage, fine, told, pairs)


def judge_mixtures(told: Leakage) -> AuditFinding:
    """What mixtures tell of the label, to who knows all of them; counted, so it has no interval."""
    guesses = _exact(
        told,
        probe="law of the mixtures",
        asks="Does a mixture come more often with the one of its pictures than with the other?",
        note="Counted, on all mixtures that were drawn.",
    )
    fine = "Every mixture comes as often with the one picture as with the other: 0 bits, whatever it sounds like."
    return _of_law(guesses, told, fine, f"A mixture alone tells {told.bits:.4f} bits", MIXTURES)


def _exact(leakage: Leakage, *, probe: str, asks: str, note: str) -> Guesses:
    """Of a law: no sample, so no interval."""
    exact = Proportion(leakage.accuracy, leakage.accuracy, leakage.accuracy, 0)
    return Guesses(probe=probe, kind="law", asks=asks, accuracy=exact, strict=exact, auc=leakage.auc, note=note)


def _of_law(guesses: Guesses, leakage: Leakage, fine: str, told: str, law: Law) -> AuditFinding:
    """fine: what is said where it tells nothing; told: what where it does, before the remedy."""
    if leakage.bits < ROUNDING:
        return AuditFinding(guesses=guesses, verdict="pass", reason=fine, detectable=CHANCE)
    reason = f"{told}: {_remedy(guesses, law)}"
    return AuditFinding(guesses=guesses, verdict="fail", reason=reason, detectable=CHANCE)


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditOutcome:
    """All findings together."""

    verdict: Verdict
    sentence: str
    notes: tuple[str, ...]
    """What must be known beside it, one sentence each."""


def conclude(findings: Sequence[AuditFinding], sources: int) -> AuditOutcome:
    """The worst verdict is that of the whole; with too few sources none passes."""
    worst = WORST_LAST[max((WORST_LAST.index(one.verdict) for one in findings), default=0)]
    blame = ", ".join(one.guesses.probe for one in findings if one.verdict == worst)
    unseen = max((one.detectable for one in findings if one.guesses.kind not in NO_LEAK), default=1.0)
    limit = (
        f"a leak that gives less than {percent(unseen)} right would go unseen" if unseen < 1 else "no leak can be seen"
    )
    notes = [f"{counted(sources, 'source')}: {limit}."]
    if sources < FEW_SOURCES and worst == "pass":
        worst, blame = "warning", f"{sources} sources are too few"
        notes.append(f"Audit at least {FEW_SOURCES} sources, better some hundred, before you trust a pass.")
    sentence: dict[Verdict, str] = {
        "pass": f"No shortcut was found, so none that gives {percent(unseen)} right or more: what tells the label is "
        "how picture and sound go together.",
        "warning": f"Nothing gives the label away, but take care: {blame}.",
        "fail": f"A network can cheat on these labels. Found by: {blame}.",
    }
    return AuditOutcome(verdict=worst, sentence=sentence[worst], notes=tuple(notes))

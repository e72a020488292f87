"""The replay in sentences, made of what was measured: nothing is claimed that the numbers do not say."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sharding.base.text import percent

if TYPE_CHECKING:
    from avsync.audit.result import AuditFinding
    from avsync.metrics import Proportion
    from avsync.replay.result import Asked, ReplayArmResult, ReplayResult, StageResult

COLUMNS = (
    "trained on",
    "right by its own labels",
    "with another clip's picture",
    "sound muted",
    "right on honest pairs",
    "alarm",
    "kept as best",
    "points",
    "listened",
    "spatial",
)


def right(proportion: "Proportion") -> str:
    """`79.1 % (73 to 84)`"""
    return f"{percent(proportion.value)} ({100 * proportion.low:.0f} to {100 * proportion.high:.0f})"


def above_chance(proportion: "Proportion") -> bool:
    """Surely."""
    return proportion.low > 0.5


def rows(arm: "ReplayArmResult") -> tuple[tuple[str, ...], ...]:
    """Lines under COLUMNS: the network as it is at the end; of one that began honestly its best checkpoint, too."""
    alarm = f"from step {arm.alarm.since}" if arm.alarm else "none"
    best = f"step {arm.best.step}{', cheats' if arm.best.cheats else ''}" if arm.best else "–"
    end = (_row(arm.title, arm.last, alarm, best),)
    return (*end, _row(f"... its step {arm.kept.step}", arm.kept, "", "")) if arm.kept else end


def table(stage: "StageResult") -> tuple[tuple[str, ...], ...]:
    """A column for each network; the first line names them, the first column says what was asked."""
    return tuple(zip(COLUMNS, *(row for arm in stage.arms for row in rows(arm)), strict=True))


def _row(title: str, asked: "Asked", alarm: str, best: str) -> tuple[str, ...]:
    proportions, where = (asked.own, asked.other, asked.muted, asked.honest), asked.localisation
    points = f"{where.times_chance:.1f}x chance" if where else "–"
    return (title, *map(right, proportions), alarm, best, points, _score(asked.listened), _score(asked.spatial))


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def sentence(arm: "ReplayArmResult") -> str:
    """What became of a network."""
    last = arm.last
    knows = "more than chance" if above_chance(last.honest) else "chance"
    asked = f"On honest pairs it is right in {right(last.honest)}: {knows}."
    if arm.cheats and arm.alarm:
        kept = arm.alarm.honest
        best = f" Step {kept}, before the alarm, is kept as best." if kept else ""
        return (
            f"{arm.title}: cheats, and the alarm says so from step {arm.alarm.since} on. Right in "
            f"{right(last.own)} of its own labels, and in {right(last.other)} with the picture of another clip. "
            f"{asked}{best}"
        )
    return (
        f"{arm.title}: no alarm. Right in {right(last.own)} of its own labels; with the picture of another clip "
        f"{right(last.other)}. {asked}"
    )


def audits(stage: "StageResult") -> tuple[str, ...]:
    """Their verdicts, one sentence each."""
    return tuple(f"{one.config.pairs.law}: {one.verdict}. {one.sentence}" for one in stage.audits)


def guessed(finding: "AuditFinding") -> str:
    """What a probe got right."""
    accuracy = finding.guesses.accuracy
    return right(accuracy) if accuracy.count else percent(accuracy.value)


def findings_by_probe(stage: "StageResult") -> "dict[str, dict[str, AuditFinding]]":
    """Probe -> pairs of an audit -> what it found on them."""
    found: dict[str, dict[str, AuditFinding]] = {}
    for audit in stage.audits:
        for finding in audit.findings:
            found.setdefault(finding.guesses.probe, {})[audit.config.pairs.law] = finding
    return found


def verdict(stage: "StageResult", result: "ReplayResult") -> tuple[str, ...]:
    """The replay's answers to the thesis's question, one sentence each."""
    return tuple(filter(None, (_cyclic(stage), _cure(stage, result), _symmetric(stage), _collapse(stage))))


def _cyclic(stage: "StageResult") -> str:
    arm, audit = stage.arm("cyclic"), stage.audit_of("cyclic")
    if not arm:
        return ""
    before = f" The audit said so before: {audit.verdict}." if audit and audit.verdict != "pass" else ""
    if arm.cheats:
        return (
            f"Labels by cyclic shift are learnt by the sound alone: {percent(arm.last.own.value)} right, "
            f"{percent(arm.last.other.value)} with another clip's picture, {percent(arm.last.honest.value)} on honest "
            f"pairs.{before}"
        )
    return f"Labels by cyclic shift raised no alarm here ({percent(arm.last.own.value)} right).{before}"


def _cure(stage: "StageResult", result: "ReplayResult") -> str:
    arm = stage.arm("muted")
    if not arm:
        return ""
    what = f"Zeroing the first {result.muted_s:.3f} s ({result.muted_samples:,} samples)"
    outcome = "did not cure it" if arm.cheats else "raised no alarm here"
    return f"{what} {outcome}: {percent(arm.last.other.value)} with another clip's picture."


def _symmetric(stage: "StageResult") -> str:
    arm, audit = stage.arm("symmetric"), stage.audit_of("symmetric")
    if not arm:
        return ""
    audited = f" The audit's verdict: {audit.verdict}." if audit else ""
    if arm.cheats:
        return f"Two real windows of one clip raised an alarm, which should not be.{audited}"
    learnt = "and it learns" if above_chance(arm.last.own) else "but it has learnt nothing yet"
    return (
        f"Two real windows of one clip leave nothing to cheat with, {learnt}: {percent(arm.last.own.value)} right, "
        f"{percent(arm.last.other.value)} with another clip's picture.{audited}"
    )


def _collapse(stage: "StageResult") -> str:
    arm = stage.arm("collapse")
    if not arm:
        return ""
    if not arm.alarm:
        return "A network that began honestly raised no alarm under cyclic labels, as long as it was trained here."
    kept = f"; step {arm.alarm.honest}, honest, is kept as best" if arm.alarm.honest else ""
    return (
        f"A network that began honestly was then given cyclic labels. The alarm rang at step {arm.alarm.since}{kept}. "
        f"At the end it is right in {percent(arm.last.other.value)} with another clip's picture."
    )


def warnings(stage: "StageResult") -> Sequence[str]:
    """What a reader must know of a small sample."""
    clips = stage.clips.get("test", 0)
    return () if clips >= 100 else (f"Only {clips} clips were held out: read the intervals, not the numbers.",)

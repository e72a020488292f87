"""What the replay claims follows from its numbers, on the page as in its sentences."""

from dataclasses import replace

import numpy as np

from avsync.audit.config import AuditConfig
from avsync.audit.leak import leak
from avsync.audit.result import AuditResult
from avsync.audit.verdicts import judge_sampler
from avsync.data.pairs import Uniform
from avsync.metrics import Proportion
from avsync.replay.result import Asked, ReplayArmResult, ReplayResult, StageResult
from avsync.run.alarm import Alarm
from avsync.run.state import Best
from launch.replay.replay import page_html
from launch.replay.sentences import verdict
from tests.pages import alone

EVIL = '"></style><script>alert(1)</script><img src=https://evil/x onerror=alert(1)>'


def share(value: float) -> Proportion:
    return Proportion(value, value - 0.05, value + 0.05, 200)


def arm(name: str, *, own: float, other: float, honest: float, cheats: bool) -> ReplayArmResult:
    alarm = Alarm(since=40, step=160, stream="sound", accuracy=other, low=other - 0.05, told=other, honest=20)
    asked = Asked(
        step=160,
        own=share(own),
        other=share(other),
        muted=share(0.5),
        audited=0.5,
        honest=share(honest),
        listened=0.5,
        spatial=0.5,
        localisation=None,
    )
    return ReplayArmResult(
        name=name,
        title=name,
        law="cyclic",
        cheats=cheats,
        alarm=alarm if cheats else None,
        best=Best(20, 0.6, audited=0.6),
        last=asked,
        kept=None,
    )


def result_of(*arms: ReplayArmResult, told: str = "scenes", audits: tuple[AuditResult, ...] = ()) -> ReplayResult:
    stage = StageResult(name="scenes", told=told, clips={"test": 20}, steps=160, audits=audits, arms=arms)
    return ReplayResult(stages=(stage,), muted_s=0.227, muted_samples=3628)


def sentences(*arms: ReplayArmResult) -> str:
    result = result_of(*arms)
    return " ".join(verdict(result.stages[0], result))


def test_the_verdict_follows_the_numbers_whatever_they_are() -> None:
    cheat = sentences(arm("cyclic", own=0.9, other=0.9, honest=0.5, cheats=True))
    assert "learnt by the sound alone: 90.0 % right" in cheat
    assert "raised no alarm" in sentences(arm("cyclic", own=0.6, other=0.5, honest=0.5, cheats=False))
    assert "did not cure it" in sentences(arm("muted", own=0.9, other=0.9, honest=0.5, cheats=True))
    assert "did not cure it" not in sentences(arm("muted", own=0.6, other=0.5, honest=0.5, cheats=False))
    assert "and it learns" in sentences(arm("symmetric", own=0.8, other=0.5, honest=0.8, cheats=False))
    assert "has learnt nothing yet" in sentences(arm("symmetric", own=0.52, other=0.5, honest=0.5, cheats=False))
    assert "should not be" in sentences(arm("symmetric", own=0.8, other=0.7, honest=0.8, cheats=True))
    assert "rang at step 40; step 20, honest" in sentences(arm("collapse", own=0.9, other=0.9, honest=0.5, cheats=True))
    assert "began honestly raised no alarm" in sentences(arm("collapse", own=0.9, other=0.5, honest=0.8, cheats=False))


def audited() -> AuditResult:
    leaked = leak(Uniform(window=120, low=60, high=177), np.array([300]))
    findings = tuple(replace(one, reason=EVIL) for one in judge_sampler(leaked, "uniform"))
    return AuditResult(
        dataset="d",
        verdict="fail",
        sentence=EVIL,
        notes=(),
        config=AuditConfig(),
        clips=1,
        looked_at=1,
        sources=1,
        z=3.0,
        leak=leaked,
        findings=findings,
    )


def test_no_name_from_data_becomes_part_of_the_page_and_it_loads_nothing() -> None:
    cheat = replace(arm("cyclic", own=0.9, other=0.9, honest=0.5, cheats=True), title=EVIL)
    result = result_of(replace(cheat, kept=cheat.last), told=EVIL, audits=(audited(),))
    page = alone(page_html(result, {("scenes", "curves"): b"png"}))
    assert page.text.count(EVIL) == 4  # the stage, the network's column and sentence, the audit
    assert [attributes["title"] for _, attributes in page.tags if "title" in attributes] == [EVIL, EVIL]
    assert len(page.loads) == 1
    assert "Only 20 clips were held out" in page.text
    assert "... its step 160" in page.text

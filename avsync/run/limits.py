"""RUN/limits.json: how long each section of a training takes, learnt while it runs, and when a rank hangs. No torch.

A fixed limit is wrong for everybody: fifteen minutes are lost where a step takes a second, and a validation that needs
twenty is killed for its size. So a rank hangs when a section has given no sign for MANY times the longest that it has
ever taken. The longest, and not a mean with its spread: waits for a shared disk have heavy tails, of which a mean says
nothing, and the longest of n is right in all but one of n anyway. It fades with each attempt, so that one bad hour does
not make the run blind for good. What was seen a few times only is trusted less (FEW); no limit lies below a floor, for
short sections scatter by more than any factor, and none above what is given to a section of which nothing is known,
unless the run has shown that it needs longer.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import ClassVar

from avsync.config import UNKNOWN_WAIT_S
from avsync.run.paths import RunPaths
from sharding.base.files import LARGEST_RECORD, Count, Measured, from_json, read_end, read_json
from sharding.base.text import counted, duration
from sharding.errors import AvsyncError

MANY, SURELY = 20.0, 5.0
"""Times the longest: below the limit of who knows nothing; beyond it."""
FEW = 4
"""After so many occurrences the limit is twice, after one five times, what it will be."""
FADE = 0.8
"""What is left of the longest for the next attempt. None of it fades within one: what happens once in each, as
compiling for the first validation, is then known however often the section occurs besides."""
FOR_OTHERS, MARGIN_S = 1.5, 10.0
"""Who waits for the others is patient for so many times as long as these are given, and so much longer, or twice as
long where that is little: the one that is to blame is named first."""


class Section(StrEnum):
    """What a rank is at, in the words of reports."""

    NONE = "none"
    """Nothing that is watched."""
    FIRST_BATCH = "first batch"
    DATA = "data wait"
    FIRST_STEP = "first step"
    STEP = "step"
    """A rank's own work: forward, update, points of the curves."""
    GRADIENTS = "gradients"
    """Backward, and their average over the ranks."""
    VALIDATION = "validation"
    """From a batch of it to the next."""
    CHECKPOINT = "checkpoint"
    OTHERS = "wait for the other ranks"
    """Collectives."""


SECTIONS = tuple(Section)
"""By number."""
ORDER = {
    section: number
    for number, section in enumerate(
        (
            Section.FIRST_BATCH,
            Section.DATA,
            Section.FIRST_STEP,
            Section.STEP,
            Section.GRADIENTS,
            Section.VALIDATION,
            Section.CHECKPOINT,
            Section.NONE,
            Section.OTHERS,
        )
    )
}
"""Of two ranks at the same step, who is in the earlier one is behind."""
FOR_CLIPS = (Section.FIRST_BATCH, Section.DATA)
"""Sections that wait for clips."""
WITH_OTHERS = (Section.FIRST_STEP, Section.GRADIENTS, Section.OTHERS)
"""Sections in which a rank may wait for another one, which is then to blame."""
ONCE = (Section.FIRST_BATCH, Section.FIRST_STEP)
"""Sections that tell of an attempt once, however many clips came in meanwhile."""
LOOPS = (Section.DATA, Section.STEP, Section.GRADIENTS, Section.VALIDATION, Section.OTHERS)
"""What others may be at while a rank waits for them."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """How long a section has taken, on any rank."""

    count: Count = 0
    """Occurrences."""
    longest_s: Measured = 0.0
    """Faded (FADE)."""

    def seen(self, longest_s: float, count: int = 1) -> "Learnt":
        """After `count` more, the longest of which took `longest_s`."""
        if not count:
            return self
        return Learnt(self.count + count, max(longest_s, self.longest_s))


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitRule:
    """What a person has set."""

    fixed_s: float = 0.0
    """--runtime.stop-after-s: without a clip for so long; other sections get twice that. 0: learnt."""
    floor_s: float = 60.0
    """--runtime.hang-floor-s: no learnt limit is shorter."""

    def limit_s(self, section: Section, learnt: Learnt | None) -> float:
        """A rank whose section has given no sign for so long hangs."""
        cold = (self.fixed_s or UNKNOWN_WAIT_S) * (1 if section in FOR_CLIPS else 2)
        if self.fixed_s or not learnt or not learnt.count:
            return cold
        careful = MANY * (1 + FEW / learnt.count) * learnt.longest_s
        return max(self.floor_s, min(cold, careful), SURELY * learnt.longest_s)

    def basis(self, learnt: Learnt | None) -> str:
        """Where the limit comes from, and how to set another one."""
        if self.fixed_s:
            return "--runtime.stop-after-s"
        if not learnt or not learnt.count:
            return "nothing is learnt yet; --runtime.stop-after-s sets another"
        longest = f"the longest of {learnt.count:,} was {duration(learnt.longest_s)}"
        return f"learnt: {longest}; --runtime.stop-after-s sets another"


@dataclass(frozen=True, kw_only=True, slots=True)
class HangRecord:
    """A line of RUN/hangs.jsonl: a hang that was called."""

    rank: Count
    node: str
    section: Section
    step: Count
    shard: str
    """What it was reading, or had read last; may be empty."""
    seconds: Measured
    limit_s: Measured
    at: float
    """UNIX seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """limits.json: what was learnt, and on what."""

    LARGEST_FILE: ClassVar[int] = LARGEST_RECORD

    on: str = ""
    """Ranks, batch and device: on others all takes another time, and is learnt anew."""
    sections: dict[Section, Learnt] = field(default_factory=dict)
    hangs: Count = 0
    """Lines of hangs.jsonl that have been counted."""

    def learn(self, seen: Mapping[Section, Learnt]) -> "Limits":
        """After what was seen lately."""
        sections = dict(self.sections)
        for section, one in seen.items():
            count = min(one.count, 1) if section in ONCE else one.count
            sections[section] = sections.get(section, Learnt()).seen(one.longest_s, count)
        return replace(self, sections=sections)

    def later(self) -> "Limits":
        """For the next attempt."""
        aged = {section: replace(one, longest_s=FADE * one.longest_s) for section, one in self.sections.items()}
        return replace(self, sections=aged)

    def after(self, hangs: Iterable[HangRecord]) -> "Limits":
        """The attempt after a hang is twice as patient there, should it have been none: a slow disk hangs nobody."""
        sections, lines = dict(self.sections), list(hangs)
        for hang in lines[self.hangs :]:
            if before := sections.get(hang.section):
                longest = max(before.longest_s, 2 * hang.seconds / MANY)
                sections[hang.section] = replace(before, longest_s=longest)
        return replace(self, sections=sections, hangs=len(lines))

    def limit_s(self, section: Section, rule: LimitRule) -> float:
        """Of the rank's own work."""
        return rule.limit_s(section, self.sections.get(section))

    def patience_s(self, section: Section, inside: Section, rule: LimitRule) -> float:
        """The same, where it may be another rank that is late with what is `inside`."""
        busy = {section, *(one for one in LOOPS if one in self.sections)} - {Section.NONE, Section.OTHERS}
        if inside is not Section.NONE:
            busy.add(inside)
        if Section.FIRST_STEP in busy:
            busy.add(Section.FIRST_BATCH)
        others = self.sections.get(Section.OTHERS)
        longest = max((self.limit_s(one, rule) for one in busy), default=2 * (rule.fixed_s or UNKNOWN_WAIT_S))
        if others:
            longest = max(longest, rule.limit_s(Section.OTHERS, others))
        return FOR_OTHERS * longest + min(MARGIN_S, longest)


def read_limits(paths: RunPaths, on: str) -> Limits:
    """What earlier attempts have learnt on the same; hangs that they ended with are taken into account."""
    try:
        limits = read_json(paths.limits, Limits)
    except AvsyncError:  # there is none, or one that cannot be understood
        limits = Limits(on=on)
    hangs = read_hangs(paths)
    if limits.on != on:
        return Limits(on=on, hangs=len(hangs))
    return limits.later().after(hangs)


def read_hangs(paths: RunPaths) -> list[HangRecord]:
    """In order; lines that cannot be understood are left out."""
    found = list[HangRecord]()
    try:
        lines = read_end(paths.hangs, LARGEST_RECORD).splitlines()
    except OSError:
        return found
    for line in lines:
        try:
            found.append(from_json(line, HangRecord, str(paths.hangs)))
        except AvsyncError:
            continue
    return found


def longest_limit_s(paths: RunPaths, rule: LimitRule) -> float:
    """Of any section, by what earlier attempts have learnt, on whatever."""
    limits = Limits()
    with suppress(AvsyncError):
        limits = read_json(paths.limits, Limits)
    return max(limits.limit_s(section, rule) for section in SECTIONS)


def learnt_on(ranks: int, batch: int, device: str) -> str:
    """What limits depend on."""
    return f"{counted(ranks, 'rank')}, {batch} clips a step, {device}"


def hang_text(hang: HangRecord, *, basis: str, how: str, shard: str) -> str:
    """The line that names a hang. launch/job/srun.py knows it by its beginning.

    how: what is known besides; shard: how the words about the shard begin.
    """
    step = f" of step {hang.step:,}" if hang.step else ""
    at = f"; {shard} {hang.shard}" if hang.shard else ""
    return (
        f"rank {hang.rank} on {hang.node} hangs in its {hang.section}{step}: {how} for {duration(hang.seconds)} "
        f"(limit {duration(hang.limit_s)}, {basis}){at}; the same command goes on from the last checkpoint"
    )

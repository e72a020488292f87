"""One file: packing's times beside the program's, frame by frame, and a reason for each difference."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.opinion import ours, program
from benchmarks.opinion.frames import SOUND_NS, Apart, Mask
from benchmarks.opinion.reasons import REASONS, Case, Reason
from benchmarks.opinion.truth import Truth, known, truth
from sharding.errors import RejectError
from sharding.media.probe import probe

UNEXPLAINED = "UNEXPLAINED"
NAMES = {"video": "pictures", "audio": "sound"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """Of one stream, its constant offset taken off."""

    frames: int
    """That both have."""
    equal: int
    """Within half a picture, or 2 ms."""
    largest_ms: float
    only_ours: int
    only_theirs: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """What packing and the program do not agree upon."""

    what: str
    """pictures, sound, or their relation."""
    frames: int
    first_s: float
    """On packing's timeline."""
    largest_ms: float
    """+: ours is later."""
    name: str
    """Of its reason, or UNEXPLAINED."""
    right: str = ""
    """Who is."""
    why: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """Of one file."""

    pictures: Agreement | None = None
    sound: Agreement | None = None
    relation_ms: tuple[float, ...] = ()
    """By how much packing shows pictures later against the sound than the program, in each stretch of the clock."""
    differences: tuple[Difference, ...] = ()
    truth: Truth | None = None
    rejected: str = ""
    """By packing; then nothing is compared."""

    @property
    def bad(self) -> bool:
        """Something is not explained, or packing is wrong where the truth is known."""
        wrong = self.truth is not None and "pack" not in self.truth.right
        return wrong or any(one.name == UNEXPLAINED for one in self.differences)


def compare(path: Path) -> Outcome:
    """Never raises for what is in a file."""
    try:
        return _compared(path)
    except RejectError as reject:
        return Outcome(rejected=str(reject))
    except program.Unread as error:
        difference = Difference(
            what="file", frames=0, first_s=0, largest_ms=0, name=UNEXPLAINED, why=f"ffprobe cannot read it: {error}"
        )
        return Outcome(differences=(difference,))


def _compared(path: Path) -> Outcome:
    source, listed = probe(path), known(path)
    marks = listed is not None
    frames = {"video": ours.pictures(source, marks=marks), "audio": ours.sounds(source, marks=marks)}
    case = Case(path=path, source=source, ours=frames, streams=program.streams(path))
    pictures, sounds = case.apart("video"), case.apart("audio")
    differences = [
        *_clock(pictures, source.restarts),
        *_relation(case, pictures, sounds),
        *_frames(case, pictures),
        *_frames(case, sounds),
    ]
    return Outcome(
        pictures=_agreement(pictures),
        sound=_agreement(sounds),
        relation_ms=tuple(one / 1e6 for one in relation(pictures, sounds).values()),
        differences=tuple(differences),
        truth=None if listed is None else truth(pictures, sounds, listed),
    )


def relation(pictures: Apart, sounds: Apart) -> dict[int, int]:
    """Stretch -> by how much ours shows pictures later against the sound than theirs, nanoseconds."""
    seen, heard = pictures.constants, sounds.constants
    return {one: seen[one] - heard[one] for one in seen if one in heard}


def _agreement(apart: Apart) -> Agreement:
    there, residual = apart.residual()
    return Agreement(
        frames=int(there.sum()),
        equal=int((np.abs(residual[there]) <= apart.ours.tolerance).sum()),
        largest_ms=float(np.abs(residual[there]).max(initial=0)) / 1e6,
        only_ours=int((~there).sum()),
        only_theirs=apart.only_theirs,
    )


def _clock(pictures: Apart, restarts: int) -> list[Difference]:
    """Stretches stand elsewhere; that picture and sound of each belong together is seen stretch by stretch."""
    if not restarts:
        return []
    constants = pictures.constants
    first = next((number for number in sorted(constants) if number), 0)
    return [
        Difference(
            what="time of stretches",
            frames=int((pictures.ours.stretch > 0).sum()),
            first_s=_s(int(pictures.ours.when[pictures.ours.stretch == first].min(initial=2**62))),
            largest_ms=(constants[first] - constants[min(constants)]) / 1e6,
            name="clock starts again",
            right="pack",
            why="ffprobe shows the file's clock, which goes back; ours lays one stretch after the other",
        )
    ]


def _relation(case: Case, pictures: Apart, sounds: Apart) -> list[Difference]:
    """One for each stretch in which pictures and sound stand elsewhere to each other."""
    found = list[Difference]()
    for stretch, apart in relation(pictures, sounds).items():
        if abs(apart) <= SOUND_NS:
            continue
        reason = next((one for one in _holding(case) if _mends(case, one, stretch)), None)
        here = pictures.ours.stretch == stretch
        first = _s(int(pictures.ours.when[here].min()))
        found.append(_difference("relation", int(here.sum()), first, apart, reason))
    return found


def _mends(case: Case, reason: Reason, stretch: int) -> bool:
    """With its reading, picture and sound of a stretch stand to each other as ours do."""
    if reason.frames is not None:
        return False
    readings = [reason.reading(case, kind) for kind in ("video", "audio")]
    if not any(readings):
        return False
    pictures, sounds = (case.apart(kind, one) for kind, one in zip(("video", "audio"), readings, strict=True))
    return abs(relation(pictures, sounds).get(stretch, SOUND_NS + 1)) <= SOUND_NS


def _frames(case: Case, apart: Apart) -> list[Difference]:
    """Of one stream, by reason."""
    kind, tolerance = apart.ours.kind, apart.ours.tolerance
    there, residual = apart.residual()
    left, alien, found = ~there | (np.abs(residual) > tolerance), apart.only_theirs, list[Difference]()

    def note(mask: Mask, number: int, reason: Reason | None) -> None:
        first = int(apart.ours.when[mask].min()) if mask.any() else 0
        largest = int(residual[mask][np.abs(residual[mask]).argmax()]) if mask.any() else 0
        found.append(_difference(NAMES[kind], int(mask.sum()) + number, _s(first), largest, reason))

    for reason in _holding(case):
        if not left.any() and not alien:
            break
        reading = reason.reading(case, kind)
        if reading is None:
            continue
        read = case.apart(kind, reading)
        has, apart_then = read.residual()
        explained = left & has & (np.abs(apart_then) <= tolerance) & (np.abs(residual) <= reason.most)
        explained &= np.ones_like(left) if reason.frames is None else reason.frames(apart.ours)
        number = 0 if read.only_theirs else alien
        if explained.any() or number:
            note(explained, number, reason)
            left, alien = left & ~explained, alien - number
    if left.any() or alien:
        note(left, alien, None)
    return found


def _holding(case: Case) -> list[Reason]:
    return [one for one in REASONS if one.holds(case)]


def _difference(what: str, frames: int, first_s: float, largest: int, reason: Reason | None) -> Difference:
    name, right, why = (reason.name, reason.right, reason.why) if reason else (UNEXPLAINED, "", "")
    return Difference(
        what=what, frames=frames, first_s=first_s, largest_ms=largest / 1e6, name=name, right=right, why=why
    )


def _s(ns: int) -> float:
    return ns / 1e9

"""The verdict on a validation: what the checkpoint is worth, and whether the alarm stands; and on an evaluation.

Pure; the same on every rank.

The alarm's state is what the last checkpoint holds and what this validation found, nothing else: a run that was
killed and goes on raises and ends it at the same steps.
"""

from dataclasses import dataclass, replace

from avsync.honesty.examination import CHANCE, UNASKED, Examination
from avsync.honesty.maps import MapScores
from avsync.metrics import Z95, Calibration, Proportion
from avsync.run.alarm import Alarm, Stream
from avsync.run.state import Best, State
from sharding.base.files import LARGEST_MEASURED
from sharding.base.text import percent

RAISED_Z = 4.0
"""A long training looks at two streams at some 500 validations: 1000 looks. One-sided, 4 standard deviations are
passed once in 31,600 looks, so that at most 3 % of all honest runs ever see an alarm. It costs little: who is right
in all is caught with 17 sources (n / (n + z^2) > 1/2), who is right in 80 % with 60, in 60 % with some 400."""
FEWEST_SOURCES = 17
"""With fewer no accuracy can pass RAISED_Z: a validation cannot raise the alarm."""
ENDED_Z = Z95
"""It ends only when the doubt is an ordinary one, so that it does not come and go."""
WORSE = 0.1
"""So much more accuracy by one stream is news."""


def alarm_of(step: int, got: Examination, before: Alarm | None) -> Alarm | None:
    """The alarm after the validation of `step`; None: none stands."""
    z = ENDED_Z if before else RAISED_Z
    by_one: dict[Stream, Proportion] = {"sound": got.with_another_picture(z), "picture": got.with_muted_sound(z)}
    sure = [item for item in by_one.items() if item[1].low > CHANCE]
    if not sure:
        return None
    stream, found = max(sure, key=lambda item: item[1].value)
    again = before is not None and before.stream == stream and found.value < before.told + WORSE
    return Alarm(
        since=before.since if before else step,
        step=step,
        stream=stream,
        accuracy=found.value,
        low=found.low,
        told=before.told if before and again else found.value,
    )


def score_of(step: int, got: Examination, alarm: Alarm | None) -> Best:
    """What the checkpoint of `step` is worth."""
    found = Calibration.of(got.got.logit, got.got.in_sync)
    if found and max(abs(found.threshold), found.scale) > LARGEST_MEASURED:
        found = None
    loss = min(got.got.loss, LARGEST_MEASURED)  # of a run that diverges; the file holds no larger one
    return Best(
        step,
        got.accuracy,
        loss,
        got.audited,
        alarm is not None,
        threshold=found and found.threshold,
        scale=found and found.scale,
    )


def after(state: State, score: Best, alarm: Alarm | None, *, better: bool) -> State:
    """The state after a validation; `better`: its score is the best so far."""
    best = score if better else state.best
    honest = best.step if best and not best.cheats else 0
    return replace(state, best=best, alarm=alarm and replace(alarm, honest=honest))


@dataclass(frozen=True, kw_only=True, slots=True)
class Honesty:
    """Does a network cheat, asked on one split: for summary.json and the terminal."""

    other_picture: Proportion
    """Accuracy with the picture of another clip: by the sound alone. An honest network is at 1/2."""
    muted: Proportion
    """Accuracy with silence: by the picture alone. An honest network is at 1/2."""
    audited: float | None
    """The accuracy, less what the better one of these is worth; None: there was no picture of another source."""
    cheats: Stream | None
    """This stream alone tells it the label, beyond doubt (avsync.honesty.judge)."""
    listened: float | None
    """Mean over the clips' maps; None: no sound was in sync."""
    spatial: float | None

    @classmethod
    def of(cls, got: Examination, step: int) -> "Honesty":
        """step: of the checkpoint."""
        alarm = alarm_of(step, got, None)
        listened, spatial = got.maps.mean() if got.maps else (None, None)
        return cls(
            other_picture=got.with_another_picture(),
            muted=got.with_muted_sound(),
            audited=got.audited,
            cheats=alarm and alarm.stream,
            listened=listened,
            spatial=spatial,
        )

    @property
    def text(self) -> str:
        """One line."""
        by_one = (("with another clip's picture", self.other_picture), ("with muted sound", self.muted))
        asked = [f"{words} {found}" for words, found in by_one if found.count]
        worth = UNASKED if self.audited is None else f"audited accuracy {percent(self.audited)}"
        text = f"does it cheat: {', '.join(asked)}; honest is 50 %; {worth}"
        if self.listened is None or self.spatial is None:
            return text
        return f"{text}; maps {MapScores(self.listened, self.spatial)}"

    @property
    def warning(self) -> str:
        """Empty for an honest network."""
        if not self.cheats:
            return ""
        return (
            f"CHEATING: the {self.cheats} alone tells this network the label, so its accuracy and its maps mean "
            "nothing; let avsync audit DATASET find the leak"
        )

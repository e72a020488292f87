"""The alarm: one stream alone tells the network the label. Part of state.json and of progress.json; no torch here."""

from dataclasses import dataclass
from typing import Literal

from sharding.base.files import Count, Measured
from sharding.base.text import percent

Stream = Literal["sound", "picture"]

TESTS: dict[Stream, str] = {"sound": "with another clip's picture", "picture": "with its sound muted"}
"""The stream that gives the label away, and how that was found out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Alarm:
    """It stands as long as every validation confirms it."""

    since: Count
    """Step of the validation that raised it."""
    step: Count
    """... and of the last one that confirmed it."""
    stream: Stream
    """This stream is enough for the network."""
    accuracy: Measured
    """By this stream alone; 0.5 is honest."""
    low: Measured
    """Lower end of its interval."""
    told: Measured
    """The accuracy when the log last had a line about it."""
    honest: Count = 0
    """Step of the best checkpoint, if no alarm stood when it was made; 0: there is none."""

    def is_news(self, before: "Alarm | None") -> bool:
        """Whether the log should have a line, when `before` stood until now."""
        return before is None or self.told != before.told

    @property
    def warning(self) -> str:
        """For who uses a checkpoint that was made under it."""
        other = f"step {self.honest:,} is honest" if self.honest else "no honest one is kept"
        return (
            f"this checkpoint CHEATS: the {self.stream} alone tells it the label in {percent(self.accuracy)} "
            f"(honest: 50 %), so its scores and maps mean nothing; {other}"
        )

    @property
    def text(self) -> str:
        """One line for a person: what it means, since when, what is still good, and what to do."""
        kept = f"step {self.honest:,} is honest and kept as best" if self.honest else "no honest checkpoint is kept"
        return (
            f"CHEATING since step {self.since:,}: the {self.stream} alone tells the network the label. "
            f"{TESTS[self.stream].capitalize()} it is still right in {percent(self.accuracy)} (honest: 50 %; "
            f"surely more than {percent(self.low)}), step {self.step:,}. {kept.capitalize()}. "
            "Its maps mean nothing now: stop it, and let avsync audit DATASET find the leak"
        )

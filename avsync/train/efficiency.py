"""Sites end jobs whose GPUs do too little: measures as they do, and says so before they act, with what to change.

Pure: fractions of time go in, words come out. What a GPU does is read elsewhere (avsync/train/gpu.py).
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from sharding.base.text import duration, percent

MARGIN = 0.05
"""So near to the floor a warning is due, too: sites do not measure as we do."""
AT_LEAST_S = 180.0
"""Fewer seconds say nothing: a start has much to read and to compile. Less where the site's own time is short."""
PIECES = 240
"""The site's time is remembered in so many."""
STARVED = 0.15
"""Fraction of time spent waiting for data from which on data is what must change."""


@dataclass(frozen=True, slots=True)
class Floor:
    """What a site wants."""

    share: float
    """Of time in which a GPU must be busy, 0 to 1; 0: nobody looks."""
    window_s: float
    """Seconds over which it averages."""


@dataclass(frozen=True, slots=True)
class BusySpan:
    """What was measured over some time."""

    seconds: float
    busy: float
    """Share of that time, 0 to 1."""
    data_wait: float
    """The same."""


@dataclass(frozen=True, slots=True)
class BusyVerdict:
    """How the run stands against the site's floor."""

    recent: BusySpan
    """The last half of the site's time, or what there is of it."""
    acts_in_s: float | None
    """Seconds until the site's own mean is below its floor, if all stays as it is; None: it will not be."""


class Guard:
    """Remembers what was measured for as long as the site does."""

    def __init__(self, floor: Floor, *, measured: str) -> None:
        """measured: in words, what was so for a fraction of the time."""
        self._floor, self._measured = floor, measured
        self._spans = deque[BusySpan]()
        self._elapsed = 0.0
        self._warned_at: float | None = None

    def add(self, span: BusySpan) -> BusyVerdict | None:
        """One more; None while it is too early to judge, and where nobody looks."""
        floor, spans = self._floor, self._spans
        if not floor.share or span.seconds <= 0:
            return None
        self._elapsed += span.seconds
        if spans and spans[-1].seconds < floor.window_s / PIECES:
            span = _joined((spans.pop(), span))
        spans.append(span)
        while _seconds(spans) - spans[0].seconds >= floor.window_s:
            spans.popleft()
        return self._verdict() if self._elapsed >= min(AT_LEAST_S, floor.window_s / 4) else None

    def advice(self, verdict: BusyVerdict) -> str:
        """Empty when all is well."""
        if verdict.recent.busy >= self._floor.share + MARGIN:
            return ""
        return (
            f"{self._measured} {percent(verdict.recent.busy, digits=0)} of the last "
            f"{duration(verdict.recent.seconds)}; this site wants {percent(self._floor.share, digits=0)} over "
            f"{duration(self._floor.window_s)} {_when(verdict)}. {remedy(verdict.recent.data_wait)}"
        )

    def is_time_to_say(self, advice: str) -> bool:
        """When it begins, and then four times in the site's own time."""
        if not advice:
            self._warned_at = None
        elif self._warned_at is None or self._elapsed - self._warned_at >= self._floor.window_s / 4:
            self._warned_at = self._elapsed
            return True
        return False

    def _verdict(self) -> BusyVerdict:
        recent = list[BusySpan]()
        for span in reversed(self._spans):
            recent.append(span)
            if _seconds(recent) >= self._floor.window_s / 2:
                break
        joined = _joined(recent)
        return BusyVerdict(joined, self._acts_in(joined.busy))

    def _acts_in(self, busy: float) -> float | None:
        """When the site's mean will be below its floor, if from now on all is like `busy`.

        It judges by a whole time of its own: what is missing of the first one is yet to come. Then the oldest spans
        leave its view, one after the other, and others like `busy` come.
        """
        seconds = _seconds(self._spans)
        after = max(0.0, self._floor.window_s - seconds)
        work = sum(span.busy * span.seconds for span in self._spans) + busy * after
        wanted = self._floor.share * (seconds + after)
        for span in self._spans:
            if work < wanted:
                break
            work += (busy - span.busy) * span.seconds
            after += span.seconds
        return after if work < wanted else None


def _seconds(spans: Iterable[BusySpan]) -> float:
    return sum(span.seconds for span in spans)


def _joined(spans: Iterable[BusySpan]) -> BusySpan:
    spans = list(spans)
    seconds = _seconds(spans)
    busy, data_wait = (sum(getattr(span, name) * span.seconds for span in spans) for name in ("busy", "data_wait"))
    return BusySpan(seconds, busy / seconds, data_wait / seconds)


def _when(verdict: BusyVerdict) -> str:
    if verdict.acts_in_s is None:
        return "and may end the job if it becomes less"
    if not verdict.acts_in_s:
        return "and may end the job now"
    return f"and may end the job in about {duration(verdict.acts_in_s)}"


def remedy(data_wait: float) -> str:
    """What to change, from what fraction of its time a step waits for data."""
    waiting = percent(data_wait, digits=0)
    if data_wait >= STARVED:
        return (
            f"Steps wait for data {waiting} of the time: ask for more CPUs per GPU (--runtime.workers follows), "
            "copy shards to a local disk (--runtime.scratch), or pack as h264-fast or raw, which load quicker"
        )
    return (
        f"Data is not the reason (steps wait for it {waiting} of the time): give the GPU more to do at a time: "
        "a bigger --batch, --runtime.accumulate 1, --precision bf16, --compile"
    )

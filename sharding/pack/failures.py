"""Many sources in a row that cannot be read: a disk went away. Stop, before more of them are taken for bad videos."""

from collections import Counter
from pathlib import Path

from sharding.base.text import first_few
from sharding.errors import FAILURES, InputError, RejectError, RejectReason


class TooManyFailures(InputError):
    """The work was stopped. What `records` keep is to be forgotten, once nobody writes any more."""

    def __init__(self, message: str, records: tuple[Path, ...]) -> None:
        super().__init__(message)
        self.records = records


class FailureRun:
    """Counts failures in a row; `most` of them stop the work, 0 never do."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._run: list[tuple[RejectReason, tuple[Path, ...]]] = []

    def passed(self) -> None:
        """A source could be read."""
        self._run.clear()

    def failed(self, reject: RejectError, records: tuple[Path, ...], *, existed: bool) -> None:
        """A source was rejected, as the files `records` say. Raises TooManyFailures when it was one too many.

        What was missing when the work was planned is no sign of anything.
        """
        if reject.reason not in FAILURES:
            self.passed()
        elif existed:
            self._run.append((reject.reason, records))
        if not self._most or len(self._run) < self._most:
            return
        counts = Counter(str(reason) for reason, _ in self._run).most_common()
        which = first_few([f"{count} {reason}" for reason, count in counts])
        raise TooManyFailures(
            f"{len(self._run)} sources in a row could not be read ({which}; the last one: {reject.detail}): look "
            "whether their disk is still there, then run the same command again; --stop-after 0 goes on whatever comes",
            tuple(path for _, records in self._run for path in records),
        )

"""Sources that are not in a dataset, and why: rejects.csv."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sharding.base.files import publish
from sharding.errors import FormatError

REJECTS = "rejects.csv"
HEADER = ["path", "reason", "detail"]


@dataclass(frozen=True, order=True, slots=True)
class Reject:
    """A source that is not in the dataset."""

    path: str
    """As given."""
    reason: str
    """A RejectReason."""
    detail: str
    """A sentence."""


def write_rejects(dataset: Path, rejects: Sequence[Reject]) -> None:
    """rejects.csv: path, reason, detail."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(HEADER)
    table.writerows((reject.path, reject.reason, reject.detail) for reject in rejects)
    with publish(dataset / REJECTS) as file:
        file.write(text.getvalue().encode())


def parse_rejects(data: bytes) -> tuple[Reject, ...]:
    """What `write_rejects` wrote. Raises FormatError for anything else."""
    try:
        head, *rows = csv.reader(io.StringIO(data.decode(), newline=""))
    except (ValueError, csv.Error) as error:
        raise FormatError(f"{REJECTS} is no CSV in UTF-8 with a header: {error}") from error
    if head != HEADER or any(len(row) != len(HEADER) for row in rows):
        raise FormatError(f"{REJECTS} does not have the columns {','.join(HEADER)}")
    return tuple(Reject(*row) for row in rows)


def reasons(rejects: Sequence[Reject]) -> str:
    """`3 no_audio, 1 corrupt`, the most frequent first."""
    counts = Counter(reject.reason for reject in rejects).most_common()
    return ", ".join(f"{count} {reason}" for reason, count in counts)

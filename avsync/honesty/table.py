"""RUN/maps.csv: the last validation's maps, clip by clip."""

import csv
import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from avsync.honesty.examination import Examination
from sharding.base.files import publish

COLUMNS = ("clip", "listened", "spatial", "logit")


def write_maps(path: Path, got: Examination, key_of: Callable[[int], str]) -> None:
    """Deafest first. A disk that takes no more does not end the training."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(COLUMNS)
    for clip, *scores in sorted(zip(*got.maps, strict=True), key=lambda row: row[1]) if got.maps else ():
        lines.writerow((key_of(int(clip)), *(f"{score:.4f}" for score in scores)))
    with suppress(OSError), publish(path, lasting=False) as file:
        file.write(text.getvalue().encode(errors="surrogateescape"))

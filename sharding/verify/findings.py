"""What is wrong with a dataset: one finding for each thing, told with its file, its clip, what was wanted and found."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sharding.words import counted, plain

MOST_CLIPS = 20
"""Findings about clips that one file gets: where more are wrong, it is the file that is."""


class Kind(StrEnum):
    """One machine-readable word for each kind of finding."""

    MISSING = "missing"
    UNREADABLE = "unreadable"
    DAMAGED = "damaged"
    DISAGREES = "disagrees"
    FOREIGN = "foreign"


MEANS = {
    Kind.MISSING: "belongs to the dataset, and is not there",
    Kind.UNREADABLE: "is there, and cannot be read",
    Kind.DAMAGED: "is not what was packed",
    Kind.DISAGREES: "says something else than another file",
    Kind.FOREIGN: "belongs to nothing here",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that is wrong."""

    kind: Kind
    file: str
    """Relative to the dataset."""
    wanted: str
    found: str
    clip: str = ""
    """Its key, where one is concerned."""

    def __str__(self) -> str:
        where = f"{self.file}, clip {self.clip}" if self.clip else self.file
        return plain(f"{self.kind}: {where}: wanted {self.wanted}, found {self.found}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """The outcome of a whole check."""

    shards: int
    """Tars that were read."""
    clips: int
    bytes: int
    """Of those tars."""
    findings: tuple[Finding, ...]

    def __str__(self) -> str:
        return f"{counted(self.shards, 'shard')}, {counted(self.clips, 'clip')}, {counted(self.bytes, 'byte')}"


def shortened(findings: Sequence[Finding]) -> list[Finding]:
    """Findings of one file, no more than MOST_CLIPS of them about clips; the last of these tells how many more."""
    clips = [one for one in findings if one.clip]
    if len(clips) <= MOST_CLIPS:
        return list(findings)
    more = len(clips) - MOST_CLIPS
    rest = Finding(kind=clips[-1].kind, file=clips[-1].file, wanted="no more", found=f"{counted(more, 'clip')} more")
    return [*(one for one in findings if not one.clip), *clips[:MOST_CLIPS], rest]


def print_findings(findings: Sequence[Finding], console: Console) -> None:
    """A line for each, and how many there are of each kind."""
    for finding in findings:
        console.print(Text(str(finding)), soft_wrap=True)
    table = Table()
    table.add_column("what")
    table.add_column("findings", justify="right")
    table.add_column("files", justify="right")
    table.add_column("meaning")
    for kind, count in Counter(finding.kind for finding in findings).most_common():
        files = len({finding.file for finding in findings if finding.kind == kind})
        table.add_row(str(kind), f"{count:,}", f"{files:,}", MEANS[kind])
    console.print(table)


def kinds(findings: Sequence[Finding]) -> str:
    """`3 damaged, 1 missing`, the most frequent first."""
    return ", ".join(f"{count:,} {kind}" for kind, count in Counter(one.kind for one in findings).most_common())

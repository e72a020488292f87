"""What is wrong with a dataset: one finding for each thing, with its file, its clip, what was wanted and found."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sharding.base.text import counted, plain
from sharding.format.form import short_text
from sharding.format.records import ClockSums

LONGEST_TEXT = 400
"""Characters of what was wanted, and of what was found: anyone may have written it."""
MOST_CLIPS = 3
"""Clips of one file that are named, of each kind: where more are wrong, it is the file that is."""


class FindingKind(StrEnum):
    """One machine-readable word for each kind of finding."""

    MISSING = "missing"
    UNREADABLE = "unreadable"
    DAMAGED = "damaged"
    DISAGREES = "disagrees"
    FOREIGN = "foreign"


MEANS = {
    FindingKind.MISSING: "belongs to the dataset, and is not there",
    FindingKind.UNREADABLE: "is there, and cannot be read",
    FindingKind.DAMAGED: "is not what was packed",
    FindingKind.DISAGREES: "says something else than another file",
    FindingKind.FOREIGN: "belongs to nothing here",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that is wrong."""

    kind: FindingKind
    file: str
    """Relative to the dataset."""
    wanted: str
    """Empty where nothing is compared."""
    found: str
    clip: str = ""
    """Its key, where one is concerned."""

    def __str__(self) -> str:
        where = f"{self.file}, clip {self.clip}" if self.clip else self.file
        wanted, found = (short_text(text, LONGEST_TEXT) for text in (self.wanted, self.found))
        return f"{plain(f'{self.kind}: {where}')}: {f'wanted {wanted}, found {found}' if wanted else found}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """The outcome of a whole check."""

    shards: int
    """Tars that were read."""
    clips: int
    bytes: int
    """Of those tars."""
    findings: tuple[Finding, ...]
    clocks: ClockSums = field(default_factory=ClockSums)
    """What packing mended of the sources' clocks: no damage, but worth a look."""
    droppings: tuple[str, ...] = ()
    """What desktops and file servers left among its files."""

    def __str__(self) -> str:
        return f"{counted(self.shards, 'shard')}, {counted(self.clips, 'clip')}, {counted(self.bytes, 'byte')}"


def shortened(findings: Sequence[Finding]) -> list[Finding]:
    """Those about files first; then of each kind in each file MOST_CLIPS about clips, and how many more there are."""
    short, clips = [one for one in findings if not one.clip], [one for one in findings if one.clip]
    for kind, file in dict.fromkeys((one.kind, one.file) for one in clips):
        mine = [one for one in clips if (one.kind, one.file) == (kind, file)]
        short += mine[:MOST_CLIPS]
        if (more := len(mine) - MOST_CLIPS) > 0:
            short.append(Finding(kind=kind, file=file, wanted="", found=f"and {counted(more, 'clip')} more"))
    return short


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


def remedy(findings: Sequence[Finding]) -> str:
    """What to do about them."""
    found = {one.kind for one in findings}
    if found == {FindingKind.FOREIGN}:
        return "move away or delete each file named above; all else is as packed"
    wrong = " or ".join(
        kind for kind in (FindingKind.UNREADABLE, FindingKind.DAMAGED, FindingKind.DISAGREES) if kind in found
    )
    steps = [f"delete each file marked {wrong} above, then "] if wrong else []
    steps += ["run the same avsync pack again: it makes what is missing and keeps the rest"]
    steps += ["; move away or delete what is foreign"] if FindingKind.FOREIGN in found else []
    return "".join(steps)


def kinds(findings: Sequence[Finding]) -> str:
    """`3 damaged, 1 missing`, the most frequent first."""
    return ", ".join(f"{count:,} {kind}" for kind, count in Counter(one.kind for one in findings).most_common())

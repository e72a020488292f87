"""What the runs of a loading benchmark come to: medians, ratios of the same round, what was wanted and what was got."""

import math
import os
import platform
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.load_catalog import ENTRIES, FIRST_S, PEAK_MB, TARGET_WORKERS, TARGETS, Target
from benchmarks.load_child import Seen
from benchmarks.load_job import Job, shape_of
from benchmarks.peers_install import Place, versions

PACKAGES = (
    "torch", "numpy", "av", "webdataset", "mosaicml-streaming", "litdata", "megatron-energon", "torchdata"
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A way, and under what circumstances."""

    way: str
    workers: int
    cold: bool = False

    def __str__(self) -> str:
        return f"{self.way}, {circumstances(self.workers, self.cold)}"


def circumstances(workers: int, cold: bool) -> str:
    """For headings."""
    return f"{workers} worker{'s' if workers > 1 else ''}, {'cold' if cold else 'warm'}"


@dataclass(slots=True)
class Results:
    """What was seen, case by case and round by round."""

    rounds: dict[Case, list[Seen | None]] = field(default_factory=dict)

    def add(self, case: Case, seen: Seen | None) -> None:
        """The next round's; None when the run failed."""
        self.rounds.setdefault(case, []).append(seen)

    def median(self, case: Case, what: Callable[[Seen], float]) -> float | None:
        """Of the rounds that went well; None when there were none."""
        seen = [what(one) for one in self.rounds.get(case, []) if one]
        return statistics.median(seen) if seen else None

    def ratios(self, above: Case, below: Case) -> list[float]:
        """Of clips a second, for each round in which both went well: what slows the machine slows both."""
        pairs = zip(self.rounds.get(above, []), self.rounds.get(below, []), strict=False)
        return [one.clips_s / other.clips_s for one, other in pairs if one and other]


@dataclass(frozen=True, slots=True)
class Text:
    """A table for the terminal and for a page."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]

    def rich(self) -> Table:
        table = Table(title=self.title, title_justify="left")
        for number, column in enumerate(self.columns):
            table.add_column(column, justify="right" if number else "left", no_wrap=not number)
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        lines = [
            f"### {self.title}",
            "",
            _line(self.columns),
            _line("---:" if n else "---" for n in range(len(self.columns))),
        ]
        return "\n".join([*lines, *map(_line, self.rows)])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def wide_console() -> Console:
    """For tables; where nobody looks at a window, a line is as long as they need."""
    console = Console()
    return console if console.is_terminal else Console(width=160)


def tables(results: Results, jobs: dict[str, Job]) -> list[Text]:
    """One for each circumstance, then what was wanted."""
    every = dict.fromkeys((case.workers, case.cold) for case in results.rounds)
    return [*(figures(results, workers, cold) for workers, cold in every), wanted(results, jobs)]


def figures(results: Results, workers: int, cold: bool) -> Text:
    """Medians of every way, and how much faster ours with the same stored form is."""
    rows = []
    for case in (case for case in results.rounds if (case.workers, case.cold) == (workers, cold)):
        clips = results.median(case, lambda seen: seen.clips_s)
        if clips is None:
            rows.append((case.way, "failed", *[""] * 5))
            continue
        ours = Case(way=f"avsync {ENTRIES[case.way].stored}", workers=workers, cold=cold)
        ratios = [] if case == ours else results.ratios(ours, case)
        limit = ENTRIES[case.way].form is None
        numbers = [results.median(case, what) or 0 for what in (_mb_s, _cpu_ms, _first_s, _peak_mb)]
        rows.append(
            (
                case.way,
                f"{clips:.1f}",
                f"{numbers[0]:,.0f}",
                f"{numbers[1]:.1f}",
                "" if limit else f"{numbers[2]:.2f}",
                "" if limit else f"{numbers[3]:,.0f}",
                f"{statistics.median(ratios):.2f}" if ratios else "",
            )
        )
    columns = ("way", "clips/s", "MB/s", "CPU ms a clip", "first batch s", "peak MB", "avsync / it")
    return Text(circumstances(workers, cold), columns, rows)


def _mb_s(seen: Seen) -> float:
    return seen.mb_s


def _cpu_ms(seen: Seen) -> float:
    return seen.cpu_ms


def _first_s(seen: Seen) -> float:
    return seen.first_s


def _peak_mb(seen: Seen) -> float:
    return seen.peak_mb


def wanted(results: Results, jobs: dict[str, Job]) -> Text:
    """Every target that this call has figures for."""
    rows = [row for target in TARGETS if (row := _ratio_row(results, target))]
    for way in ("avsync raw", "avsync h264"):
        case = Case(way=way, workers=TARGET_WORKERS)
        for what, take, most, digits in (("first batch s", _first_s, FIRST_S, 2), ("peak MB", _peak_mb, PEAK_MB, 0)):
            got = results.median(case, take)
            if got is not None:
                rows.append((f"{way}: {what}", f"<= {most}", f"{got:.{digits}f}", "", "", _yes(got <= most)))
    rows += _disk_rows(jobs)
    return Text("wanted and got", ("what", "wanted", "median", "lowest", "highest", "reached"), rows)


def _ratio_row(results: Results, target: Target) -> tuple[str, ...] | None:
    ends = (Case(way=way, workers=TARGET_WORKERS, cold=target.cold) for way in (target.above, target.below))
    ratios = results.ratios(*ends)
    if not ratios:
        return None
    middle = statistics.median(ratios)
    name = f"{target.above} / {target.below}{', cold' if target.cold else ''}"
    spread = (f"{figure:.2f}" for figure in (middle, min(ratios), max(ratios)))
    return (name, f">= {target.least}", *spread, _yes(middle >= target.least))


def _disk_rows(jobs: dict[str, Job]) -> list[tuple[str, ...]]:
    """Bytes of a clip's pictures in the tensors of a .pth, divided by ours; and of the whole clip."""
    if "pth float32" not in jobs:
        return []
    pth = ENTRIES["pth float32"].files(jobs["pth float32"])
    whole = sum(path.stat().st_size for path in pth) / len(pth)
    shape = shape_of(jobs["pth float32"], "float")
    pictures = math.prod(shape.video) * shape.pictures.itemsize
    rows = []
    for way, least in (("avsync raw", 8), ("avsync h264", 450)):
        if way not in jobs:
            continue
        index, clips = jobs[way].open().index, jobs[way].clips
        ratio = pictures / index.video_bytes[clips].mean()
        name, reached = f"bytes of pictures: pth float32 / {way}", round(ratio, 1) >= least  # npy has a header
        rows.append((name, f">= {least}", f"{ratio:.1f}", "", "", _yes(reached)))
        ratio = whole * len(clips) / sum(tar.stat().st_size for tar in jobs[way].tars())
        rows.append((f"bytes with sound: pth float32 / {way}", "", f"{ratio:.1f}", "", "", ""))
    return rows


def _yes(reached: bool) -> str:
    return "yes" if reached else "no"


def machine(found: dict[str, Place], what: str) -> str:
    """Machine and versions, in a line or two; the project's own, where a peer has another."""
    seen = dict[str, str]()
    for python in dict.fromkeys((sys.executable, *(place.python for place in found.values()))):
        for name, version in versions(python, PACKAGES).items():
            seen.setdefault(name, version)
    packages = ", ".join(f"{name} {seen[name]}" for name in PACKAGES if name in seen)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{what}. {_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}; {packages}"
    )


def _processor() -> str:
    names: Sequence[str] = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return names[0] if names else platform.machine()

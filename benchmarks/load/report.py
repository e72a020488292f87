"""What the runs of a loading benchmark come to: medians, ratios of the same round, what was wanted and what was got."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter

from benchmarks.base.runner import Rounds
from benchmarks.base.table import WANTED, Column, Table, of_rounds, ratio_to, statistic, yes
from benchmarks.load.catalog import ENTRIES, FIRST_S, PEAK_MB, TARGET_WORKERS, TARGETS
from benchmarks.load.job import Job, shape_of
from benchmarks.load.run import Loaded


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A way, and under what circumstances."""

    way: str
    workers: int
    cold: bool = False

    def __str__(self) -> str:
        return f"{self.way}, {circumstances(self.workers, self.cold)}"

    @property
    def ours(self) -> "Case":
        """Our way with the same stored form."""
        return Case(way=f"avsync {ENTRIES[self.way].stored}", workers=self.workers, cold=self.cold)

    @property
    def copy(self) -> "Case":
        """Copying batches of planes from memory to memory."""
        return Case(way="limit: copy", workers=self.workers)


Results = Rounds[Case, Loaded]


def circumstances(workers: int, cold: bool) -> str:
    """For headings."""
    return f"{workers} worker{'s' if workers > 1 else ''}, {'cold' if cold else 'warm'}"


def if_handed_over(column: Column) -> Column:
    """Limits hand nothing over: they have no first batch."""
    return lambda rounds, case: column(rounds, case) if ENTRIES[case.way].form else ""


COLUMNS: Mapping[str, Column] = {
    "clips/s": statistic("clips_s", ".1f"),
    "MB/s": statistic("mb_s", ",.0f"),
    "CPU ms a clip": statistic("cpu_ms", ".1f"),
    "first batch s": if_handed_over(statistic("first_s", ".2f")),
    "peak MB": if_handed_over(statistic("peak_mb", ",.0f")),
    "read": statistic("read", ".2f"),
    "fresh": statistic("fresh", ".2f"),
    "CPU / copy": ratio_to(attrgetter("copy"), "cpu_mb", ".1f"),
    "avsync / it": ratio_to(attrgetter("ours"), "clips_s", over=True),
}


def tables(results: Results, jobs: Mapping[str, Job]) -> list[Table]:
    """One for each circumstance, then what was wanted."""
    found = []
    for workers, cold in dict.fromkeys((case.workers, case.cold) for case in results):
        chosen = [case for case in results if (case.workers, case.cold) == (workers, cold)]
        found.append(of_rounds(circumstances(workers, cold), results, COLUMNS, chosen, attrgetter("way")))
    return [*found, wanted(results, jobs)]


def wanted(results: Results, jobs: Mapping[str, Job]) -> Table:
    """Every target that this call has figures for."""
    table = Table("wanted and got", ("what", *WANTED))
    for target in TARGETS:
        cold = target.under == "cold"
        above, below = (Case(way=way, workers=TARGET_WORKERS, cold=cold) for way in (target.above, target.below))
        if ratios := results.ratios(above, below, attrgetter("clips_s")):
            table.rows.append(target.row(ratios))
    for way in ("avsync raw", "avsync h264"):
        case = Case(way=way, workers=TARGET_WORKERS)
        for what, name, most, digits in (("first batch s", "first_s", FIRST_S, 2), ("peak MB", "peak_mb", PEAK_MB, 0)):
            got = results.median(case, attrgetter(name))
            if got is not None:
                table.add(f"{way}: {what}", f"<= {most}", f"{got:.{digits}f}", "", "", yes(got <= most))
    table.rows += disk_rows(jobs)
    return table


def disk_rows(jobs: Mapping[str, Job]) -> list[tuple[str, ...]]:
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
        rows.append((name, f">= {least}", f"{ratio:.1f}", "", "", yes(reached)))
        ratio = whole * len(clips) / sum(tar.stat().st_size for tar in jobs[way].tars())
        rows.append((f"bytes with sound: pth float32 / {way}", "", f"{ratio:.1f}", "", "", ""))
    return rows

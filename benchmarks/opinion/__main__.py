"""Do the times that packing uses agree with those of ffprobe, picture by picture and frame of sound by frame of sound?

    python -m benchmarks.opinion VIDEOS --json opinion.json      # as long as decoding everything twice, on one core

Needs the program ffprobe on the path, as ffmpeg installs it. Each stream is compared without its constant offset, and
then where pictures stand to the sound. A difference counts as explained only where another way of asking ffprobe, or
of reading what it shows, agrees with packing. Ends by 1 when one is not explained, or when packing is wrong in a file
whose truth is known: those with a faults.csv beside them show a flash and begin a beep at one instant.
"""

import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import av
from rich.progress import track

from benchmarks.base.runner import Child, Failed
from benchmarks.base.table import Table, command, report, wide_console
from benchmarks.opinion import program
from benchmarks.opinion.compare import UNEXPLAINED, Agreement, Difference, Outcome, compare
from sharding.sources.find import is_video

Outcomes = dict[str, Outcome]


def videos(places: Sequence[Path]) -> Iterator[Path]:
    """Files as they are named, and all videos in folders."""
    for place in places:
        found = (path for path in place.rglob("*") if is_video(path.name))
        yield from sorted(found) if place.is_dir() else [place]


def opinions(paths: Sequence[Path]) -> Outcomes:
    """Of each file, in a process that may die."""
    found = Outcomes()
    with closing(Child()) as child:
        for path in track(paths, description="files", console=wide_console(), transient=True):
            try:
                found[str(path)] = child.ask(compare, path)
            except Failed as error:
                failed = Difference(
                    what="file", frames=0, first_s=0, largest_ms=0, name=UNEXPLAINED, why=f"comparing fails: {error}"
                )
                found[str(path)] = Outcome(differences=(failed,))
    return found


def by_folder(outcomes: Outcomes) -> Table:
    """How many frames were compared, and how many are equal."""
    columns = (
        "folder",
        "files",
        "rejected",
        "agree",
        "pictures",
        "equal",
        "sounds",
        "equal",
        "A/V equal",
        "unexplained",
    )
    table = Table(
        "packing and ffprobe", columns, note="A/V: pictures against sound within 2 ms, stretches of the clock"
    )
    folders = defaultdict[str, list[Outcome]](list)
    for name, one in outcomes.items():
        folders[str(Path(name).parent)].append(one)
    for folder, mine in [*folders.items(), ("all", list(outcomes.values()))]:
        seen, heard = (
            [one for one in each if one] for each in zip(*((o.pictures, o.sound) for o in mine), strict=True)
        )
        relations = [apart for one in mine for apart in one.relation_ms]
        table.add(
            folder,
            len(mine),
            sum(bool(one.rejected) for one in mine) or "",
            sum(not one.rejected and not one.differences for one in mine),
            *_counts(seen),
            *_counts(heard),
            f"{sum(abs(apart) <= 2 for apart in relations)} of {len(relations)}",
            sum(one.bad for one in mine) or "",
        )
    return table


def _counts(agreements: Sequence[Agreement]) -> tuple[str, str]:
    frames, equal = sum(one.frames for one in agreements), sum(one.equal for one in agreements)
    return f"{frames:,}", f"{equal:,}"


def by_reason(outcomes: Outcomes) -> Table:
    """What differs, why, and who is right."""
    table = Table("differences", ("reason", "what", "files", "frames", "largest ms", "right", "why"))
    groups = defaultdict[tuple[str, str], list[Difference]](list)
    for outcome in outcomes.values():
        for one in outcome.differences:
            groups[one.name, one.what].append(one)
    for (name, what), mine in sorted(groups.items()):
        largest = max(abs(one.largest_ms) for one in mine)
        why = mine[0].why if name != UNEXPLAINED else ""
        table.add(name, what, len(mine), sum(one.frames for one in mine), f"{largest:,.1f}", mine[0].right, why)
    return table


def by_file(outcomes: Outcomes) -> Table:
    """Each difference of each file."""
    table = Table(
        "files that differ", ("file", "what", "frames", "first s", "largest ms", "reason", "right", "by the truth")
    )
    for name, outcome in outcomes.items():
        truth = outcome.truth.right if outcome.truth else ""
        for one in outcome.differences:
            cells = (one.what, one.frames, f"{one.first_s:.3f}", f"{one.largest_ms:+,.1f}", one.name, one.right, truth)
            table.add("/".join(Path(name).parts[-2:]), *cells)
    return table


def by_truth(outcomes: Outcomes) -> Table:
    """Files that flash and beep."""
    columns = ("file", "flashes", "pack ms", "ffprobe ms", "right")
    table = Table("flash and beep apart, at most", columns)
    for name, outcome in outcomes.items():
        if one := outcome.truth:
            table.add(Path(name).name, one.marks, f"{one.ours_ms:.1f}", f"{one.theirs_ms:.1f}", one.right)
    return table


def main() -> None:
    """Compare all files, print the tables and what is not explained."""
    parser = command("opinion", __doc__, outputs=True)
    parser.add_argument("videos", type=Path, nargs="+", help="files, and folders of them")
    options = parser.parse_args()
    if program.find() is None:
        parser.error("there is no program ffprobe on the path; install ffmpeg")
    console, paths = wide_console(), list(videos(options.videos))
    outcomes = opinions(paths)
    tables = [by_folder(outcomes), by_reason(outcomes), by_file(outcomes), by_truth(outcomes)]
    for name, one in outcomes.items():
        if one.rejected:
            console.print(f"rejected: {name}: {one.rejected}", markup=False, highlight=False, soft_wrap=True)
        for difference in one.differences:
            if difference.name == UNEXPLAINED:
                text = f"unexplained: {name}: {difference.what} at {difference.first_s:.3f} s {difference.why}"
                console.print(text, markup=False, highlight=False, soft_wrap=True)
    about = f"{program.version()}; PyAV {av.__version__} with FFmpeg {av.ffmpeg_version_info}"
    report([table for table in tables if table.rows], about, console, options, outcomes)
    sys.exit(any(one.bad for one in outcomes.values()))


if __name__ == "__main__":
    main()

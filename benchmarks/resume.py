"""How long until the first batch when a stopped pass goes on, what is saved for it, and are the clips right.

python -m benchmarks.resume [--data VIDEOS] [--runs 5] [--clips 160] [--sizes 10000 1000000] [--only WORD ...]
                            [--markdown FILE] [--cache FOLDER] [--peers-dir FOLDER]

Stored raw, batches of 8, one worker. Ours at several sizes, real bytes under many names; others at the small one. Times
run from construction to the first batch, imports done; medians of interleaved runs. After that the rest of a pass is
compared with an undisturbed one: as it was, with two workers instead of one, and with two processes instead of one.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import track

from benchmarks.load_data import source
from benchmarks.load_job import Job
from benchmarks.load_start import CACHE, jobs_of, only, places, prepared
from benchmarks.load_table import machine, wide_console
from benchmarks.peers_install import Place
from benchmarks.resume_catalog import OURS, STARTERS
from benchmarks.resume_index import enlarge
from benchmarks.resume_start import Subject
from benchmarks.resume_table import Failed, Times, sequences, times, verdict

CHANGES = {"as it was": (1, 1), "1 -> 2 workers": (2, 1), "1 -> 2 processes": (1, 2)}
"""What is changed on resuming -> workers of a process, processes."""


def clock(subjects: Sequence[Subject], runs: int) -> list[Times]:
    """Fresh and resumed starts in turn, round by round; who fails once is left out from there on."""
    console, seen = Console(stderr=True), {subject: Times(way=str(subject)) for subject in subjects}
    for round_ in range(runs):
        for subject in track(subjects, f"round {round_ + 1} of {runs}", console=console):
            here = seen[subject]
            if here.trouble:
                continue
            try:
                here.state_bytes = here.state_bytes or subject.save()
                here.fresh_s.append(subject.fresh())
                here.resumed_s.append(subject.resumed())
            except Failed as error:
                here.trouble = str(error)
    return list(seen.values())


def compare(subject: Subject) -> dict[str, str]:
    """Change -> what became of the rest of a pass that was taken up again."""
    try:
        whole, half = subject.go(done=0, until=subject.batches), subject.go(done=0, until=subject.done, save=True)
    except Failed as error:
        return dict.fromkeys(CHANGES, str(error))
    if half != whole[: subject.done]:
        return dict.fromkeys(CHANGES, "no two passes are alike")
    found = {}
    for change, (workers, ranks) in CHANGES.items():
        try:
            rest = subject.go(done=subject.done, until=subject.batches, workers=workers, ranks=ranks)
            found[change] = verdict(whole[subject.done :], rest)
        except Failed as error:
            found[change] = str(error)
    return found


def subjects_of(
    ready: dict[str, Job], found: dict[str, Place], sizes: Sequence[int], folder: Path, states: Path
) -> list[Subject]:
    """Every way with the clips there are; ours with more of them, too."""
    made = [
        Subject(job=job, place=found[name], clips=len(job.clips), state=states / f"{number}")
        for number, (name, job) in enumerate(ready.items())
    ]
    for size in sizes if OURS in ready else ():
        small = ready[OURS]
        large = Job(
            way=OURS, videos=small.videos, copy=small.copy, clips=[],
            dataset=enlarge(small.open(), small.clips, folder / f"{size}-clips", size),
        )  # fmt: skip
        made.append(Subject(job=large, place=found[OURS], clips=size, state=states / f"{OURS}-{size}"))
    return made


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a folder of real videos; without it, generated scenes")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--clips", type=int, default=160, help="of which there are really so many")
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 1_000_000], help="ours, besides")
    parser.add_argument("--only", nargs="+", default=[""], metavar="WORD", help="ways with one of these in their names")
    parser.add_argument("--markdown", type=Path, help="write the tables there, too")
    parser.add_argument("--cache", type=Path, default=CACHE, help="for clips and their copies; kept")
    parser.add_argument("--peers-dir", type=Path, default=CACHE / "peers", help="for the peers' environments; kept")
    return parser.parse_args(arguments)


def main() -> None:
    """Make data, environments and copies; run; print the tables."""
    options, console = options_of(), wide_console()
    entries = only(STARTERS, options.only)
    videos, folder, made = source(options.data, options.cache, options.clips, console)
    found = places(entries, options.peers_dir.resolve(), console)
    ready = prepared(jobs_of({name: entries[name] for name in found}, made, videos, folder), entries, found, console)
    with tempfile.TemporaryDirectory() as states:
        subjects = subjects_of(ready, found, options.sizes, folder, Path(states))
        clocked = clock(subjects, options.runs)
        small = [subject for subject in subjects if subject.job.clips]
        compared = {str(subject): compare(subject) for subject in track(small, "sequences", console=console)}
    about = machine(found, f"clips of {options.data or 'generated scenes'}, {options.runs} rounds")
    parts = [times(clocked), sequences(compared)]
    for part in parts:
        console.print(part.rich())
    console.print(about)
    if options.markdown:
        options.markdown.write_text("\n\n".join([about, *(part.markdown() for part in parts)]) + "\n")


if __name__ == "__main__":
    main()

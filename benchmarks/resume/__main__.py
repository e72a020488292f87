"""How long until the first batch when a stopped pass goes on, what is saved for it, and are the clips right.

python -m benchmarks.resume [--data VIDEOS] [--runs 5] [--clips 160] [--sizes 10000 1000000] [--only WORD ...]
                            [--markdown FILE] [--cache FOLDER] [--peers-dir FOLDER]

Stored raw, batches of 8, one worker. Ours at several sizes, real bytes under many names; others at the small one. Times
run from construction to the first batch, imports done; medians of interleaved runs. After that the rest of a pass is
compared with an undisturbed one: as it was, with two workers instead of one, and with two processes instead of one.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.progress import track

from benchmarks.base.runner import Failed, in_turn
from benchmarks.base.table import first_words, report, wide_console
from benchmarks.load.clips import clips_command, ready_jobs, work_folder
from benchmarks.load.job import Job
from benchmarks.peers.install import Place, machine
from benchmarks.resume.enlarge import enlarge
from benchmarks.resume.report import sequences, times, verdict
from benchmarks.resume.start import OURS, STARTERS, Subject

CHANGES = {"as it was": (1, 1), "1 -> 2 workers": (2, 1), "1 -> 2 processes": (1, 2)}
"""What is changed on resuming -> workers of a process, processes."""


def compare(subject: Subject) -> dict[str, str]:
    """Change -> what became of the rest of a pass that was taken up again."""
    found = dict.fromkeys(CHANGES, "no two passes are alike")
    try:
        whole, half = subject.go(done=0, until=subject.batches), subject.go(done=0, until=subject.done, save=True)
    except Failed as error:
        return dict.fromkeys(CHANGES, first_words(str(error)))
    if half != whole[: subject.done]:
        return found
    for change, (workers, ranks) in CHANGES.items():
        try:
            rest = subject.go(done=subject.done, until=subject.batches, workers=workers, ranks=ranks)
            found[change] = verdict(whole[subject.done :], rest)
        except Failed as error:
            found[change] = first_words(str(error))
    return found


def subjects_of(
    ready: Mapping[str, Job], found: Mapping[str, Place], sizes: Sequence[int], folder: Path, states: Path
) -> list[Subject]:
    """Every way with the clips there are; ours with more of them, too."""
    made = [
        Subject(job=job, python=found[name].python, clips=len(job.clips), state=states / f"{number}")
        for number, (name, job) in enumerate(ready.items())
    ]
    for size in sizes if OURS in ready else ():
        small = ready[OURS]
        large = enlarge(small.open(), small.clips, folder / f"{size}-clips", size)
        job, state = replace(small, dataset=large, clips=[]), states / f"{OURS}-{size}"
        made.append(Subject(job=job, python=found[OURS].python, clips=size, state=state))
    return made


def main() -> None:
    """Make data, environments and copies; run; print the tables."""
    parser, console = clips_command("resume", __doc__, "of which there are really so many"), wide_console()
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 1_000_000], help="ours, besides")
    options = parser.parse_args()
    ready, found = ready_jobs(STARTERS, options, console)
    with tempfile.TemporaryDirectory() as states:
        subjects = subjects_of(ready, found, options.sizes, work_folder(options), Path(states))
        rounds = in_turn({subject: subject.times for subject in subjects}, options.runs, retry=False)
        small = [subject for subject in subjects if subject.job.clips]
        compared = {str(subject): compare(subject) for subject in track(small, "sequences", console=console)}
    about = machine(found, f"clips of {options.data or 'generated scenes'}, {options.runs} rounds")
    figures = {"starts": rounds.by_name(), "sequences": compared}
    report([times(rounds), sequences(compared)], about, console, options, figures)


if __name__ == "__main__":
    main()

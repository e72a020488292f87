"""Damaged files through packing: is the sound where the picture is, or the file rejected, whatever is done to it?

    python -m benchmarks.fuzz --files 2000 --seed 0        # 2 min on two cores
    python -m benchmarks.fuzz --seed 0 --only 137          # one of them again; its file stays

Every picture of these files carries its number and every moment of the sound its own pitch, so a packed clip tells by
itself whether they belong together. Files of one seed are the same each time. Ends by 1 when any file was packed with
picture and sound apart, raised what is no reject, or did not come to an end.
"""

import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import av
from rich.console import Console

from benchmarks.base.table import Table, command, report, wide_console
from benchmarks.base.trials import run_trials
from benchmarks.fuzz.originals import ORIGINALS
from benchmarks.fuzz.trial import CONFIG, Outcome, Trial, Verdict
from sharding.base.environment import available_cores
from sharding.base.workers import Workers
from sharding.pack.schedule import Prepare

KEEP = Path.home() / ".cache" / "avsync-bench" / "fuzz"
BAD = (Verdict.WRONG, Verdict.CRASH, Verdict.HANG)
KEPT = (*BAD, Verdict.DIED, Verdict.MEMORY, Verdict.UNREAD)
Outcomes = dict[Trial, Outcome]


def tried(trials: Sequence[Trial], workers: int, keep: Path, always: bool) -> Outcomes:
    """All trials, in processes of their own; files with a bad verdict go to `keep`, or all of them."""
    pool = Workers[Trial](workers, Prepare(memory=CONFIG.memory))
    return run_trials(trials, pool, "files", BAD, lambda trial, outcome: _put_away(trial, outcome, keep, always=always))


def _put_away(trial: Trial, outcome: Outcome, keep: Path, always: bool) -> None:
    if always or outcome.verdict in KEPT:
        keep.mkdir(parents=True, exist_ok=True)
        shutil.move(trial.path, keep / trial.path.name)
    else:
        trial.path.unlink(missing_ok=True)


def by_container(outcomes: Outcomes) -> Table:
    """How many of each container's files came to which verdict."""
    columns = ("container", "files", *(str(verdict) for verdict in Verdict), "peak MB", "CPU ms")
    table = Table("damaged files", columns)
    rows = {
        name: [one for trial, one in outcomes.items() if trial.original.container == name]
        for name in dict.fromkeys(original.container for original in ORIGINALS)
    }
    for name, mine in [*rows.items(), ("all", list(outcomes.values()))]:
        if mine:
            counts = Counter(one.verdict for one in mine)
            peak, cpu_ms = max(one.peak_mb for one in mine), 1000 * sum(one.cpu_s for one in mine) / len(mine)
            cells = (counts[verdict] or "" for verdict in Verdict)
            table.add(name, len(mine), *cells, f"{peak:.0f}", f"{cpu_ms:.0f}")
    return table


def by_damage(outcomes: Outcomes) -> Table:
    """How many files of each container each family of damage has made wrong."""
    families = list(dict.fromkeys(one.family for one in outcomes.values()))
    table = Table("packed wrong", ("container", *families))
    wrong = Counter(
        (trial.original.container, one.family) for trial, one in outcomes.items() if one.verdict is Verdict.WRONG
    )
    for name in dict.fromkeys(name for name, _ in wrong):
        table.add(name, *(wrong[name, family] or "" for family in families))
    return table


def listed(outcomes: Outcomes, console: Console) -> None:
    """Every file that came out badly, the worst first; those of an original that is wrong whole, in a line together."""
    wrong = {trial.original for trial, one in outcomes.items() if trial.number < 0 and one.verdict is Verdict.WRONG}
    with_it = Counter[str]()
    for trial, one in sorted(outcomes.items(), key=lambda item: -item[1].apart):
        if one.verdict is Verdict.WRONG and trial.original in wrong and trial.number >= 0:
            with_it[trial.original.name] += 1
        elif one.verdict in KEPT:
            text = f"{one.verdict}: --only {trial.number} ({trial.original.name}; {one.family}: {one.what}): {one.why}"
            console.print(text, markup=False, highlight=False, soft_wrap=True)
    for name, count in with_it.items():
        console.print(f"wrong: {count} more of {name}, which is wrong when it is whole", markup=False, highlight=False)


def main() -> None:
    """Write the originals, damage and pack them, print the table and what was wrong."""
    parser = command("fuzz", __doc__, outputs=True)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, nargs="+", help="these files of the seed alone; they are kept")
    parser.add_argument("--workers", type=int, default=available_cores())
    parser.add_argument("--keep", type=Path, default=KEEP, help=f"folder for files that came out badly ({KEEP})")
    options = parser.parse_args()
    numbers = options.only or range(-len(ORIGINALS), options.files)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        trials = [Trial(seed=options.seed, number=one, originals=folder, folder=folder / "damaged") for one in numbers]
        (folder / "damaged").mkdir()
        for original in dict.fromkeys(trial.original for trial in trials):
            original.write(folder)
        outcomes = tried(trials, options.workers, options.keep, bool(options.only))
    console = wide_console()
    if options.only:
        for trial, one in outcomes.items():
            kept = options.keep / trial.path.name
            text = f"{trial.number}: {one.family}: {one.what}\n  {one.verdict}: {one.why}\n  {kept}"
            console.print(text, markup=False, highlight=False, soft_wrap=True)
    else:
        listed(outcomes, console)
    about = f"seed {options.seed}; PyAV {av.__version__} with FFmpeg {av.ffmpeg_version_info}"
    figures = {f"{trial.number} {trial.original.name}": one for trial, one in outcomes.items()}
    report([by_container(outcomes), by_damage(outcomes)], about, console, options, figures)
    sys.exit(any(one.verdict in BAD for one in outcomes.values()))


if __name__ == "__main__":
    main()

"""Datasets that lie with every checksum right: does a lie cost its clip, or the dataset in one line, and nothing else?

    python -m benchmarks.forged --seeds 2000 --seed 0           # the first 2,000 lies of a seed
    python -m benchmarks.forged --seeds 2000 --from 1200        # goes on where one was stopped
    python -m benchmarks.forged --seed 0 --only 137             # one of them again; its folder stays

Each is read as training reads it, by the code of its workers, then shown and verified, in a process with limits
on memory and time; every `--commands`-th also by the real avsync train, show --page and verify. Ends by 1 when one
crashed, hung, took too much memory, was read as noise, or skipped a clip of which verify says nothing.
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
from benchmarks.forged.lies import LIES
from benchmarks.forged.original import FORMS
from benchmarks.forged.trial import BAD, Outcome, Trial, Verdict, limits
from sharding.base.environment import available_cores
from sharding.base.workers import Workers

KEEP = Path.home() / ".cache" / "avsync-bench" / "forged"
Outcomes = dict[Trial, Outcome]


def tried(trials: Sequence[Trial], workers: int, keep: Path, always: bool) -> Outcomes:
    """All trials, in processes of their own; folders with a bad verdict go to `keep`, or all of them."""
    pool = Workers[Trial](workers, limits)
    return run_trials(
        trials, pool, "datasets", BAD, lambda trial, outcome: _put_away(trial, outcome, keep, always=always)
    )


def _put_away(trial: Trial, outcome: Outcome, keep: Path, always: bool) -> None:
    if (always or outcome.verdict in BAD) and trial.path.exists():
        keep.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(keep / trial.path.name, ignore_errors=True)
        shutil.move(trial.path, keep / trial.path.name)
    shutil.rmtree(trial.path, ignore_errors=True)


def by_family(outcomes: Outcomes) -> Table:
    """How many datasets of each family of lies came to which verdict."""
    table = Table(
        "forged datasets", ("what lies", "datasets", *map(str, Verdict), "clips skipped", "peak MB", "CPU ms")
    )
    rows = {name: [one for one in outcomes.values() if one.family == name] for name in ("honest", *LIES)}
    for name, mine in [*rows.items(), ("all", list(outcomes.values()))]:
        if mine:
            counts = Counter(one.verdict for one in mine)
            peak, cpu_ms = max(one.peak_mb for one in mine), 1000 * sum(one.cpu_s for one in mine) / len(mine)
            skipped = sum(one.skipped for one in mine)
            cells = (counts[verdict] or "" for verdict in Verdict)
            table.add(name, len(mine), *cells, skipped, f"{peak:.0f}", f"{cpu_ms:.0f}")
    return table


def listed(outcomes: Outcomes, console: Console) -> None:
    """Every dataset that came out badly."""
    for trial, one in outcomes.items():
        if one.verdict in BAD:
            text = f"{one.verdict}: --only {trial.number} ({trial.form}; {one.family}: {one.what}): {one.why}"
            console.print(text, markup=False, highlight=False, soft_wrap=True)


def main() -> None:
    """Forge, read, print the table and what came out badly."""
    parser = command("forged", __doc__, outputs=True)
    parser.add_argument("--seeds", type=int, default=2000, help="how many lies")
    parser.add_argument(
        "--from", type=int, default=0, dest="first", help="the first of them; 0 begins with honest ones"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, nargs="+", help="these lies of the seed alone; they are kept")
    parser.add_argument("--commands", type=int, default=100, help="every so many, the real program is asked; 0: never")
    parser.add_argument("--workers", type=int, default=available_cores())
    parser.add_argument("--keep", type=Path, default=KEEP, help=f"folder for what came out badly ({KEEP})")
    options = parser.parse_args()
    numbers = options.only or range(options.first or -len(FORMS), options.seeds)
    with tempfile.TemporaryDirectory() as temporary:
        trials = [
            Trial(
                seed=options.seed,
                number=one,
                folder=Path(temporary),
                commands=bool(options.commands) and one % options.commands == options.commands - 1,
            )
            for one in numbers
        ]
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
    figures = {str(trial.number): one for trial, one in outcomes.items()}
    report([by_family(outcomes)], about, console, options, figures)
    sys.exit(any(one.verdict in BAD for one in outcomes.values()))


if __name__ == "__main__":
    main()

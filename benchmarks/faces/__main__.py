"""Our preset for faces beside two published recipes: same clips, same CPU minutes, one table.

    python -m benchmarks.faces DATASET [--minutes 6] [--seeds 3] [--markdown faces.md]
    python -m benchmarks.faces DATASET --only ours --minutes 0.5       # a look

DATASET: mouth crops, packed with --fps 25 --sample-rate 16000, action = speaker. Judged are clips of speakers that are
not in train. Each training has a process of its own with one thread, one after the other, in turn; --minutes is its
CPU time. Choose on val; --split test is for the end.
"""

from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

from benchmarks.base.runner import alone, in_turn
from benchmarks.base.table import command, report, wide_console
from benchmarks.faces.race import RECIPES, Entry, Outcome, run
from benchmarks.faces.report import table

SLOWEST = 20
"""Seconds by the clock that a CPU second may take on a busy machine, before a process is given up."""
JUDGING_S = 600
"""CPU time, at most."""


def next_seed(entry: Entry, seeds: "count[int]") -> Outcome:
    """A process for each."""
    limit = SLOWEST * (entry.cpu_s + JUDGING_S)
    return alone(run, replace(entry, seed=next(seeds)), limit_s=limit)


def main() -> None:
    """Train, judge and write."""
    parser = command("faces", __doc__, outputs=True)
    parser.add_argument("dataset", type=Path, help="folder of a packed dataset")
    parser.add_argument("--minutes", type=float, default=6, help="CPU time of each training")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each, seeds 0, 1, ...")
    parser.add_argument("--only", nargs="+", choices=RECIPES, default=list(RECIPES), help="some of them")
    parser.add_argument("--lr", type=float, default=0, help="another learning rate, for all that are run")
    parser.add_argument("--split", choices=["val", "test"], default="val", help="who is judged on")
    parser.add_argument("--windows", type=int, default=4, help="judged of each clip")
    options = parser.parse_args()
    entry = Entry(
        name="",
        dataset=options.dataset.resolve(),
        seed=0,
        cpu_s=60 * options.minutes,
        split=options.split,
        windows=options.windows,
        rate=options.lr,
    )
    ways = {name: partial(next_seed, replace(entry, name=name), count()) for name in options.only}
    rounds = in_turn(ways, options.seeds)
    about = (
        f"{options.minutes:g} CPU minutes each, {options.seeds} seed{'s' * (options.seeds > 1)}, "
        f"split {options.split}{f', learning rate {options.lr:g}' if options.lr else ''}"
    )
    report([table(rounds)], about, wide_console(), options, rounds.by_name())


if __name__ == "__main__":
    main()

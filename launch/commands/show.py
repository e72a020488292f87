"""`avsync show`: what is inside a dataset, or what a run was trained on; the folder tells which."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from launch.commands.flags import typed
from launch.commands.parse import Parsed
from sharding.errors import InputError

RUN_FILE = "run.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Show(Parsed):
    """Say what is inside a dataset: splits, actions, rejects and why, and how well picture and sound fit together.

    Of a run: its attempts, and which clips it was trained on.
    """

    folder: Annotated[Positional[Path], arg(metavar="DATASET|RUN")]
    """A folder that avsync pack or avsync train wrote."""
    worst: int = 10
    """Of a dataset: sources in the table of those with the most trouble."""
    samples: int = 6
    """Of a dataset: clips of each split on page and sheet, spread evenly over it."""
    page: Path | None = None
    """Of a dataset: write all of it as one HTML page with charts and a contact sheet, which any browser opens."""
    sheet: Path | None = None
    """Of a dataset: write the contact sheet alone as a PNG picture."""
    clips: bool = False
    """Of a run: list the clips of each step, where their windows begin, flip and crop."""
    step: Annotated[str, arg(metavar="A[:B]", help_behavior_hint="(default: all that are saved)")] = ""
    """Of a run: only this step, or with A:B the steps from A to before B; the first is 0."""
    csv: Path | None = None
    """Of a run: write that list to a file, which ends in .csv, or .jsonl for JSON lines."""
    dataset: Annotated[str, arg(metavar="DIR", help_behavior_hint="")] = ""
    """Of a run: the folder where its dataset lies now, if it was moved or the run read it from a URL."""

    def __post_init__(self) -> None:
        for flag, count in (("--worst", self.worst), ("--samples", self.samples)):
            if count < 0:
                raise InputError(f"{flag} {count} must not be below 0")

    def execute(self) -> str:
        of_run = {"--clips": self.clips, "--step": self.step, "--csv": self.csv, "--dataset": self.dataset}
        is_run = (self.folder / RUN_FILE).is_file()
        wrong = {"--page": self.page, "--sheet": self.sheet} if is_run else of_run
        if given := [flag for flag, value in wrong.items() if value]:
            kind, fact = ("dataset", "is a run") if is_run else ("run", f"has no {RUN_FILE}")
            raise InputError(f"{given[0]} is for a {kind}, and {self.folder} {fact}; leave it out, or name a {kind}")
        return self._show_run() if is_run else self._show_dataset()

    def _show_run(self) -> str:
        from avsync.run.show import Clips, show_attempts, show_clips

        if self.clips or self.step or self.csv:
            show_clips(self.folder, Clips(step=self.step, file=self.csv, dataset=self.dataset or None))
            return ""
        show_attempts(self.folder)
        return f"Next: {typed('show', self.folder, '--clips')}"

    def _show_dataset(self) -> str:
        from sharding.show.show import ShowOptions, show

        wanted = ShowOptions(worst=self.worst, clips=self.samples, page=self.page, sheet=self.sheet)
        written = show(self.folder, wanted)
        return f"Next: open {' and '.join(shlex.quote(str(path)) for path in written)}" if written else ""

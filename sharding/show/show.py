"""`avsync show DATASET`: one screen; on demand an HTML page, a contact sheet, a CSV. The dataset is only read."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from sharding.base.console import open_console
from sharding.base.files import check_output, publish, writing
from sharding.show.av_clock import read_clock
from sharding.show.screen import print_screen
from sharding.show.sources_csv import write_sources
from sharding.show.survey import read_survey


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowOptions:
    """What to show beyond the screen, and how much of it."""

    worst: int = 10
    """Sources in the table of the worst."""
    clips: int = 6
    """Clips of each split on page and sheet."""
    page: Path | None = None
    sheet: Path | None = None
    csv: Path | None = None
    """A row for each source."""


def show(folder: Path, wanted: ShowOptions, console: Console | None = None) -> list[Path]:
    """Print what is inside `folder`; returns the files written.

    Raises InputError when it is no whole dataset or a file cannot be written there, FormatError for another version.
    """
    console = console or open_console(wide=True)
    survey = read_survey(folder)
    files = ((wanted.page, "--page", ".html"), (wanted.sheet, "--sheet", ".png"), (wanted.csv, "--csv", ".csv"))
    for path, flag, suffix in files:
        if path is not None:
            check_output(path, flag, (suffix,), never={"the dataset": folder})
    clock = read_clock(survey.sources, survey.info.clock, wanted.worst)
    print_screen(survey, clock, console)
    if wanted.csv is not None:
        with writing(wanted.csv, "--csv"):
            write_sources(wanted.csv, survey)
    if wanted.page is None and wanted.sheet is None:
        return [] if wanted.csv is None else [wanted.csv]
    from sharding.show.contact_sheet import read_sheets, sheet_png  # late: what draws is slow to load

    sheets = read_sheets(survey, wanted.clips) if wanted.clips else ()
    for note in (note for sheet in sheets for note in sheet.notes):
        console.print(Text(note, "yellow"), soft_wrap=True)
    if wanted.page is not None:
        from sharding.show.page import page_html

        _write(wanted.page, page_html(survey, clock, sheets).encode())
    if wanted.sheet is not None:
        _write(wanted.sheet, sheet_png(survey, sheets))
    return [path for path, _, _ in files if path is not None]


def _write(path: Path, data: bytes) -> None:
    with publish(path) as file:
        file.write(data)

"""The console that avsync prints to: data is shown as it is, never read as markup ("[/x]" is a name, not a tag)."""

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn


def open_console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """Bold and colours come from rich.text.Text or `style`, not from what stands in a string."""
    return Console(stderr=stderr, quiet=quiet, markup=False, emoji=False, highlight=False)


def passing_bar() -> Progress:
    """A bar with its share and time left on stderr that goes when the work is done; none where no terminal is."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    console = open_console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)

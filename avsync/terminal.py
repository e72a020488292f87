"""The console that avsync prints to: data is shown as it is, never read as markup ("[/x]" is a name, not a tag)."""

from rich.console import Console


def open_console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """Bold and colours come from rich.text.Text or `style`, not from what stands in a string."""
    return Console(stderr=stderr, quiet=quiet, markup=False, emoji=False, highlight=False)

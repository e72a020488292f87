"""Which avsync this is: the commit of its checkout, also where only a copy of it runs. Anyone may import this."""

import subprocess
from pathlib import Path

HOME = Path(__file__).parent.parent
"""Where the packages lie: the checkout, the installation, or the copy that a job runs."""
NOTE = "COMMIT"
"""File of a copy that holds what it was copied from."""


def commit_of(home: Path = HOME) -> str:
    """The commit, with + when the checkout had uncommitted changes; empty when it is none."""
    if (home / NOTE).is_file():
        return (home / NOTE).read_text().strip()
    if not (home / ".git").exists():  # nor one that avsync only happens to lie in
        return ""
    try:
        told = subprocess.run(
            ["git", "-C", str(home), "describe", "--always", "--dirty=+", "--abbrev=12"],
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return told.stdout.strip()

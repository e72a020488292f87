"""`avsync score`: are files in sync; if not, by how much and where."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from avsync.score.config import ScoreConfig
from launch.commands.parse import Parsed
from sharding.errors import InputError


@dataclass(frozen=True, kw_only=True, slots=True)
class Score(Parsed):
    """Say of files whether sound and picture are in sync; if not, by how much and where; or that it can't be told.

    An offset above 0 means that the sound comes late.
    """

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """Folder of a training run."""
    videos: Annotated[Positional[tuple[Path, ...]], arg(metavar="VIDEO ...")]
    """Videos with sound, of any length."""
    config: Annotated[ScoreConfig, arg(name="")] = field(default_factory=ScoreConfig)

    def __post_init__(self) -> None:
        if not self.videos:
            raise InputError("avsync score needs at least one video: avsync score RUN VIDEO ...")

        if self.config.fix_to and (len(self.videos) > 1 or not self.config.fix):
            raise InputError(
                f"--fix-to {self.config.fix_to} names the fixed copy of one video: give --fix with it, and one video"
            )

    def execute(self) -> str:
        from avsync.score.score import score
        from avsync.score.tell import tell

        return tell(score(self.run, self.videos, self.config))

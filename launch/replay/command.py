"""`avsync replay`: the thesis's history on generated scenes and on a person's videos."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from launch.commands.parse import Parsed


@dataclass(frozen=True, kw_only=True, slots=True)
class Replay(Parsed):
    """Replay the thesis: networks that cheat by the sound alone, a cure that is none, and one that is. No GPU.

    Labels by cyclic shift, by cyclic shift with a zeroed start, by two real windows; and a network that begins
    honestly and then learns to listen only, too. Each is audited, trained, watched and asked; it ends with a page of
    figures.
    """

    folder: Annotated[Positional[Path], arg(metavar="FOLDER")] = Path("replay")
    """Where everything goes; the same command again goes on where it stopped."""
    videos: Annotated[Path | None, arg(metavar="VIDEOS")] = None
    """Real videos to replay it on as well: a folder or a CSV, as for avsync pack; 6 s long or longer."""

    def execute(self) -> str:
        from launch.replay.replay import replay

        replay(self.folder, self.videos)
        return ""

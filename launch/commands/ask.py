"""`avsync audit`: can a network cheat on the labels of a dataset, before a GPU hour is spent on it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from avsync.audit.config import AuditConfig
from avsync.config import PairConfig
from avsync.score.config import ScoreConfig
from launch.commands.flags import flags_of, typed
from launch.commands.parse import Parsed
from sharding.errors import InputError


@dataclass(frozen=True, kw_only=True, slots=True)
class Audit(Parsed):
    """Look for shortcuts: what the places of the windows tell about the label, and what one stream alone tells.

    Exit code 0 when nothing gives the label away, 1 when something does. Minutes on a CPU; no training before.
    """

    dataset: Annotated[Positional[Path], arg(metavar="DATASET")]
    """A folder that avsync pack wrote."""
    page: Path | None = None
    """Write what was found as one HTML page, which any browser opens."""
    json: Path | None = None
    """Write it as JSON, for programs."""
    strict: bool = False
    """Exit code 1 for warnings, too."""
    config: Annotated[AuditConfig, arg(name="")] = field(default_factory=AuditConfig)

    def execute(self) -> str:
        from avsync.audit.audit import Written, audit, refuse

        found = audit(self.dataset, self.config, Written(page=self.page, json=self.json), self._again())
        refuse(found, strict=self.strict)
        following = typed("train", self.dataset, "RUN", *_pair_flags(self.config.pairs))
        return f"Next: {following}" if found.verdict == "pass" else ""

    def _again(self) -> str:
        own = flags_of(self.config, leave_out=("pairs",))
        return typed("audit", self.dataset, *own, *_pair_flags(self.config.pairs))


def _pair_flags(pairs: PairConfig) -> list[str]:
    """`--pairs.law cyclic`."""
    return [f"--pairs.{word[2:]}" if word.startswith("--") else word for word in flags_of(pairs)]


# `avsync score`: are files in sync; if not, by how much and where.


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
        from avsync.score.report import report
        from avsync.score.score import score

        return report(score(self.run, self.videos, self.config))

"""`avsync audit`: can a network cheat on the labels of a dataset, before a GPU hour is spent on it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from avsync.audit.config import AuditConfig
from avsync.config import PairConfig
from launch.commands.flags import flags_of, typed
from launch.commands.parse import Parsed


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

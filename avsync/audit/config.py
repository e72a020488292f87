"""Everything a person can set about an audit of labels. No torch here: help must come at once."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from avsync.config import PairConfig, PairsName, SeparateConfig, ViewConfig
from sharding.base.text import counted
from sharding.errors import InputError, UsageError

if TYPE_CHECKING:
    from avsync.data.selection import Selection

MOST_PAIRS = 100
"""Of a clip; they are alike, so more tell nothing."""
LabelsName = Literal["pairs", "mixtures"]
Law = PairsName | Literal["mixtures"]
"""What makes the labels."""
WHOLE = ViewConfig(crop=1, flip=False)
"""A random crop of training may show any part of the picture."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditConfig:
    """What is looked at, and as which labels."""

    labels: LabelsName = "pairs"
    """pairs: which sound is in sync; mixtures: which part of two clips' sounds mixed is the picture's own, as
    preset separate is trained; of pairs only the window counts then."""
    split: Literal["train", "val", "test"] = "train"
    """Which part of the dataset."""
    clips: int = 600
    """Most clips that are decoded, spread evenly over the sources; more see smaller leaks and take longer."""
    pairs_per_clip: int = 2
    """Pairs drawn from each clip."""
    seed: int = 0
    """Other clips, pairs and probes; the verdict should stay."""
    device: Literal["auto", "cpu"] = "auto"
    """auto: the GPU when there is one."""
    pairs: PairConfig = field(default_factory=PairConfig)
    separate: SeparateConfig = field(default_factory=SeparateConfig)
    """As of train, for mixtures; of it only spread-db counts."""

    def __post_init__(self) -> None:
        if self.clips < 2:
            raise InputError(
                f"--clips {self.clips} must be at least 2: a probe learns from one and is asked about another"
            )
        if not 1 <= self.pairs_per_clip <= MOST_PAIRS:
            raise InputError(f"--pairs-per-clip {self.pairs_per_clip} must lie in 1 to {MOST_PAIRS}")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"--seed {self.seed} must lie in 0 to 2**32 - 1")

    @property
    def law(self) -> Law:
        """Of pairs, or that of mixtures."""
        return self.pairs.law if self.labels == "pairs" else "mixtures"


def count_sources(feed: "Selection", config: AuditConfig) -> int:
    """Sources that are looked at. Raises UsageError when there are not two."""
    sources = min(len({*feed.dataset.index.group[feed.clips].tolist()}), config.clips)
    if sources < 2:
        raise UsageError(
            f"{feed.dataset.folder} has clips of {counted(sources, 'source')} only in split {config.split!r}: a probe "
            "learns from some sources and is asked about others; pack more, or name another --split"
        )
    return sources

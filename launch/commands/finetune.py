"""`avsync finetune`: do the learned features help to recognise actions, beside training from scratch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import tyro
from tyro.conf import FlagCreatePairsOff, Positional, arg

from avsync.finetune.config import FINETUNE_PRESETS, FinetuneConfig
from launch.commands.flags import typed
from launch.commands.parse import registry, values_of

if TYPE_CHECKING:
    PresetName = str
else:
    PresetName = tyro.extras.literal_type_from_choices(tuple(FINETUNE_PRESETS))

DEFAULT_PRESET = "paper"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finetune:
    """Recognise actions with a run's features, beside the same network from random weights; same clips, same steps.

    The val split picks each one's checkpoint, the test split is looked at once. The same command again goes on.
    """

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """Folder of a training run."""
    dataset: Annotated[Positional[Path], arg(metavar="DATASET")]
    """A folder that avsync pack wrote, of the same form as the run's own."""
    out: Annotated[Positional[Path], arg(metavar="OUT")]
    """Folder for results, checkpoints and TensorBoard."""
    preset: PresetName = DEFAULT_PRESET
    """Settings to start from; the flags below override them, and show this preset's values as defaults."""
    config: Annotated[FinetuneConfig, arg(name="")] = field(default_factory=FINETUNE_PRESETS[DEFAULT_PRESET])

    @classmethod
    def parse(cls, arguments: Sequence[str], prog: str) -> Self:
        """The preset first, since it sets the defaults of the other flags."""
        named = [value for flag, value in values_of(arguments) if flag == "--preset" and value in FINETUNE_PRESETS]
        preset = named[-1] if named else DEFAULT_PRESET
        place: Any = tyro.MISSING
        default = cls(run=place, dataset=place, out=place, preset=preset, config=FINETUNE_PRESETS[preset]())
        return tyro.cli(
            cls, args=list(arguments), prog=prog, default=default, registry=registry(arguments),
            config=(FlagCreatePairsOff,),
        )  # fmt: skip

    def execute(self) -> str:
        from avsync.finetune.finetune import finetune

        finetune(self.run, self.dataset, self.out, self.config)
        return f"Next: {typed('board', self.out)}"

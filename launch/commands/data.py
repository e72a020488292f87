"""Every command as a dataclass: its fields are what a person types, `execute` does the work.

The command line is built from these types. Only settings are imported here; the work, and torch with it, is imported
late, inside `execute`. To add a command: a class here, a line in COMMANDS of launch/cli.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, Self

import tyro
from tyro.conf import Positional, arg

from avsync.config import EvaluateConfig, LocalizeConfig, TrainConfig
from avsync.presets import PRESETS
from launch.commands.ask import Audit as Audit
from launch.commands.finetune import Finetune as Finetune
from launch.commands.flags import flags_of, typed
from launch.commands.parse import Parsed, registry, values_of
from launch.commands.show import Show as Show
from sharding.config import PackConfig, PackOptions
from sharding.errors import InputError
from sharding.scenes.config import SceneConfig

if TYPE_CHECKING:
    PresetName = str
else:
    PresetName = tyro.extras.literal_type_from_choices(tuple(PRESETS))

DEFAULT_PRESET = "paper"


class Command(Protocol):
    """What the command line needs of each class here."""

    @classmethod
    def parse(cls, arguments: Sequence[str], prog: str) -> Self:
        """Build it from what was typed. Raises SystemExit for a wrong or missing flag, InputError for a bad setting."""
        ...

    def execute(self) -> str:
        """Do the work; returns what to say at the end. Raises AvsyncError for what the person can mend."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenes(Parsed):
    """Write generated videos: moving objects, some of which make the sounds, with their true positions."""

    folder: Annotated[Positional[Path], arg(metavar="FOLDER")]
    """Where to write them; scenes already there are kept."""
    config: Annotated[SceneConfig, arg(name="")] = field(default_factory=SceneConfig)

    def execute(self) -> str:
        from sharding.scenes.generate import generate

        report = generate(self.folder, self.config)
        return f"{report.made} scenes made, {report.kept} kept. Next: {typed('pack', report.table, 'DATASET')}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pack(Parsed):
    """Turn videos with sound into a dataset of shards. The same command again goes on where it stopped."""

    videos: Annotated[Positional[Path], arg(metavar="VIDEOS")]
    """A folder whose sub-folders name the actions, or a CSV:
    path,action[,start_s,end_s][,split][,group], or, of Kinetics, label,youtube_id,time_start,time_end,split."""
    dataset: Annotated[Positional[Path], arg(metavar="DATASET")]
    """Folder to write the shards to."""
    dry_run: Annotated[bool, arg(name="dry-run")] = False
    """Say what would be packed and how large it would be; write nothing."""
    shares: int | None = None
    """Pack nothing, but divide what is missing into at most so many shares, for as many calls on many machines."""
    share: int | None = None
    """Pack only this share of what --shares divided, from 0 on; when all are done, a call without it finishes."""
    config: Annotated[PackConfig, arg(name="")] = field(default_factory=PackConfig)
    wishes: Annotated[PackOptions, arg(name="")] = field(default_factory=PackOptions)

    def __post_init__(self) -> None:
        if (self.shares is not None) + (self.share is not None) + self.dry_run > 1:
            raise InputError("--shares, --share and --dry-run are three calls: give one of them")
        if self.shares is not None and self.shares < 1:
            raise InputError(f"--shares {self.shares} must be at least 1")
        if self.share is not None and self.share < 0:
            raise InputError(f"--share {self.share} must not be below 0: shares are counted from 0")

    def execute(self) -> str:
        from sharding.pack.pack import dry_run, pack

        if self.shares is not None:
            return self._divide(self.shares)
        if self.share is not None:
            return self._pack_share(self.share)
        if self.dry_run:
            dry_run(self.videos, self.dataset, self.config, wishes=self.wishes)
            return ""
        summary = pack(self.videos, self.dataset, self.config, wishes=self.wishes)
        return f"Next: {typed('train', self.dataset, 'RUN')}" if summary.clips["train"] else ""

    def _divide(self, shares: int) -> str:
        from sharding.pack.pack import divide

        count = len(divide(self.videos, self.dataset, self.config, self.wishes, shares).shares)
        each = f"{self._again('--share', 'I')} for each I from 0 to {count - 1}, at once; then: " if count else ""
        return f"Next: {each}{self._again()}"

    def _pack_share(self, share: int) -> str:
        from sharding.pack.pack import pack_share

        pack_share(self.videos, self.dataset, self.config, self.wishes, share)
        return f"Next, when all shares are whole: {self._again()}"

    def _again(self, *more: str) -> str:
        """A call for the same dataset; what is taken out or tried again is settled by then."""
        root = ["--root", self.wishes.root] if self.wishes.root else []
        return typed("pack", self.videos, self.dataset, *root, *flags_of(self.config), *more)


@dataclass(frozen=True, kw_only=True, slots=True)
class Verify(Parsed):
    """Check every byte of a dataset: checksums, members, side files, indexes; missing, cut off and foreign files."""

    dataset: Annotated[Positional[Path], arg(metavar="DATASET")]
    """A folder that avsync pack wrote."""
    jobs: int | None = None
    """Shards checked at the same time; default, and 0: one for each CPU core this process may use."""
    decode: bool = False
    """Decode every clip from its first to its last frame, not only the headers of its members: slow."""

    def __post_init__(self) -> None:
        if self.jobs is not None and self.jobs < 0:
            raise InputError(f"--jobs {self.jobs} must not be below 0; 0 is one for each CPU core")

    def execute(self) -> str:
        from sharding.verify.verify import verify

        return f"{verify(self.dataset, self.jobs, decode=self.decode)}: all as packed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Advise(Parsed):
    """Try every stored form on a sample of the videos and on the disk they would be read from; about a minute."""

    videos: Annotated[Positional[Path], arg(metavar="VIDEOS")]
    """A folder or a CSV, as for avsync pack."""
    root: Path | None = None
    """Folder that the videos of a CSV lie in; its own folder by default."""
    disk: Path = Path()
    """A folder of the disk that the dataset would lie on; default: this one. What is written there is removed again."""
    gpu_clips_per_s: float = 200
    """Clips a second that training takes.
    200 is computed, not measured: the paper's network needs 0.5 TFLOP for a clip, a GPU sustains 100 TFLOP/s."""
    config: Annotated[PackConfig, arg(name="")] = field(default_factory=PackConfig)

    def __post_init__(self) -> None:
        if not 0 < self.gpu_clips_per_s < float("inf"):
            raise InputError(f"--gpu-clips-per-s {self.gpu_clips_per_s} must be a number above 0")

    def execute(self) -> str:
        from sharding.advise.advise import advise

        chosen = advise(self.videos, self.disk, self.gpu_clips_per_s, self.config, root=self.root)
        told = ["--root", self.root] if self.root else []
        settings = flags_of(self.config, leave_out=("codec",))
        return f"Next: {typed('pack', self.videos, 'DATASET', *told, '--codec', chosen, *settings)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Train:
    """Train a network on a dataset. The same command again resumes at the exact step."""

    dataset: Annotated[Positional[str], arg(metavar="DATASET")]
    """A folder that avsync pack wrote, or the URL of one: https://host/data, s3://bucket/data,
    'pipe:COMMAND with {}' where {} is a file's name, or what else webdataset opens; a URL needs --runtime.scratch."""
    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """Folder of the run: settings, checkpoints, TensorBoard."""
    preset: PresetName = DEFAULT_PRESET
    """Settings to start from; the flags below override them, and show this preset's values as defaults."""
    config: Annotated[TrainConfig, arg(name="")] = field(default_factory=PRESETS[DEFAULT_PRESET])

    @classmethod
    def parse(cls, arguments: Sequence[str], prog: str) -> Self:
        """The preset first, since it sets the defaults of the other flags."""
        preset = preset_in(arguments)
        missing: Any = tyro.MISSING
        default = cls(dataset=missing, run=missing, preset=preset, config=PRESETS[preset]())
        return tyro.cli(cls, args=list(arguments), prog=prog, default=default, registry=registry(arguments))

    def execute(self) -> str:
        from avsync.train.trainer import train

        train(self.dataset, self.run, self.config)
        return ""  # every rank gets here; the trainer's report, on the main one, has said what to do next


def preset_in(arguments: Sequence[str]) -> str:
    """The preset named on the command line; the default one when there is none, or none that exists: tyro says so."""
    named = [value for flag, value in values_of(arguments) if flag == "--preset" and value in PRESETS]
    return named[-1] if named else DEFAULT_PRESET


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluate(Parsed):
    """Measure a trained network: accuracy with its confidence interval, by action and by shift; table, CSV, plot."""

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """Folder of a training run."""
    dataset: Annotated[Positional[Path], arg(metavar="DATASET")]
    """A folder that avsync pack wrote."""
    config: Annotated[EvaluateConfig, arg(name="")] = field(default_factory=EvaluateConfig)

    def execute(self) -> str:
        from avsync.evaluate.evaluate import evaluate

        evaluate(self.run, self.dataset, self.config)
        return f"Next: {typed('localize', self.run, 'VIDEO')}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Localize(Parsed):
    """Show where the sound comes from: a heat map over the video, with its sound, and a sheet of pictures."""

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """Folder of a training run."""
    video: Annotated[Positional[Path], arg(metavar="VIDEO")]
    """Any video with sound."""
    config: Annotated[LocalizeConfig, arg(name="")] = field(default_factory=LocalizeConfig)

    def execute(self) -> str:
        from avsync.localize.localize import localize

        localize(self.run, self.video, self.config)
        return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Demo(Parsed):
    """The whole path on generated scenes: make, pack, train, evaluate, localise. Minutes on a laptop, no GPU."""

    folder: Annotated[Positional[Path], arg(metavar="FOLDER")] = Path("demo")
    """Where everything goes; the same command again goes on where it stopped."""

    def execute(self) -> str:
        from launch.demo import demo

        demo(self.folder)
        return ""


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

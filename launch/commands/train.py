"""Commands about networks, from the audit before training to what a trained one is asked. As in data.py.

torch is imported late, inside `execute`.
"""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import Positional, arg

from avsync.audit.config import AuditConfig
from avsync.config import EvaluateConfig, LocalizeConfig, PairConfig, SeparateConfig, TrainConfig
from avsync.curate.config import CurateConfig, CurateOptions
from avsync.finetune.config import FINETUNE_PRESETS, FinetuneConfig
from avsync.presets import PRESETS
from avsync.run.paths import RunPaths, run_of
from avsync.score.config import ScoreConfig
from avsync.separation.config import SeparateOptions
from launch.commands.flags import flags_of, typed
from launch.commands.parse import Parsed
from sharding.base.console import WaitNotice, open_console
from sharding.base.environment import is_first_rank
from sharding.base.written_paths import IS_PATH, typed_path
from sharding.errors import InputError

if TYPE_CHECKING:
    PresetName = str
    FinetunePresetName = str
else:
    PresetName = tyro.extras.literal_type_from_choices(tuple(PRESETS))
    FinetunePresetName = tyro.extras.literal_type_from_choices(tuple(FINETUNE_PRESETS))

DEFAULT_PRESET = "paper"
"""Of both tables."""


@contextmanager
def starting() -> Iterator[None]:
    """Around the import of torch: on a slow or busy file system it takes a minute.

    Python looks for garbage as objects become more, and finds none among modules: it waits, and leaves them out later.
    """
    if "torch" in sys.modules:
        yield
        return
    with WaitNotice("loading torch", open_console(stderr=True, quiet=not is_first_rank())):
        gc.disable()
        try:
            yield
        finally:
            gc.enable()
        gc.freeze()


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
        with starting():
            from avsync.audit.audit import Written, audit, refuse

        found = audit(self.dataset, self.config, Written(page=self.page, json=self.json), self._again())
        refuse(found, strict=self.strict)
        flags = _flags_below("pairs", self.config.pairs)
        if self.config.labels == "mixtures":
            flags = ["--preset", "separate", "--features", "SYNC_RUN", *flags, *self._separate_flags()]
        following = typed("train", self.dataset, "RUN", *flags)
        return f"Next: {following}" if found.verdict == "pass" else ""

    def _again(self) -> str:
        own = flags_of(self.config, leave_out=("pairs", "separate"))
        return typed("audit", self.dataset, *own, *_flags_below("pairs", self.config.pairs), *self._separate_flags())

    def _separate_flags(self) -> list[str]:
        return _flags_below("separate", self.config.separate)


FACES = Path("faces")
"""Weights that come with avsync, by their name."""


def _flags_below(field: str, settings: PairConfig | SeparateConfig) -> list[str]:
    """`--pairs.law cyclic`."""
    return [f"--{field}.{word[2:]}" if word.startswith("--") else word for word in flags_of(settings)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Train(Parsed):
    """Train a network on a dataset. The same command again resumes at the exact step."""

    switch_pairs = True
    presets = PRESETS

    dataset: Annotated[Positional[str], arg(metavar="DATASET"), IS_PATH]
    """A folder that avsync pack wrote, or the URL of one: https://host/data, s3://bucket/data,
    'pipe:COMMAND with {}' where {} is a file's name, or what else webdataset opens; a URL needs --runtime.scratch."""
    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """Folder of the run: settings, checkpoints, TensorBoard."""
    preset: PresetName = DEFAULT_PRESET
    """Settings to start from; the flags below override them, and show this preset's values as defaults. small, faces
    and separate take 15 to 40 minutes on two CPU cores; separate-gpu, covariance and thesis hours of a GPU, paper days.
    docs/networks.md: how to choose --steps."""
    origin: Annotated[Path | None, arg(name="from")] = None
    """Start from the best weights of another run of the same network, not from random ones; what was taken is said."""
    features: Path | None = None
    """With --preset separate: the run of a sync network, by whose features it sees what sounds."""
    check: bool = False
    """Do not train: look in three minutes for what would keep it from learning, and say the remedy. Exit code 1 when
    something is found. RUN is left alone."""
    config: Annotated[TrainConfig, arg(name="")] = field(default_factory=PRESETS[DEFAULT_PRESET])

    def execute(self) -> str:
        if self.check:
            return self._check()
        with starting():
            from avsync.train.trainer import train

        runtime = self.config.runtime  # a folder of the machine that trains: of a job, its variables are set there only
        scratch = typed_path(runtime.scratch, "--runtime.scratch")
        config = replace(self.config, runtime=replace(runtime, scratch=scratch))
        if config.separates:
            from avsync.separation.learner import train_separator  # late: it brings what draws

            train_separator(self.dataset, self.run, config, self.origin, self.features)
        elif self.features:
            raise InputError(f"--features {self.features} is for --preset separate; --from starts from another run")
        else:
            train(self.dataset, self.run, config, self.origin)
        return ""  # every rank gets here; the trainer's report, on the main one, ends with what to do next

    def _check(self) -> str:
        if self.config.separates:
            raise InputError("--check looks at sync networks; of mixtures avsync audit asks what gives them away")
        with starting():
            from avsync.check.causes import check, refuse

        if is_first_rank():
            refuse(check(self.dataset, self.config))
        return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluate(Parsed):
    """Measure a trained network: accuracy with its confidence interval, by action and by shift; table, CSV, plot.

    Of one that takes sounds apart: decibels, beside the ceiling and what another clip's picture gives.
    """

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """Folder of a training run."""
    dataset: Annotated[Positional[Path], arg(metavar="DATASET")]
    """A folder that avsync pack wrote."""
    config: Annotated[EvaluateConfig, arg(name="")] = field(default_factory=EvaluateConfig)

    def execute(self) -> str:
        with starting():
            from avsync.evaluate.evaluate import evaluate
            from avsync.run.info import read_run
            from avsync.separation.measure import measure

        if read_run(RunPaths(run_of(self.run))).config.separates:
            measure(self.run, self.dataset, self.config)
            return f"Next: {typed('separate', self.run, 'VIDEO')}"
        evaluate(self.run, self.dataset, self.config)
        return f"Next: {typed('localize', self.run, 'VIDEO')}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Localize(Parsed):
    """Show where the sound comes from: a heat map over the video, with its sound, and a sheet of pictures."""

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """Folder of a training run; faces: the network of faces that comes with avsync."""
    video: Annotated[Positional[Path], arg(metavar="VIDEO")]
    """Any video with sound."""
    config: Annotated[LocalizeConfig, arg(name="")] = field(default_factory=LocalizeConfig)

    def execute(self) -> str:
        with starting():
            from avsync.localize.localize import localize

        localize(self.run, self.video, self.config)
        return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Separate(Parsed):
    """Write a video with the sound of what is seen only, and one with the rest; and a picture of both."""

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """Folder of a run of network separate: avsync train DATASET RUN --preset separate --features OTHER."""
    video: Annotated[Positional[Path], arg(metavar="VIDEO")]
    """Any video with sound, of any length."""
    config: Annotated[SeparateOptions, arg(name="")] = field(default_factory=SeparateOptions)

    def execute(self) -> str:
        with starting():
            from avsync.separation.separate import separate

        separate(self.run, self.video, self.config)
        return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Score(Parsed):
    """Say of files whether sound and picture are in sync; if not, by how much and where; or that it can't be told.

    An offset above 0 means that the sound comes late.
    """

    run: Annotated[Positional[Path], arg(metavar="[RUN]")]
    """Folder of a training run; left out, or faces: the network of faces that comes with avsync."""
    videos: Annotated[Positional[tuple[Path, ...]], arg(metavar="VIDEO ...")]
    """Videos with sound, of any length; with --json folders of them, too."""
    json: Path | None = None
    """For sets: a line of JSON for each file, appended as it is done, LINES.jsonl; then figures for all of them. The
    same command again goes on. No VIDEO.json, no pictures."""
    against: Path | None = None
    """Another folder with files of the same names: compare by pairs, with --json."""
    config: Annotated[ScoreConfig, arg(name="")] = field(default_factory=ScoreConfig)

    def __post_init__(self) -> None:
        _, videos = self._asked()
        if self.config.fix_to and (len(videos) > 1 or not self.config.fix):
            raise InputError(
                f"--fix-to {self.config.fix_to} names the fixed copy of one video: give --fix with it, and one video"
            )

        if self.json and (self.config.fix or self.config.output):
            flag = "--fix" if self.config.fix else "--output"
            raise InputError(f"--json writes lines alone: leave {flag} out, or --json {self.json}")

    def execute(self) -> str:
        run, videos = self._asked()
        if self.against and not self.json:
            raise InputError(f"--against {self.against} compares sets: give --json LINES.jsonl with it")
        if not videos:
            raise InputError(f"avsync score needs a video, and {self.run} is no file: avsync score [RUN] VIDEO ...")
        os.environ.setdefault(
            "OPENBLAS_NUM_THREADS", "1"
        )  # before NumPy: its threads wait by spinning, beside decoding
        if self.json:
            with starting():
                from avsync.score.report import report_set
                from avsync.score.score_set import score_set

            return report_set(score_set(run, videos, self.config, self.json, self.against))
        with starting():
            from avsync.score.report import report, tell
            from avsync.score.score import score

        return report(score(run, videos, self.config, tell))

    def _asked(self) -> tuple[Path, tuple[Path, ...]]:
        """The network, and the videos: what is a file is no run, nor, for sets, a folder without one."""
        video = self.run.is_file() or (bool(self.json) and self.run.is_dir() and not RunPaths(self.run).info.is_file())
        return (FACES, (self.run, *self.videos)) if video else (self.run, self.videos)


@dataclass(frozen=True, kw_only=True, slots=True)
class Curate(Parsed):
    """Look through videos for what a network can be trained on: what is in sync, what is off and by how much, what
    drifts or steps, what is no material. A row for each piece; avsync pack TABLE DATASET packs what is to be kept, its
    sound moved to the picture. The same command again goes on where it stopped.
    """

    videos: Annotated[Positional[Path], arg(metavar="VIDEOS")]
    """A folder of videos, or a CSV that lists them, as for avsync pack."""
    table: Annotated[Positional[Path], arg(metavar="TABLE")]
    """The .csv to write; beside it lie the boxes of its faces, and a folder of answers, from which a call goes on."""
    config: Annotated[CurateConfig, arg(name="")] = field(default_factory=CurateConfig)
    options: Annotated[CurateOptions, arg(name="")] = field(default_factory=CurateOptions)

    @property
    def answers(self) -> Path:
        """The folder that its jobs work in."""
        return self.table.with_suffix(".answers")

    def execute(self) -> str:
        with starting():
            from avsync.curate.curate import curate

        found = curate(self.videos, self.table, self.config, self.options)
        if self.options.share is not None or not any(one.keeps for one in found):
            return ""
        root = self.videos if self.videos.is_dir() else self.options.root or self.videos.parent
        return f"Next: {typed('pack', self.table, 'DATASET', '--root', root)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finetune(Parsed):
    """Recognise actions with a run's features, beside the same network from random weights; same clips, same steps.

    The val split picks each one's checkpoint, the test split is looked at once. The same command again goes on.
    """

    presets = FINETUNE_PRESETS

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """Folder of a training run."""
    dataset: Annotated[Positional[Path], arg(metavar="DATASET")]
    """A folder that avsync pack wrote, of the same form as the run's own."""
    out: Annotated[Positional[Path], arg(metavar="OUT")]
    """Folder for results, checkpoints and TensorBoard."""
    preset: FinetunePresetName = DEFAULT_PRESET
    """Settings to start from; the flags below override them, and show this preset's values as defaults."""
    config: Annotated[FinetuneConfig, arg(name="")] = field(default_factory=FINETUNE_PRESETS[DEFAULT_PRESET])

    def execute(self) -> str:
        with starting():
            from avsync.finetune.finetune import finetune

        finetune(self.run, self.dataset, self.out, self.config)
        return f"Next: {typed('board', self.out)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Demo(Parsed):
    """The whole path on generated scenes: make, pack, train, evaluate, localise. About 10 minutes, no GPU."""

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

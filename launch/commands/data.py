"""Commands about videos and datasets, as dataclasses: fields are what a person types, `execute` does the work.

Only settings are imported here; the work is imported late, inside `execute`. To add a command: a class here or in
train.py, a line in COMMANDS of entries.py.
"""

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from avsync.run.paths import RunPaths, no_run, remains_of_run
from launch.commands.flags import flags_of, typed
from launch.commands.parse import Parsed
from sharding.base.written_paths import IS_PATH
from sharding.config import FACES, PackConfig, PackOptions
from sharding.errors import InputError
from sharding.scenes.config import SceneConfig

if TYPE_CHECKING:
    from sharding.advise.advice import TrainingRate

DATASET = "dataset.json"
"""Of a whole dataset."""


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
    """A folder whose sub-folders name the actions, or a CSV: path,action[,start_s,end_s][,split][,group]
    [,video_stream][,audio_stream], or a table of avsync curate, or, of Kinetics,
    label,youtube_id,time_start,time_end,split."""
    dataset: Annotated[Positional[Path], arg(metavar="DATASET")]
    """Folder to write the shards to."""
    dry_run: Annotated[bool, arg(name="dry-run")] = False
    """Say what would be packed and how large it would be; write nothing."""
    shares: int | None = None
    """Pack nothing, but divide what is missing into at most so many shares, for as many calls on many machines."""
    share: int | None = None
    """Pack only this share of what --shares divided, from 0 on; when all are done, a call without it finishes."""
    config: Annotated[PackConfig, arg(name="")] = field(default_factory=PackConfig)
    options: Annotated[PackOptions, arg(name="")] = field(default_factory=PackOptions)

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
            dry_run(self.videos, self.dataset, self.config, options=self.options)
            return ""
        summary = pack(self.videos, self.dataset, self.config, options=self.options)
        return f"Next: {typed('train', self.dataset, 'RUN')}" if summary.clips["train"] else ""

    def _divide(self, shares: int) -> str:
        from sharding.pack.pack import divide

        count = len(divide(self.videos, self.dataset, self.config, self.options, shares).shares)
        each = f"{self._again('--share', 'I')} for each I from 0 to {count - 1}, at once; then: " if count else ""
        return f"Next: {each}{self._again()}"

    def _pack_share(self, share: int) -> str:
        from sharding.pack.pack import pack_share

        pack_share(self.videos, self.dataset, self.config, self.options, share)
        return f"Next, when all shares are whole: {self._again()}"

    def _again(self, *more: str) -> str:
        """A call for the same dataset; what is taken out or tried again is settled by then."""
        root = ["--root", self.options.root] if self.options.root else []
        card = ["--card"] if self.options.card and not more else []  # the call that finishes writes it
        return typed("pack", self.videos, self.dataset, *root, *flags_of(self.config), *card, *more)


@dataclass(frozen=True, kw_only=True, slots=True)
class Faces(Parsed):
    """Find the faces of videos, and write a box around the mouth of each, moment by moment: what `avsync pack --crop
    faces` cuts by, as a table to look at, edit, and give to `avsync pack --crop TABLE`.
    """

    videos: Annotated[Positional[Path], arg(metavar="VIDEOS")]
    """A folder of videos, or a CSV that lists them, as for avsync pack."""
    table: Annotated[Positional[Path], arg(metavar="TABLE")]
    """The .csv to write."""
    sheet: Path | None = None
    """Also draw moments of each track, as they would be packed, to this .png."""
    root: Path | None = None
    """Folder that the videos of a CSV lie in; its own folder by default."""
    min_crop: int = 32
    """Smallest side of a mouth's box in pixels of the video; what is smaller is left out."""
    workers: int | None = None
    """Processes that look at the same time; default, and 0: one for each CPU core this process may use."""

    def execute(self) -> str:
        from sharding.show.face_table import find_all

        config = PackConfig(crop=FACES, min_crop=self.min_crop, workers=self.workers)
        find_all(self.videos, self.table, config, root=self.root, sheet=self.sheet)
        root = ["--root", self.root] if self.root else []
        return f"Next: {typed('pack', self.videos, 'DATASET', *root, '--crop', self.table)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Show(Parsed):
    """Say what is inside a dataset: splits, actions, rejects and why, and how well picture and sound fit together.

    Of a run: its attempts, and which clips it was trained on. Of a video: its streams, which of them avsync pack would
    use and why, and what it would cut.
    """

    folder: Annotated[Positional[Path], arg(metavar="DATASET|RUN|VIDEO")]
    """A folder that avsync pack or avsync train wrote, or a video file."""
    worst: int = 10
    """Of a dataset: sources in the table of those with the most trouble."""
    samples: int = 6
    """Of a dataset: clips of each split on page and sheet, spread evenly over it."""
    page: Path | None = None
    """Of a dataset: write all of it as one HTML page with charts and a contact sheet, which any browser opens."""
    sheet: Path | None = None
    """Of a dataset: write the contact sheet alone as a PNG picture."""
    csv: Path | None = None
    """Of a dataset: write a row for each source to a .csv, those whose clock is doubtful or was mended first. Of a run:
    write the list of its clips, to a file that ends in .csv, or .jsonl for JSON lines."""
    clips: bool = False
    """Of a run: list the clips of each step, where their windows begin, flip and crop."""
    step: Annotated[str, arg(metavar="A[:B]", help_behavior_hint="(default: all that are saved)")] = ""
    """Of a run: only this step, or with A:B the steps from A to before B; the first is 0."""
    dataset: Annotated[str, arg(metavar="DIR", help_behavior_hint=""), IS_PATH] = ""
    """Of a run: the folder where its dataset lies now, if it was moved or the run read it from a URL."""
    video_stream: int | None = None
    """Of a video: index of the stream that holds the picture; default: as avsync pack would choose."""
    audio_stream: int | None = None
    """The same of the sound."""

    def __post_init__(self) -> None:
        for flag, count in (("--worst", self.worst), ("--samples", self.samples)):
            if count < 0:
                raise InputError(f"{flag} {count} must not be below 0")

    def execute(self) -> str:
        if RunPaths(self.folder).info.is_file():
            self._check_flags("run", "is a run")
            return self._show_run()
        if self._is_video():
            self._check_flags("video", "is a file")
            return self._show_video()
        if remains_of_run(self.folder) and not (self.folder / DATASET).exists():
            raise InputError(no_run(self.folder))
        self._check_flags("dataset", f"has no {RunPaths(self.folder).info.name}")
        return self._show_dataset()

    def _check_flags(self, kind: str, fact: str) -> None:
        """Raises InputError for a flag that is not for what is shown."""
        flags = (
            ("--page", self.page, ("dataset",)),
            ("--sheet", self.sheet, ("dataset",)),
            ("--csv", self.csv, ("dataset", "run")),
            ("--clips", self.clips or None, ("run",)),
            ("--step", self.step or None, ("run",)),
            ("--dataset", self.dataset or None, ("run",)),
            ("--video-stream", self.video_stream, ("video",)),
            ("--audio-stream", self.audio_stream, ("video",)),
        )
        for flag, value, kinds in flags:
            if value is not None and kind not in kinds:
                wanted = " or a ".join(kinds)
                fact = "is no video file" if kind == "dataset" and kinds == ("video",) else fact
                raise InputError(
                    f"{flag} is for a {wanted}, and {self.folder} {fact}; leave it out, or name a {wanted}"
                )

    def _is_video(self) -> bool:
        from sharding.sources.source import is_video

        return not self.folder.is_dir() and (self.folder.exists() or is_video(self.folder.name))

    def _show_video(self) -> str:
        from sharding.containers.choice import StreamWish
        from sharding.show.video_screen import show_video

        show_video(self.folder, StreamWish(video=self.video_stream, audio=self.audio_stream))
        return ""

    def _show_run(self) -> str:
        from avsync.run.show import Clips, show_attempts, show_clips

        if self.clips or self.step or self.csv:
            show_clips(self.folder, Clips(step=self.step, file=self.csv, dataset=self.dataset or None))
            return ""
        show_attempts(self.folder)
        return f"Next: {typed('show', self.folder, '--clips')}"

    def _show_dataset(self) -> str:
        from sharding.show.show import ShowOptions, show

        wanted = ShowOptions(worst=self.worst, clips=self.samples, page=self.page, sheet=self.sheet, csv=self.csv)
        written = show(self.folder, wanted)
        return f"Next: open {' and '.join(shlex.quote(str(path)) for path in written)}" if written else ""


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
    gpu_clips_per_s: Annotated[float | None, arg(help_behavior_hint="(default: by what this machine has)")] = None
    """Clips a second that training takes. Where nobody says: 70 for a GPU, computed (the paper's network needs 1.4
    TFLOP for a clip, a GPU sustains 100 TFLOP/s); without one 3 for each core, measured with --preset small."""
    config: Annotated[PackConfig, arg(name="")] = field(default_factory=PackConfig)

    def __post_init__(self) -> None:
        if self.gpu_clips_per_s is not None and not 0 < self.gpu_clips_per_s < float("inf"):
            raise InputError(f"--gpu-clips-per-s {self.gpu_clips_per_s} must be a number above 0")

    def execute(self) -> str:
        from sharding.advise.advise import advise

        chosen = advise(self.videos, self.disk, self._training(), self.config, root=self.root)
        root = ["--root", self.root] if self.root else []
        settings = flags_of(self.config, leave_out=("codec",))
        return f"Next: {typed('pack', self.videos, 'DATASET', *root, '--codec', chosen, *settings)}"

    def _training(self) -> "TrainingRate":
        from sharding.advise.advice import TrainingRate

        if self.gpu_clips_per_s is not None:
            return TrainingRate(self.gpu_clips_per_s, "as --gpu-clips-per-s says")
        from sharding.base.environment import available_cores

        return TrainingRate.assumed(gpu=_trains_on_a_gpu(), cores=available_cores())


def _trains_on_a_gpu() -> bool:
    """What training would choose here; without a torch that loads, nothing does."""
    try:
        from avsync.run.network import pick_device
    except Exception:  # whatever an import of it raises
        return False
    return pick_device("auto").type == "cuda"

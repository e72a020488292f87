"""TensorBoard: three runs side by side in every chart (train, validation, chance), and one clean curve after a resume.

Only rank 0 owns a Tracker. Everything up to a checkpoint is on disk before the checkpoint is; a resumed run purges what
came after it (purge_step), so no step is drawn twice. A disk that takes no curves ends no training.
"""

import math
import os
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorboard.compat.tensorflow_stub.io.gfile import LocalFileSystem
from tensorboard.summary.writer.event_file_writer import _AsyncWriterThread
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from avsync.honesty.examination import Examination
from avsync.loading.meter import LoadFigures
from avsync.run.info import RunInfo
from avsync.run.paths import RunPaths
from avsync.run.receipt import Receipt
from avsync.staging.shelf import Counts
from avsync.train.gpu import GpuUse
from avsync.train.stragglers import Straggler
from sharding.base.guarded import make_folder, open_in_place
from sharding.base.housekeeping import housekeeping
from sharding.errors import InputError

CHANCE_ACCURACY = 0.5
PLATEAU_LOSS = math.log(2)  # a network that knows nothing; the loss stays near it for long before it falls

PAGE = {
    "Does it cheat?": {
        "accuracy: as it is, and audited; with another clip's picture or muted sound an honest network is at 0.5": [
            "Multiline",
            [
                "accuracy$",
                "honesty/audited_accuracy",
                "honesty/accuracy_with_another_picture",
                "honesty/accuracy_with_muted_sound",
            ],
        ],
        "maps: do they listen (0: the same map whatever is heard), do they point (0: whole frames are lit)": [
            "Multiline",
            ["honesty/maps_listened", "honesty/maps_spatial"],
        ],
    },
    "What starves the GPU": {
        "a step: waiting for data, copying it, computing (ms)": [
            "Multiline",
            ["loading/a_step_waits_ms", "loading/a_batch_is_copied_to_the_gpu_ms", "loading/a_step_computes_ms"],
        ],
        "a worker's clip: reading, decoding (ms)": [
            "Multiline",
            ["loading/a_clip_is_read_ms", "loading/a_clip_is_decoded_ms"],
        ],
        "batches that lay ready when one was asked for; 0: loading is the limit": [
            "Multiline",
            ["loading/batches_ready"],
        ],
        "read from disk (MB/s)": ["Multiline", ["loading/megabytes_per_s"]],
    },
}
"""The pages of the tab CUSTOM SCALARS: whether one stream alone is enough, and which stage the others wait for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepMetrics:
    """What is drawn every few steps of training."""

    step: int
    sums: tuple[float, ...]
    """Over all ranks since the last point: loss, right answers and examples of each network."""
    unreadable: int
    """Clips since the last point."""
    learning_rate: float
    clips: int
    """Trained on since the last point."""
    data_wait: float
    """Fraction of the time spent waiting for data, 0 to 1; of the rank that waits longest."""
    load: LoadFigures
    """Of rank 0."""
    skipped: int
    """Unreadable clips so far."""
    gpu: GpuUse | None
    """Busy: mean of all ranks; memory: of rank 0."""
    copies: Counts | None
    """Of rank 0; None without a scratch folder."""
    ranks: Mapping[str, float]
    """Points of curves that compare the ranks."""
    slow: Straggler | None
    """Whom the other ranks wait for."""

    @property
    def means(self) -> list[tuple[float, float]]:
        """Loss and accuracy of each network."""
        networks = zip(self.sums[::3], self.sums[1::3], self.sums[2::3], strict=True)
        return [(loss / max(examples, 1), right / max(examples, 1)) for loss, right, examples in networks]

    @property
    def loss(self) -> float:
        """Of the first network."""
        return self.means[0][0]

    @property
    def accuracy(self) -> float:
        return self.means[0][1]

    @property
    def clips_per_s(self) -> float:
        return self.clips / self.load.seconds

    def check(self) -> None:
        """Raises InputError when a loss is no number any more: no later step can mend the weights."""
        for loss in self.sums[::3]:
            if not math.isfinite(loss):
                raise InputError(
                    f"the loss is {loss} at step {self.step}: the training went astray. Train anew in another folder "
                    "with a lower --optim.lr, or a smaller --optim.clip-norm"
                )


class CurveFolder:
    """A folder of curves, where points after the step that work goes on from are forgotten.

    What cannot be written is told once. Then nothing is drawn there until the next checkpoint, which tries again with
    another file: TensorBoard's own writer is of no use after an error.
    """

    def __init__(self, folder: Path, resumed_at: int) -> None:
        self._folder, self._writer = folder, None
        self._purge: int | None = resumed_at + 1 if resumed_at else 0  # 0: an attempt that died before a checkpoint
        _let_writers_end()
        self._open()

    def draw(self, work: Callable[[SummaryWriter], object]) -> None:
        """Have something written, if anything can be."""
        writer, self._writer = self._writer, None
        if writer:
            with housekeeping("draw curves in", self._folder, Exception):  # of that library's own kinds, too
                work(writer)
                self._writer = writer

    def scalars(self, points: Mapping[str, float], step: int) -> None:
        """A point of each curve."""
        for name, value in points.items():
            self.draw(lambda writer, name=name, value=value: writer.add_scalar(name, value, step))

    def text(self, name: str, text: str, step: int) -> None:
        self.draw(lambda writer: writer.add_text(name, text, step))

    def image(self, name: str, picture: NDArray[np.uint8], step: int) -> None:
        """picture: (H, W, 3) uint8"""
        self.draw(lambda writer: writer.add_image(name, picture, step, dataformats="HWC"))

    def flush(self) -> None:
        """Reach the disk, or try again what could not be written before."""
        if self._writer:
            self.draw(lambda writer: writer.flush())
        else:
            self._open()

    def close(self) -> None:
        self.draw(lambda writer: writer.close())
        self._writer = None

    def _open(self) -> None:
        with housekeeping("draw curves in", self._folder, Exception):
            make_folder(self._folder)
            unforeseen = f".{secrets.token_hex(4)}"  # nobody can have put something in its place
            self._writer = SummaryWriter(
                str(self._folder), purge_step=self._purge, flush_secs=30, filename_suffix=unforeseen
            )
            _append_in_place(self._writer)
            self._purge = None


class _InPlace(LocalFileSystem):
    """TensorBoard opens its file anew for each thing it adds: by then something else may have the name."""

    def append(self, filename: bytes, file_content: bytes, binary_mode: bool = False) -> None:
        with open(open_in_place(Path(os.fsdecode(filename)), os.O_WRONLY | os.O_APPEND), "ab") as file:
            file.write(file_content)


def _append_in_place(writer: SummaryWriter) -> None:
    file = writer._get_file_writer().event_writer._general_file_writer
    if isinstance(getattr(file, "fs", None), LocalFileSystem):  # TensorFlow, where it is installed, brings its own
        file.fs = _InPlace()


def _let_writers_end() -> None:
    """The threads of TensorBoard's writers print a traceback besides handing the error on, which is enough."""
    others = threading.excepthook

    def hook(ended: threading.ExceptHookArgs) -> None:
        if not isinstance(ended.thread, _AsyncWriterThread):
            others(ended)

    if getattr(others, "__name__", "") != hook.__name__:
        threading.excepthook = hook


class Tracker:
    """Writes a run's curves and pictures."""

    def __init__(self, paths: RunPaths, info: RunInfo, resumed_at: int) -> None:
        names = ("train", "validation", "chance")
        self.train, self.validation, self.chance = (CurveFolder(paths.tensorboard / name, resumed_at) for name in names)
        self.train.draw(lambda writer: writer.add_custom_scalars(PAGE))
        if not resumed_at:
            self._settings(info)

    def _settings(self, info: RunInfo) -> None:
        """Hyper-parameters as a text, and in the HPARAMS tab beside what validation measures."""
        results = dict.fromkeys(("accuracy", "loss", "roc_auc"), 0.0)
        for summary in hparams(dict(flat_settings(info.config)), results):
            # add_hparams would open a run of its own
            self.validation.draw(lambda writer, summary=summary: writer._get_file_writer().add_summary(summary))
        lines = [f"| {name} | {value} |" for name, value in flat_settings(info.config)]
        extra = [f"| dataset | {info.dataset_path} |", f"| code | {info.git} |", f"| torch | {info.torch} |"]
        self.train.text("settings", "\n".join(["| setting | value |", "|---|---|", *lines, *extra]), 0)

    def receipt(self, receipt: Receipt) -> None:
        """How this attempt began, as a text."""
        lines = [f"| {name} | {value} |" for name, value in flat_settings(receipt)]
        self.train.text("receipt", "\n".join(["| what | value |", "|---|---|", *lines]), receipt.step)

    def point(self, now: StepMetrics) -> None:
        """One point of every training curve."""
        self.train.scalars({"loss": now.loss, "accuracy": now.accuracy, **work_points(now)}, now.step)
        self.chance.scalars({"loss": PLATEAU_LOSS, "accuracy": CHANCE_ACCURACY}, now.step)

    def validated(self, step: int, loss: float, accuracy: float, auc: float) -> None:
        """One point of every validation curve."""
        self.validation.scalars({"loss": loss, "accuracy": accuracy, "roc_auc": auc}, step)
        self.chance.scalars({"roc_auc": CHANCE_ACCURACY}, step)

    def honesty(self, step: int, got: Examination) -> None:
        """One point of the curves that show a cheat: beside chance, where an honest network stays but for `audited`."""
        accuracies = {
            "accuracy_with_another_picture": got.with_another_picture().value,
            "accuracy_with_muted_sound": got.with_muted_sound().value,
            "audited_accuracy": got.audited,
        }
        for name, accuracy in accuracies.items():
            if accuracy is not None and math.isfinite(
                accuracy
            ):  # a val split of one source has no other picture to show
                self.validation.scalars({f"honesty/{name}": accuracy}, step)
            self.chance.scalars({f"honesty/{name}": CHANCE_ACCURACY}, step)
        for name in ("listened", "spatial") if (maps := got.maps) else ():
            scores, bars = getattr(maps, name), f"honesty/map_{name}"
            self.validation.scalars({f"honesty/maps_{name}": scores.mean()}, step)
            self.validation.draw(lambda writer, bars=bars, scores=scores: writer.add_histogram(bars, scores, step))

    def efficiency(self, step: int, busy: float, floor: float) -> None:
        """What the site looks at, and what it wants."""
        self.train.scalars({"efficiency/gpu_busy_mean": busy, "efficiency/floor": floor}, step)

    def note(self, name: str, text: str, step: int) -> None:
        """Something worth reading."""
        self.train.text(name, text, step)

    def first_batch(self, picture: NDArray[np.uint8]) -> None:
        """What the network is shown. picture: (H, W, 3) uint8"""
        self.train.image("first_batch", picture, 0)

    def heat_maps(self, picture: NDArray[np.uint8], step: int) -> None:
        """Where it looks, on fixed validation clips. picture: (H, W, 3) uint8"""
        self.validation.image("where_it_listens", picture, step)

    def flush(self) -> None:
        for writer in (self.train, self.validation, self.chance):
            writer.flush()

    def close(self) -> None:
        for writer in (self.train, self.validation, self.chance):
            writer.close()


def work_points(now: StepMetrics) -> dict[str, float]:
    """Rate, speed, loading and machine, whatever is trained."""
    load = now.load
    points = {
        "learning_rate": now.learning_rate,
        "speed/clips_per_s": now.clips_per_s,
        "speed/share_of_time_waiting_for_data": now.data_wait,
        "loading/a_step_computes_ms": load.step_ms,
        "loading/a_step_waits_ms": load.wait_ms,
        "loading/a_batch_is_copied_to_the_gpu_ms": load.transfer_ms,
        "loading/a_clip_is_read_ms": load.read_ms,
        "loading/a_clip_is_decoded_ms": load.decode_ms,
        "loading/batches_ready": load.ready,
        "loading/megabytes_per_s": load.megabytes_per_s,
        "data/workers_replaced": load.replaced,
        "data/unreadable_clips": now.skipped,
    }
    if now.copies:
        points |= {f"copies/{name}": value for name, value in flat_settings(now.copies)}
    points |= now.ranks
    if now.gpu:
        points |= {"gpu/busy": now.gpu.busy, "gpu/memory_gb": now.gpu.memory_gb}
    return points


def flat_settings(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values of nested settings."""
    for item in fields(config):
        value = getattr(config, item.name)
        if is_dataclass(value):
            yield from flat_settings(value, f"{prefix}{item.name}.")
        else:
            yield prefix + item.name, value

"""One run of one way, in a process of its own."""

import gc
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import psutil
import torch
from av.video.reformatter import VideoReformatter

from benchmarks.base.runner import warm
from benchmarks.load.catalog import ENTRIES, named
from benchmarks.load.job import BATCH, Delivered, Job, Resident, arrays, drop, shape_of
from benchmarks.load.traffic import Traffic
from benchmarks.load.ways import MATRIX, to_rgb
from sharding.format.dataset import Dataset

READ_AHEAD = 4
"""Batches not counted at the start: what lies ready then was not made in the time that is measured."""
LEAST = 4
"""Batches that are, at least."""
TAIL_S = 1.0
"""For so long after them memory is looked at between batches: it takes time, so it is not done while that is measured.
"""
RGB_TOLERANCE = 3.0
"""Mean difference of two right conversions, steps of 0 to 255: chroma may be interpolated or repeated."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """What a run has found."""

    clips_s: float
    mb_s: float
    """As delivered: 10**6 bytes."""
    cpu_ms: float
    """Of the whole process tree, for a clip."""
    first_s: float
    """From construction to the first batch in resident memory, imports done."""
    peak_mb: float
    """Proportional set size of the process tree, resident batch included."""
    read: float
    """Bytes that system calls copy in, for each byte delivered."""
    fresh: float
    """Bytes of memory handed out, for each byte delivered."""

    @property
    def cpu_mb(self) -> float:
        """CPU time for each megabyte delivered; two ways may deliver clips of different size."""
        return self.cpu_ms * self.clips_s / self.mb_s


def run(job: Job) -> Loaded:
    """Construct, take batches, look back."""
    torch.set_num_threads(1)
    entry = ENTRIES[job.way]
    opened, shape = named(entry.source), shape_of(job, entry.form or "planes")
    resident = Resident(shape) if entry.form else None
    gc.collect()
    (drop if job.cold else warm)(entry.files(job))
    started = time.perf_counter()
    batches = iter(opened(job))
    last = take(batches, resident)
    first_s = time.perf_counter() - started
    peak = tree_mb()
    for _ in range(READ_AHEAD - 1):
        last = take(batches, resident)
        peak = max(peak, tree_mb())
    longest = len(job.clips) // BATCH - READ_AHEAD if job.cold else sys.maxsize
    moved = Traffic.so_far(tree())
    count, cpu, begun = 0, tree_cpu(), time.perf_counter()
    while count < longest and (count < LEAST or time.perf_counter() - begun < job.seconds):
        last, count = take(batches, resident), count + 1
    wall, cpu = time.perf_counter() - begun, tree_cpu() - cpu
    moved = Traffic.so_far(tree()).since(moved)
    begun = time.perf_counter()
    while not job.cold and time.perf_counter() - begun < TAIL_S:
        last = take(batches, resident)
        peak = max(peak, tree_mb())
    if resident is not None and last.keys and entry.form != "float" and not job.way.startswith("source"):
        check(job, last, resident if not last.in_place else last)
    if close := getattr(batches, "close", None):
        close()
    clips = count * BATCH
    delivered = clips * shape.size
    return Loaded(
        clips_s=clips / wall,
        mb_s=delivered / wall / 1e6,
        cpu_ms=cpu / clips * 1000,
        first_s=first_s,
        peak_mb=peak,
        read=moved.read / delivered,
        fresh=moved.fresh / delivered,
    )


def take(batches: Iterator[Delivered], resident: Resident | None) -> Delivered:
    """The next batch, copied to where it stays."""
    batch = next(batches)
    if resident is not None:
        resident.take(batch)
    return batch


def tree() -> list[psutil.Process]:
    """This process and all below it."""
    me = psutil.Process()
    return [me, *me.children(recursive=True)]


def tree_cpu() -> float:
    """CPU seconds so far, those of ended children included."""
    return sum(sum(process.cpu_times()[:4]) for process in tree())


def tree_mb() -> float:
    """Memory of the tree; what is shared counts once."""
    total = 0
    for process in tree():
        try:
            with open(f"/proc/{process.pid}/smaps_rollup") as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
    return total * 1024 / 1e6


def check(job: Job, batch: Delivered, got: Resident | Delivered) -> None:
    """Were the right clips delivered? Raises ValueError: a fast loader of wrong bytes wins nothing."""
    data = job.open()
    clips = {data.key(clip): clip for clip in job.clips}
    if len(set(batch.keys)) != BATCH:
        raise ValueError(f"{job.way}: {len(set(batch.keys))} different clips in a batch of {BATCH}")
    rgb = ENTRIES[job.way].form == "rgb"
    for row, key in enumerate(batch.keys):
        video, audio = expected(data, clips[key], rgb)
        mine = got.video[row].numpy()
        wrong = np.abs(mine[::30].astype(int) - video[::30]).mean() if rgb else float(np.any(mine != video))
        if wrong > (RGB_TOLERANCE if rgb else 0):
            raise ValueError(f"{job.way}: pictures of {key} are not those that were packed, by {wrong:.1f}")
        if np.any(got.audio[row].numpy().reshape(audio.shape) != audio):
            raise ValueError(f"{job.way}: the sound of {key} is not what was packed")


def expected(data: Dataset, clip: int, rgb: bool) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and sound of a clip as the dataset has them."""
    stored = arrays(data, clip)
    if not rgb:
        return stored["video"], stored["audio"]
    meta = data.read(clip).meta()
    video = np.empty((meta.frames, meta.height, meta.width, 3), np.uint8)
    to_rgb(stored["video"], video, MATRIX[meta.matrix], VideoReformatter())
    return video, stored["audio"]


def prepare(order: tuple[Job, str]) -> None:
    """Write the copy of a job anew, with a `module:function`."""
    job, how = order
    torch.set_num_threads(1)
    shutil.rmtree(job.copy, ignore_errors=True)
    job.copy.mkdir(parents=True)
    named(how)(job)

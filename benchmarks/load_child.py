"""One run of one way, in a process of its own: `python -m benchmarks.load_child JOB`, JOB as JSON; prints what it saw.

With `--prepare module:function` before it, it has that write a copy of the clips instead.
"""

import gc
import os
import shutil
import sys
import time
from collections.abc import Iterator

import msgspec
import numpy as np
import psutil
import torch
from av.video.reformatter import VideoReformatter

from benchmarks.load_catalog import ENTRIES, named
from benchmarks.load_job import BATCH, Delivered, Job, Resident, drop, shape_of, warm
from benchmarks.load_ways import MATRIX, to_rgb
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


class Seen(msgspec.Struct, kw_only=True, frozen=True):
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


def run(job: Job) -> Seen:
    """Construct, take batches, look back."""
    entry = ENTRIES[job.way]
    opened, shape = entry.open(), shape_of(job, entry.form or "planes")
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
    count, cpu, begun = 0, tree_cpu(), time.perf_counter()
    while count < longest and (count < LEAST or time.perf_counter() - begun < job.seconds):
        last, count = take(batches, resident), count + 1
    wall, cpu = time.perf_counter() - begun, tree_cpu() - cpu
    begun = time.perf_counter()
    while not job.cold and time.perf_counter() - begun < TAIL_S:
        last = take(batches, resident)
        peak = max(peak, tree_mb())
    if resident is not None and last.keys and entry.form != "float":
        check(job, last, resident)
    clips = count * BATCH
    seen = Seen(
        clips_s=clips / wall, mb_s=clips * shape.size / wall / 1e6, cpu_ms=cpu / clips * 1000,
        first_s=first_s, peak_mb=peak,
    )  # fmt: skip
    close = getattr(batches, "close", None)
    if close:
        close()
    return seen


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


def check(job: Job, batch: Delivered, resident: Resident) -> None:
    """Were the right clips delivered? Raises ValueError: a fast loader of wrong bytes wins nothing."""
    data = job.open()
    clips = {data.key(clip): clip for clip in job.clips}
    if len(set(batch.keys)) != BATCH:
        raise ValueError(f"{job.way}: {len(set(batch.keys))} different clips in a batch of {BATCH}")
    mine = resident if not batch.in_place else batch
    rgb = ENTRIES[job.way].form == "rgb"
    for row, key in enumerate(batch.keys):
        video, audio = expected(data, clips[key], rgb)
        got = mine.video[row].numpy()
        wrong = np.abs(got[::30].astype(int) - video[::30]).mean() if rgb else float(np.any(got != video))
        if wrong > (RGB_TOLERANCE if rgb else 0) and not job.way.startswith("source"):
            raise ValueError(f"{job.way}: pictures of {key} are not those that were packed, by {wrong:.1f}")
        if not job.way.startswith("source") and np.any(mine.audio[row].numpy().reshape(audio.shape) != audio):
            raise ValueError(f"{job.way}: the sound of {key} is not what was packed")


def expected(data: Dataset, clip: int, rgb: bool) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and sound of a clip as the dataset has them."""
    stored = data.read(clip)
    meta = stored.meta()
    yuv = np.empty((meta.frames, meta.height * 3 // 2, meta.width), np.uint8)
    audio = np.empty((meta.samples, meta.channels), np.int16)
    data.codec.decode_video(stored.video, range(meta.frames), yuv)
    data.codec.decode_audio(stored.audio, 0, audio)
    if not rgb:
        return yuv, audio
    video = np.empty((meta.frames, meta.height, meta.width, 3), np.uint8)
    to_rgb(yuv, video, MATRIX[meta.matrix], VideoReformatter())
    return video, audio


def prepare(job: Job, how: str) -> None:
    """Write the copy anew."""
    shutil.rmtree(job.copy, ignore_errors=True)
    job.copy.mkdir(parents=True)
    named(how)(job)


def main() -> None:
    """Do what was asked, on as many cores as workers."""
    job = Job.of(sys.argv[-1])
    torch.set_num_threads(1)
    if sys.argv[1] == "--prepare":
        prepare(job, sys.argv[2])
        return
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: job.workers])
    said = msgspec.json.encode(run(job)).decode()
    print(f"\nseen {said}", flush=True)
    os._exit(0)  # some peers' threads do not end


if __name__ == "__main__":
    main()

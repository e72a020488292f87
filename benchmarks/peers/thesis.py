"""The thesis's two ways: a float32 .pth for each clip with torch.load; and, before that, the source video itself."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray
from torch.utils.data import Dataset

from benchmarks.load.job import BATCH, Delivered, Job, Shape, arrays, shape_of
from benchmarks.load.ways import MATRIX, to_rgb
from benchmarks.peers.torch_loader import Endless, Workers
from sharding.format.clip import ClipMeta

CLIPS = 24
"""Of which there is a .pth: each has 72 MB, and they must stay in the page cache."""


def prepare(job: Job) -> None:
    """Pictures (3, T, H, W) and sound as float32 from 0 to 1 and -1 to 1."""
    data, rgb, convert = job.open(), np.empty(shape_of(job, "rgb").video, np.uint8), VideoReformatter()
    for number, clip in enumerate(job.clips[:CLIPS]):
        stored = arrays(data, clip)
        to_rgb(stored["video"], rgb, MATRIX[data.read(clip).meta().matrix], convert)
        frames = torch.from_numpy(rgb).permute(3, 0, 1, 2).float().div_(255).contiguous()
        sound = torch.from_numpy(stored["audio"]).float().div_(32768)
        torch.save({"key": stored["key"], "frames": frames, "audio": sound}, job.copy / f"{number:04d}.pth")


class Tensors(Dataset):
    """torch.load of a file."""

    def __init__(self, folder: Path) -> None:
        self.paths = sorted(folder.glob("*.pth"))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> dict[str, Any]:
        return torch.load(self.paths[number])


class Pth:
    """One after the other in the process that wants them: a second thread brings nothing, it would wait for the GIL."""

    def __init__(self, job: Job) -> None:
        self.clips = Tensors(job.copy)

    def __iter__(self) -> Iterator[Delivered]:
        numbers = iter(Endless(len(self.clips)))
        while True:
            batch = [self.clips[number] for number in islice(numbers, BATCH)]
            keys, frames, audio = ([clip[name] for clip in batch] for name in ("key", "frames", "audio"))
            yield Delivered(keys, frames, audio)


class PthLoader(Workers):
    """... by the workers of a DataLoader."""

    names = ("key", "frames", "audio")

    def __init__(self, job: Job) -> None:
        super().__init__(Tensors(job.copy), job)


class Videos(Dataset):
    """Clips decoded from their sources; each frame that is needed through to_ndarray, in the size that is wanted."""

    def __init__(self, job: Job) -> None:
        data = job.open()
        self.folder, self.shape = job.videos, shape_of(job, "rgb")
        self.metas = [data.read(clip).meta() for clip in job.clips]

    def __len__(self) -> int:
        return len(self.metas)

    def __getitem__(self, number: int) -> tuple[str, NDArray[np.uint8], NDArray[np.int16]]:
        meta = self.metas[number]
        return meta.key, *decode(self.folder / meta.source, meta, self.shape)


class OnTheFly(Workers):
    """... in a DataLoader."""

    def __init__(self, job: Job) -> None:
        super().__init__(Videos(job), job)


def decode(path: Path, meta: ClipMeta, shape: Shape) -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
    """A clip of a source, by its frames' times; what the source does not reach stays black and silent."""
    video, audio = np.zeros(shape.video, np.uint8), np.zeros(shape.audio, np.int16)
    start, fps = Fraction(meta.first_frame) / meta.clock.fps, meta.clock.fps
    layout = "mono" if meta.channels == 1 else "stereo"
    resampler = av.AudioResampler(format="s16", layout=layout, rate=meta.clock.sample_rate)
    with av.open(str(path)) as container:
        pictures, sound = container.streams.video[0], container.streams.audio[0]
        pictures.thread_count = 1
        container.seek(int(start * av.time_base))
        filled = heard = 0
        for frame in container.decode(pictures, sound):
            if isinstance(frame, av.VideoFrame) and filled < len(video):
                slot = round((frame.time - float(start)) * fps) if frame.time is not None else filled
                if slot >= filled:
                    height, width = video.shape[1:3]
                    video[filled : slot + 1] = frame.to_ndarray(format="rgb24", width=width, height=height)
                    filled = slot + 1
            elif isinstance(frame, av.AudioFrame) and frame.time is not None and frame.time >= start:
                for block in resampler.resample(frame):
                    samples = block.to_ndarray().reshape(-1, meta.channels)[: len(audio) - heard]
                    audio[heard : heard + len(samples)] = samples
                    heard += len(samples)
            if filled >= len(video) and heard >= len(audio):
                break
    return video, audio

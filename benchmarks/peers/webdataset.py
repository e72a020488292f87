"""webdataset with its WebLoader: over our own tars, for a shard is a plain WebDataset tar."""

import io
from collections.abc import Iterator
from importlib import import_module
from itertools import islice
from typing import Any

import av
import numpy as np

from benchmarks.load.job import Delivered, Handed, Job
from sharding.format.codec import codec_named

webdataset: Any = import_module("webdataset")  # its stubs know little
SHUFFLE = 24
"""Clips in its shuffle buffer, before they are decoded: what is kept there costs memory and time to the first batch."""


class _Loader(Handed):
    """What all have in common; `fields` are the members that make a batch."""

    fields = ("__key__", "video", "audio")

    def __init__(self, job: Job) -> None:
        self.skipped = 0
        urls = [str(tar) for tar in job.tars()]
        clips = webdataset.WebDataset(
            urls, shardshuffle=len(urls), detshuffle=True, seed=0, nodesplitter=webdataset.split_by_node
        ).compose(webdataset.detshuffle(SHUFFLE, SHUFFLE))
        clips = self.decoded(clips).to_tuple(*self.fields).batched(job.rows, partial=False)
        self.loader = webdataset.WebLoader(
            clips.repeat() if job.endless else clips, batch_size=None, num_workers=job.workers
        )

    def decoded(self, clips: Any) -> Any:
        return clips.map(self.decode)

    def decode(self, sample: dict[str, Any]) -> dict[str, Any]:
        raise NotImplementedError

    def __iter__(self) -> Iterator[Delivered]:
        for keys, video, audio in islice(self.loader, self.skipped, None):
            yield Delivered(keys, video, audio)

    def state(self) -> Any:
        """It has none: what is left is to read again what has been read, and to forget it."""
        return {}

    def restore(self, state: Any, done: int) -> None:
        self.skipped = done


class Raw(_Loader):
    """npy members, by its own decoder."""

    fields = ("__key__", "video.npy", "audio.npy")

    def decoded(self, clips: Any) -> Any:
        return clips.decode()


class ToRGB(_Loader):
    """mp4 members as most programs read them with PyAV: to_ndarray of each frame. One thread, to its advantage."""

    def decode(self, sample: dict[str, Any]) -> dict[str, Any]:
        with av.open(io.BytesIO(sample["mp4"]), "r") as container:
            container.streams.video[0].thread_count = 1
            video = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
        return {"__key__": sample["__key__"], "video": video, "audio": sound(sample["flac"])}


class ToPlanes(_Loader):
    """mp4 members through our own decoding: what is left of the difference is the loader's."""

    def decode(self, sample: dict[str, Any]) -> dict[str, Any]:
        with av.open(io.BytesIO(sample["mp4"]), "r") as container:
            stream = container.streams.video[0]
            video = np.empty((stream.frames, stream.height * 3 // 2, stream.width), np.uint8)
        codec_named("h264").decode_video(sample["mp4"], range(len(video)), video)
        return {"__key__": sample["__key__"], "video": video, "audio": sound(sample["flac"])}


def sound(member: bytes) -> np.ndarray:
    """All of it, int16 (S, C)."""
    with av.open(io.BytesIO(member), "r") as container:
        stream = container.streams.audio[0]
        blocks = [frame.to_ndarray().reshape(-1, stream.channels) for frame in container.decode(stream)]
    return np.concatenate(blocks)

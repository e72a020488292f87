"""mosaicml-streaming: MDS shards without compression, its StreamingDataset and StreamingDataLoader."""

import os
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np

from benchmarks.load_job import BATCH, Delivered, Job, shape_of

streaming: Any = import_module("streaming")
PASSES = 1000
SHARD_BYTES = "256mb"


def prepare(job: Job) -> None:
    """The planes and the sound of each clip as arrays."""
    shape = shape_of(job, "planes")
    sizes = [",".join(map(str, part)) for part in (shape.video, shape.audio)]
    columns = {"key": "str", "video": f"ndarray:uint8:{sizes[0]}", "audio": f"ndarray:int16:{sizes[1]}"}
    with streaming.MDSWriter(out=str(job.copy), columns=columns, size_limit=SHARD_BYTES) as writer:
        for clip in arrays(job):
            writer.write(clip)


def arrays(job: Job) -> Iterator[dict[str, Any]]:
    """key, video: uint8 (T, H*3/2, W), audio: int16 (S, C) of every clip."""
    data, shape = job.open(), shape_of(job, "planes")
    for clip in job.clips:
        stored = data.read(clip)
        video, audio = np.empty(shape.video, np.uint8), np.empty(shape.audio, np.int16)
        data.codec.decode_video(stored.video, range(len(video)), video)
        data.codec.decode_audio(stored.audio, 0, audio)
        yield {"key": data.key(clip), "video": video, "audio": audio}


class Streaming:
    """Shuffled as it does by itself; passes follow each other without a break when they are to be endless."""

    def __init__(self, job: Job) -> None:
        if job.ranks == 1:
            streaming.base.util.clean_stale_shared_memory()
        clips = streaming.StreamingDataset(
            local=str(job.copy), shuffle=True, shuffle_seed=0, batch_size=job.rows, predownload=4 * BATCH,
            epoch_size=PASSES * len(job.clips) if job.endless else None,
        )  # fmt: skip
        self.loader: Any = streaming.StreamingDataLoader(clips, batch_size=job.rows, num_workers=job.workers)

    def __iter__(self) -> Iterator[Delivered]:
        for batch in self.loader:
            yield Delivered(batch["key"], batch["video"], batch["audio"])

    def state(self) -> Any:
        return self.loader.state_dict()

    def restore(self, state: Any, done: int) -> None:
        self.loader.load_state_dict(state)


os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # else it warns at each fork

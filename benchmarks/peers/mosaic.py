"""mosaicml-streaming: MDS shards without compression, its StreamingDataset and StreamingDataLoader."""

import os
from importlib import import_module
from typing import Any

from benchmarks.load.job import BATCH, Handed, Job, arrays, shape_of

streaming: Any = import_module("streaming")
PASSES = 1000
SHARD_BYTES = "256mb"


def prepare(job: Job) -> None:
    """The planes and the sound of each clip as arrays."""
    shape, data = shape_of(job, "planes"), job.open()
    sizes = [",".join(map(str, part)) for part in (shape.video, shape.audio)]
    columns = {"key": "str", "video": f"ndarray:uint8:{sizes[0]}", "audio": f"ndarray:int16:{sizes[1]}"}
    with streaming.MDSWriter(out=str(job.copy), columns=columns, size_limit=SHARD_BYTES) as writer:
        for clip in job.clips:
            writer.write(arrays(data, clip))


class Streaming(Handed):
    """Shuffled as it does by itself; passes follow each other without a break when they are to be endless."""

    def __init__(self, job: Job) -> None:
        if job.ranks == 1:
            streaming.base.util.clean_stale_shared_memory()
        size = PASSES * len(job.clips) if job.endless else None
        order = {"shuffle": True, "shuffle_seed": 0, "predownload": 4 * BATCH, "epoch_size": size}
        clips = streaming.StreamingDataset(local=str(job.copy), batch_size=job.rows, **order)
        self.loader = streaming.StreamingDataLoader(clips, batch_size=job.rows, num_workers=job.workers)


os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # else it warns at each fork

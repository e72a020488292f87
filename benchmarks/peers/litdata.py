"""litdata: chunks made by `optimize`, its StreamingDataset and StreamingDataLoader."""

import os
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from benchmarks.load_job import Delivered, Job, shape_of

litdata: Any = import_module("litdata")
CHUNK_BYTES = "256MB"


def prepare(job: Job) -> None:
    """The planes and the sound of each clip as arrays, by one process of its own."""
    litdata.optimize(
        fn=partial(arrays, job), inputs=job.clips, output_dir=str(job.copy), chunk_bytes=CHUNK_BYTES, num_workers=1,
        verbose=False,
    )  # fmt: skip


def arrays(job: Job, clip: int) -> dict[str, Any]:
    """key, video: uint8 (T, H*3/2, W), audio: int16 (S, C)."""
    data, shape = job.open(), shape_of(job, "planes")
    stored = data.read(clip)
    video, audio = np.empty(shape.video, np.uint8), np.empty(shape.audio, np.int16)
    data.codec.decode_video(stored.video, range(len(video)), video)
    data.codec.decode_audio(stored.audio, 0, audio)
    return {"key": data.key(clip), "video": video, "audio": audio}


class Chunks:
    """Shuffled as it does by itself; pass after pass, for it knows no endless one."""

    def __init__(self, job: Job) -> None:
        clips = litdata.StreamingDataset(str(job.copy), shuffle=True, seed=0, drop_last=True)
        self.loader: Any = litdata.StreamingDataLoader(
            clips, batch_size=job.rows, num_workers=job.workers, drop_last=True, persistent_workers=True
        )
        self.endless = job.endless

    def __iter__(self) -> Iterator[Delivered]:
        while True:
            for batch in self.loader:
                yield Delivered(batch["key"], batch["video"], batch["audio"])
            if not self.endless:
                return

    def state(self) -> Any:
        return self.loader.state_dict()

    def restore(self, state: Any, done: int) -> None:
        self.loader.load_state_dict(state)


os.environ.setdefault("LITDATA_DISABLE_VERSION_CHECK", "1")

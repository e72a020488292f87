"""megatron-energon: our own tars, prepared without questions; npy members decoded after its shuffle buffer."""

import io
from importlib import import_module
from typing import Any

import numpy as np

from benchmarks.load.job import Handed, Job
from benchmarks.peers.webdataset import SHUFFLE

energon: Any = import_module("megatron.energon")
webdataset: Any = import_module("megatron.energon.flavors.webdataset")


def prepare(job: Job) -> None:
    """Links to the tars, and its index and settings beside them."""
    tars = job.tars()
    for tar in tars:
        (job.copy / tar.name).symlink_to(tar)
    webdataset.BaseWebdatasetFactory.prepare_dataset(
        job.copy, [tar.name for tar in tars], split_parts_ratio=[("train", 1.0), ("val", 0), ("test", 0)], workers=1
    )
    settings = "__module__: megatron.energon\n__class__: CrudeWebdataset\n"
    (job.copy / ".nv-meta" / "dataset.yaml").write_text(settings)


@energon.stateless
def cook(sample: dict[str, Any]) -> Any:
    """Bytes stay bytes: what a cooker makes lies in the shuffle buffer."""
    return energon.CrudeSample(sample)


class Encoder(energon.DefaultTaskEncoder):
    """Members to arrays, and eight of them to a batch."""

    decoder = None
    cookers = [energon.Cooker(cook)]  # noqa: RUF012, its own way to be asked

    @energon.stateless
    def encode_sample(self, sample: dict[str, Any]) -> dict[str, Any]:
        arrays = {name: np.load(io.BytesIO(sample[f"{name}.npy"])) for name in ("video", "audio")}
        return {"key": sample["__key__"], "__key__": sample["__key__"], **arrays}

    def batch(self, samples: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "key": [sample["key"] for sample in samples],
            **{name: np.stack([sample[name] for sample in samples]) for name in ("video", "audio")},
        }


class Energon(Handed):
    """Endless by itself."""

    def __init__(self, job: Job) -> None:
        workers = energon.WorkerConfig(rank=job.rank, world_size=job.ranks, num_workers=job.workers)
        order = {"shuffle_buffer_size": SHUFFLE, "max_samples_per_sequence": None, "task_encoder": Encoder()}
        clips = energon.get_train_dataset(str(job.copy), worker_config=workers, batch_size=job.rows, **order)
        self.loader = energon.get_savable_loader(clips)

    def state(self) -> Any:
        return self.loader.save_state_global(0)

    def restore(self, state: Any, done: int) -> None:
        self.loader.restore_state_global(state)

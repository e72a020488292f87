"""`python -m avsync.run.ship RUN FOLDER [CROP]`: a trained run as weights that go with avsync, not where it was made.

To who reads it (evaluate, localize, score, finetune, --from) FOLDER is a run like any other; nobody trains on there:

FOLDER/run.json, best.json, trust.json          as of the run; of the dataset its form, not where it lay
FOLDER/checkpoints/STEP/model.safetensors       the best checkpoint's weights in half precision (safetensors, by
                                                 huggingface): 2 bytes a weight
FOLDER/checkpoints/STEP/state.json              its state
"""

import sys
from dataclasses import replace
from pathlib import Path

import safetensors.torch
import torch

from avsync.run.checkpoint import SHIPPED, STATE, load_checkpoint
from avsync.run.info import choose_step, read_run
from avsync.run.paths import RunPaths
from avsync.run.state import TrustRecord
from sharding.base.files import publish, read_json, write_json
from sharding.base.text import size
from sharding.errors import AvsyncError, InputError

LARGEST = 2_000_000
"""Bytes of weights in a wheel."""


def ship(run: Path, folder: Path, crop: str = "") -> int:
    """Write the best checkpoint of `run` to the new folder; returns the bytes of its weights. crop: `faces`, where the
    videos of its dataset were steady crops of mouths before they were packed.

    Raises InputError when they are too many, or the folder is there; FormatError.
    """
    paths, new = RunPaths(run), RunPaths(folder)
    info = read_run(paths)
    step = choose_step(paths, "best")
    saved = load_checkpoint(paths.checkpoint(step))
    halves = {name: value.half() if value.is_floating_point() else value for name, value in saved.model.items()}
    weights = safetensors.torch.save({name: value.contiguous() for name, value in halves.items()})
    if len(weights) > LARGEST:
        raise InputError(f"{run} has {size(len(weights))} of weights, more than the {size(LARGEST)} that ship")
    if bad := [name for name, value in halves.items() if not torch.isfinite(value).all()]:
        raise InputError(f"{run} has weights that half precision cannot hold: {bad[0]}")
    if folder.exists():
        raise InputError(f"{folder} is there already: name a new folder")
    settings = info.dataset.settings | ({"crop": crop} if crop else {})
    dataset, checkpoint = replace(info.dataset, settings=settings), new.checkpoint(step)
    checkpoint.mkdir(parents=True)
    with publish(checkpoint / SHIPPED) as file:
        file.write(weights)
    write_json(checkpoint / STATE, saved.state)
    write_json(new.info, replace(info, dataset=dataset, dataset_path="", git="", descent=None))
    if saved.state.best:
        write_json(new.best, saved.state.best)
    if paths.trust.is_file():
        write_json(new.trust, _careful(read_json(paths.trust, TrustRecord)))
    return len(weights)


def _careful(record: TrustRecord) -> TrustRecord:
    """With the least trust that the val split leaves possible: it will be asked about other people and rooms."""
    return TrustRecord(networks=tuple(replace(one, trust=one.trust and one.low) for one in record.networks))


def main() -> None:
    """Of two folders, as the module says."""
    if len(sys.argv) not in (3, 4):
        raise SystemExit("python -m avsync.run.ship RUN FOLDER [CROP]")
    try:
        sys.stdout.write(f"{size(ship(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]))} of weights\n")
    except AvsyncError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()

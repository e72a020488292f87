"""`python -m avsync.train.widen RUN DATASET NEW SECONDS`: a finished run that looks at longer windows from now on.

For networks that sum what they see over moments: trained on short windows, of which a batch holds more kinds, they tell
more when they are asked about long ones (docs/log.md). The weights stay as they are; how their logits are to be read as
evidence is found anew, with windows of that length, on the val split. NEW is a run like RUN, with that length in its
settings: evaluate, score and localize go by it.
"""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

from avsync.run.info import read_run
from avsync.run.paths import RunPaths
from avsync.run.resume import described
from avsync.staging.mirror import StagedDataset
from avsync.train.trainer import TrainSummary, train
from sharding.base.files import publish_folder, write_json
from sharding.errors import AvsyncError, InputError


def widen(run: Path, dataset: str, new: Path, window_s: float) -> TrainSummary:
    """Raises InputError for a NEW that is there, a run that is not done, windows that no clip holds; FormatError."""
    info = read_run(RunPaths(run))
    if info.config.steps not in RunPaths(run).saved_steps():
        raise InputError(f"{run} is not done: avsync train goes on with it")
    if new.exists():
        raise InputError(f"{new} is there already: name a new folder")
    config = replace(info.config, pairs=replace(info.config.pairs, window_s=window_s))
    wanted = described(StagedDataset.open(dataset, config.runtime), config)
    with publish_folder(new) as part:  # whole when it has its name: the same command does it again after any end
        shutil.copytree(run, part, dirs_exist_ok=True)
        RunPaths(part).trust.unlink(missing_ok=True)
        write_json(RunPaths(part).info, wanted)
    return train(dataset, new, config)


def main() -> None:
    """The command."""
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    run, dataset, new, seconds = sys.argv[1:]
    try:
        window_s = float(seconds)
    except ValueError:
        sys.exit(f"error: SECONDS {seconds} is no number; write it like 1.5")
    try:
        widen(Path(run), dataset, Path(new), window_s)
    except AvsyncError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()

"""`avsync finetune`: does a task profit from what a network has learned without labels?

Owens & Efros 2018, section 5, ask it of UCF-101; here it is asked of the dataset's own actions. `finetune` is the table
of contents.
"""

from pathlib import Path

from avsync.finetune.arms import build_arms
from avsync.finetune.compare import Comparison, compare
from avsync.finetune.config import FinetuneConfig
from avsync.finetune.out_folder import OutPaths, check_free, describe_comparison, settle
from avsync.finetune.presentation import save, show
from avsync.finetune.task import Splits
from avsync.finetune.training import Finetuning, OpenComparison
from avsync.loading.feed import Feed
from avsync.run.info import check_same_input
from avsync.run.network import load_network, pick_device
from avsync.run.paths import run_of
from avsync.staging.mirror import StagedDataset
from sharding.base.console import WaitNotice
from sharding.base.files import read_json
from sharding.base.locks import folder_lock
from sharding.errors import FormatError


def finetune(run: Path, dataset: Path, out: Path, config: FinetuneConfig) -> Comparison:
    """Train all arms, judge them on the test split, write and show it; the same call again goes on where one stopped.

    Raises InputError, FormatError, BusyError when `out` is in use, Stopped when somebody wished to stop.
    """
    paths, device = OutPaths(out), pick_device(config.device)
    with WaitNotice(f"loading the network of {run} and the index of {dataset}"):
        run = run_of(run)
        loaded = load_network(run, config.checkpoint, device)
        source = StagedDataset.of_folder(dataset)
        splits = Splits.open(
            dataset, config.task, loaded.config, config.train_clips, lambda chosen: Feed.reading(chosen, source)
        )
        for feed in splits.feeds.values():
            check_same_input(loaded, feed, dataset)
    check_free(paths)
    with folder_lock(out, "avsync finetune"):
        begun = settle(paths, describe_comparison(run, dataset, config, loaded.step, loaded.config.model, splits))
        if paths.result.is_file() and config.steps in paths.run.saved_steps():
            found = read_json(paths.result, Comparison)  # judged once: no second look at the test split
            show(found, paths)
            return found
        train = splits.feeds["train"]
        with WaitNotice(f"building {' and '.join(config.arms)}, or taking up the newest checkpoint"):
            opened = OpenComparison(
                out=paths,
                begun=begun,
                splits=splits,
                arms=build_arms(config, loaded, len(splits.classes), device),
                order=train.order(config.batch, config.seed),
                mute=loaded.config.pairs.mute_samples,
                device=device,
            )
            work = Finetuning(opened)
        answers = work.run()
        if not len(answers.clips):
            raise FormatError(
                f"none of the {answers.unreadable} test clips of {dataset} can be read: "
                "check the disk, then pack the dataset again"
            )
        found = compare(begun, str(device), answers, splits.labels["train"][train.clips], work.picked())
        save(found, answers, work.curves.points, splits, paths)
        show(found, paths)
        return found

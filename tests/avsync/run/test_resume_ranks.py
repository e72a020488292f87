"""Several processes: killed and resumed, and more or fewer of them after a resume; what fails on one ends all."""

import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import seen
from avsync_settings import quick_config
from curves import curve
from processes import command, run_ranks, start_ranks

from avsync.config import RuntimeConfig, TrainConfig
from avsync.run.checkpoint import load_checkpoint
from avsync.run.paths import RunPaths
from avsync.run.receipt import read_receipts

RANKS_OF = (1, 2, 1)


def ranks_config() -> TrainConfig:
    runtime = RuntimeConfig(device="cpu", workers=1, log_every=1, checkpoint_every=4, keep=9)
    return replace(quick_config(), steps=12, runtime=runtime)


@pytest.fixture(scope="module")
def together(dataset, tmp_path_factory) -> Path:
    """A run of two processes that nobody disturbed."""
    folder = tmp_path_factory.mktemp("together")
    run_ranks(command(dataset, folder / "run", ranks_config(), folder), 2)
    return folder / "run"


def killed_after_a_checkpoint(children: list[subprocess.Popen[str]], paths: RunPaths) -> str:
    """The last process is killed -9 once a further checkpoint is there; the others cannot go on. What rank 0 said."""
    before = max(paths.saved_steps(), default=0)
    while max(paths.saved_steps(), default=0) <= before:
        assert children[0].poll() is None, children[0].communicate()[0]
        time.sleep(0.005)
    time.sleep(random.Random(3).random() * 0.1)
    children[-1].send_signal(signal.SIGKILL)
    said = [child.communicate(timeout=60)[0] for child in children]
    assert children[-1].returncode == -signal.SIGKILL, "it was over before it could be killed: the test saw nothing"
    assert children[0].returncode != 0, "the other one cannot go on alone"
    return said[0]


@pytest.mark.timeout(300)
def test_ranks_may_change_when_a_run_was_killed_and_each_step_trains_on_the_same_clips(dataset, tmp_path):
    """1 process, 2 (gloo), 1 again, the first two attempts killed -9. Every batch that was begun is looked at."""
    config, run, paths = (
        replace(ranks_config(), steps=40, validate_every=0),
        tmp_path / "run",
        RunPaths(tmp_path / "run"),
    )
    told = list[str]()
    for attempt, ranks in enumerate(RANKS_OF):
        (tmp_path / str(attempt)).mkdir()
        words = command(dataset, run, config, tmp_path / str(attempt), seen.CHILD)
        last = attempt == len(RANKS_OF) - 1
        told.append(run_ranks(words, ranks) if last else killed_after_a_checkpoint(start_ranks(words, ranks), paths))
    receipts = read_receipts(paths)
    starts = [receipt.step for receipt in receipts]
    assert 0 == starts[0] < starts[1] < starts[2]
    kept = list[list[str]]()
    for attempt, (ranks, start, end) in enumerate(zip(RANKS_OF, starts, [*starts[1:], 40], strict=True)):
        steps = [seen.keys(step) for step in seen.trained(tmp_path / str(attempt), start, ranks)]
        assert steps == seen.ordered(run, range(start, start + len(steps))), "also what was lost and made again"
        kept += steps[: end - start]
    assert kept == seen.ordered(run, range(40)), "no clip left out, none twice"
    assert [(receipt.ranks_before, receipt.ranks) for receipt in receipts] == [(1, 1), (1, 2), (2, 1)]
    assert "clips skipped 0, repeated 0" in told[1]
    assert "by 1 process, now 2 processes" in told[1]
    assert "by 2 processes, now 1 process" in told[2]
    assert sorted(curve(run, "train", "loss")) == list(range(1, 41)), "one clean curve"


@pytest.mark.timeout(300)
def test_one_of_two_ranks_is_killed_and_the_same_two_go_on_as_if_nothing_had_been(dataset, together, tmp_path):
    run = tmp_path / "run"
    words, paths = command(dataset, run, ranks_config(), tmp_path), RunPaths(run)
    killed_after_a_checkpoint(start_ranks(words, 2), paths)
    said = run_ranks(words, 2)
    assert "clips skipped 0, repeated 0" in said
    for name, tag in (("train", "loss"), ("train", "accuracy"), ("validation", "loss")):
        assert curve(run, name, tag) == curve(together, name, tag)
    ends = [load_checkpoint(RunPaths(folder).checkpoint(12)).model for folder in (run, together)]
    assert all(weights.equal(ends[1][key]) for key, weights in ends[0].items())


OTHER_DATA = """
import os, sys
from pathlib import Path
from avsync.config import TrainConfig
from avsync.train.trainer import train
from sharding.base.files import read_json
if __name__ == "__main__":
    dataset = Path(sys.argv[1] + ("-copy" if os.environ["RANK"] == "1" else ""))
    train(dataset, Path(sys.argv[2]), read_json(Path(sys.argv[3]), TrainConfig))
"""


@pytest.mark.timeout(120)
def test_a_process_that_sees_other_data_than_the_rest_stops_all_of_them(dataset, tmp_path):
    import numpy as np

    for name in ("data", "data-copy"):
        shutil.copytree(dataset, tmp_path / name)
    path = tmp_path / "data-copy" / "train" / "index.npz"
    index = dict(np.load(path))
    index["crc32"][0] ^= 1
    np.savez(path, **index)
    words = command(tmp_path / "data", tmp_path / "run", ranks_config(), tmp_path, OTHER_DATA)
    with pytest.raises(AssertionError, match=r"process 1 sees other data at .*data-copy than process 0"):
        run_ranks(words, 2)
    assert not RunPaths(tmp_path / "run").saved_steps()


RANKS = """
import sys
import torch
from accelerate import Accelerator
from avsync.train.trainer import world_of
from sharding.errors import AvsyncError, InputError

world = world_of(Accelerator(cpu=True))
statistics = torch.nn.BatchNorm1d(2)
statistics.running_mean += world.rank
for buffer in statistics.buffers():
    world.broadcast(buffer)
assert statistics.running_mean.tolist() == [0.0, 0.0]
assert world.agree(10 + world.rank) == 10
assert world.together(lambda: world.rank) == world.rank


def fail_on_rank_1() -> None:
    if world.rank == 1:
        raise InputError("the disk is full")


try:
    world.together(fail_on_rank_1)
except InputError:
    print("failed itself", world.rank)
except AvsyncError as error:
    print("heard:", error)
torch.distributed.destroy_process_group()  # or its threads may abort the exit
"""


@pytest.mark.timeout(120)
def test_what_fails_on_one_rank_ends_all_and_rank_0_decides_for_all():
    said = run_ranks([sys.executable, "-c", RANKS], 2)
    assert "heard: 1 of 2 processes failed; its message says why" in said


@pytest.mark.timeout(120)
def test_two_ranks_that_cannot_share_a_batch_stop_with_one_clear_line(dataset, config, tmp_path):
    words = command(dataset, tmp_path / "run", replace(config, batch=3), tmp_path)
    with pytest.raises(AssertionError, match="--batch 3 cannot be shared by 2 processes"):
        run_ranks(words, 2)

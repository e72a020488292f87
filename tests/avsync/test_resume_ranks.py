"""Several processes: killed and resumed, and more or fewer of them after a resume; what fails on one ends all."""

import random
import shutil
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from avsync_settings import quick_config
from curves import curve
from processes import command, run_ranks, start_ranks

from avsync.checkpoint import RunPaths, load_checkpoint
from avsync.config import RuntimeConfig, TrainConfig
from avsync.receipt import read_receipts
from avsync.trainer import train


def ranks_config() -> TrainConfig:
    runtime = RuntimeConfig(device="cpu", workers=1, log_every=1, checkpoint_every=4, keep=9)
    return replace(quick_config(), steps=12, runtime=runtime)


@pytest.fixture(scope="module")
def together(dataset, tmp_path_factory) -> Path:
    """A run of two processes that nobody disturbed."""
    folder = tmp_path_factory.mktemp("together")
    run_ranks(command(dataset, folder / "run", ranks_config(), folder), 2)
    return folder / "run"


def digest_of(run: Path) -> str:
    return load_checkpoint(RunPaths(run).checkpoint(12)).state.digest


def drop_after(paths: RunPaths, step: int) -> None:
    """As if the run had died just after saving at `step`."""
    for saved in paths.saved_steps():
        if saved > step:
            shutil.rmtree(paths.checkpoint(saved))


@pytest.mark.timeout(300)
def test_ranks_may_change_between_resumes_and_the_clips_stay_the_same(dataset, together, tmp_path):
    """1 rank, then 2 (gloo), then 1 again: the digest of clips is that of an undisturbed run, of 1 or of 2."""
    config, run, paths = ranks_config(), tmp_path / "run", RunPaths(tmp_path / "run")
    train(dataset, run, config)
    alone = curve(run, "train", "loss")
    assert digest_of(run) == digest_of(together)
    drop_after(paths, 4)
    said = run_ranks(command(dataset, run, config, tmp_path), 2)
    assert "resumed at step 4 of 12: clips skipped 0, repeated 0, digest of 16 clips matches" in said
    assert "by 1 process, now 2 processes" in said
    assert digest_of(run) == digest_of(together)
    both = curve(run, "train", "loss")
    assert sorted(both) == list(range(1, 13)), "one clean curve"
    assert [both[step] for step in range(1, 5)] == [alone[step] for step in range(1, 5)]
    drop_after(paths, 8)
    assert train(dataset, run, config).resumed_at == 8
    assert digest_of(run) == digest_of(together)
    assert [(receipt.ranks_before, receipt.ranks) for receipt in read_receipts(paths)] == [(1, 1), (1, 2), (2, 1)]


@pytest.mark.timeout(300)
def test_one_of_two_ranks_is_killed_and_the_same_two_go_on_as_if_nothing_had_been(dataset, together, tmp_path):
    run = tmp_path / "run"
    words, paths = command(dataset, run, ranks_config(), tmp_path), RunPaths(run)
    children = start_ranks(words, 2)
    while not paths.saved_steps():
        assert children[0].poll() is None, children[0].communicate()[0]
        time.sleep(0.005)
    time.sleep(random.Random(3).random() * 0.1)
    children[1].send_signal(signal.SIGKILL)
    ended = [child.wait(timeout=60) for child in children]
    for child in children:
        child.communicate()
    assert ended[1] == -signal.SIGKILL, "it was over before it could be killed: the test saw nothing"
    assert ended[0] != 0, "the other one cannot go on alone"
    said = run_ranks(words, 2)
    assert "clips skipped 0, repeated 0" in said
    assert digest_of(run) == digest_of(together)
    for name, tag in (("train", "loss"), ("train", "accuracy"), ("validation", "loss")):
        assert curve(run, name, tag) == curve(together, name, tag)
    ends = [load_checkpoint(RunPaths(folder).checkpoint(12)).model for folder in (run, together)]
    assert all(weights.equal(ends[1][key]) for key, weights in ends[0].items())


OTHER_DATA = """
import os, sys
from pathlib import Path
from avsync.config import TrainConfig
from avsync.trainer import train
from sharding.files import read_json
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
from avsync.trainer import world_of
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

"""Killed anywhere, the same command goes on at the exact step: bit-equal losses on CPU, each step drawn once."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from curves import curve

from avsync.checkpoint import RunPaths, load_checkpoint
from avsync.config import RuntimeConfig, TrainConfig
from avsync.trainer import train
from sharding.files import write_json

CHILD = """
import sys
from pathlib import Path
from avsync.config import TrainConfig
from avsync.trainer import train
from sharding.files import read_json
print(train(Path(sys.argv[1]), Path(sys.argv[2]), read_json(Path(sys.argv[3]), TrainConfig)))
"""


def command(dataset: Path, run: Path, config: TrainConfig, folder: Path) -> list[str]:
    """The same training in another process."""
    settings = folder / "config.json"
    write_json(settings, config)
    return [sys.executable, "-c", CHILD, str(dataset), str(run), str(settings)]


@pytest.fixture
def long_config(config: TrainConfig) -> TrainConfig:
    runtime = replace(config.runtime, checkpoint_every=4, threads=2)
    return replace(config, steps=60, validate_every=15, runtime=runtime)


def kill_while_running(words: list[str], run: Path, rng: random.Random) -> bool:
    """Start, let it save at least one checkpoint, kill -9 at a random moment. False when it was done before."""
    saved = len(RunPaths(run).saved_steps()), max(RunPaths(run).saved_steps(), default=0)
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        while child.poll() is None and max(RunPaths(run).saved_steps(), default=0) <= saved[1]:
            time.sleep(0.005)
        time.sleep(rng.random() * 0.4)
        done = child.poll() is not None
        child.send_signal(signal.SIGKILL)
        _, errors = child.communicate()
        assert not done or child.returncode == 0, errors.decode()
    return not done


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1, 2])
def test_kill_dash_nine_at_random_steps_changes_nothing(dataset, long_config, tmp_path, seed):
    rng = random.Random(seed)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    words = command(dataset, broken, long_config, tmp_path)
    kills = sum(kill_while_running(words, broken, rng) for _ in range(2))
    finished = subprocess.run(words, capture_output=True, text=True, timeout=200, check=False)
    assert finished.returncode == 0, finished.stderr
    assert kills >= 1, "the run was over before it could be killed: the test saw nothing"
    assert "clips skipped 0, repeated 0" in finished.stdout
    whole_run = subprocess.run(
        command(dataset, whole, long_config, tmp_path), capture_output=True, text=True, timeout=200, check=False
    )
    assert whole_run.returncode == 0, whole_run.stderr
    for name, tag in (("train", "loss"), ("train", "accuracy"), ("validation", "loss"), ("train", "learning_rate")):
        assert curve(broken, name, tag) == curve(whole, name, tag)
    ends = [load_checkpoint(RunPaths(run).checkpoint(60)) for run in (whole, broken)]
    assert ends[0].state == ends[1].state
    assert all(weights.equal(ends[1].model[key]) for key, weights in ends[0].model.items())


@pytest.mark.timeout(200)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_wish_to_stop_is_granted_at_the_next_step_and_nothing_is_lost(dataset, long_config, tmp_path, number):
    run, paths = tmp_path / "run", RunPaths(tmp_path / "run")
    config = replace(
        long_config, steps=4000, validate_every=0, runtime=replace(long_config.runtime, checkpoint_every=4)
    )
    with subprocess.Popen(
        command(dataset, run, config, tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        while child.poll() is None and not paths.saved_steps():
            time.sleep(0.01)
        child.send_signal(number)
        _, errors = child.communicate(timeout=60)
    assert b"KeyboardInterrupt" in errors
    drawn = curve(run, "train", "loss")
    assert paths.saved_steps()[0] == max(drawn), "it went on from the step it stood at"


def test_a_validation_that_could_read_nothing_is_no_score_and_the_run_can_be_resumed(dataset, config, tmp_path):
    copy, run = Path(shutil.copytree(dataset, tmp_path / "copy")), tmp_path / "run"
    for shard in (copy / "val").glob("*.tar"):
        shard.write_bytes(bytes(shard.stat().st_size))
    first = train(copy, run, replace(config, steps=6))
    assert first.best is None
    shutil.rmtree(RunPaths(run).checkpoint(6))
    assert train(copy, run, replace(config, steps=6)).resumed_at > 0


def test_an_attempt_that_died_before_its_first_checkpoint_leaves_no_trace_in_the_curves(dataset, config, tmp_path):
    run = tmp_path / "run"
    config = replace(config, validate_every=0)
    train(dataset, run, replace(config, steps=5, optim=replace(config.optim, warmup_steps=4)))
    for name in ("checkpoints", "run.json"):  # what the dead attempt had not written yet
        path = run / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    train(dataset, run, config)
    assert sorted(curve(run, "train", "loss")) == list(range(1, 11))
    train(dataset, tmp_path / "clean", config)
    assert curve(run, "train", "loss") == curve(tmp_path / "clean", "train", "loss")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run_ranks(words: list[str], ranks: int) -> str:
    """The command as `ranks` processes that find each other as under SLURM or torchrun. Returns rank 0's output."""
    port = str(free_port())
    children = [
        subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=os.environ | {
                "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(ranks), "LOCAL_WORLD_SIZE": str(ranks),
                "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1",
            },
        )
        for rank in range(ranks)
    ]  # fmt: skip
    outputs = [child.communicate(timeout=200)[0] for child in children]
    assert all(child.returncode == 0 for child in children), "\n".join(outputs)
    return outputs[0]


@pytest.mark.timeout(300)
def test_ranks_may_change_between_resumes_and_the_clips_stay_the_same(dataset, config, tmp_path):
    """1 rank, then 2 (gloo), then 1 again: the digest of clips is that of an undisturbed run."""
    run, paths = tmp_path / "run", RunPaths(tmp_path / "run")
    config = replace(config, runtime=RuntimeConfig(device="cpu", threads=1, log_every=1, checkpoint_every=4, keep=9))
    words = command(dataset, run, config, tmp_path)
    train(dataset, run, config)
    want = load_checkpoint(paths.checkpoint(10)).state.digest
    alone = curve(run, "train", "loss")
    drop_after(paths, 4)
    said = run_ranks(words, 2)
    assert "resumed at step 4: clips skipped 0, repeated 0" in said
    assert load_checkpoint(paths.checkpoint(10)).state.digest == want
    together = curve(run, "train", "loss")
    assert sorted(together) == list(range(1, 11)), "one clean curve"
    assert together[4] == alone[4]
    drop_after(paths, 8)
    assert train(dataset, run, config).resumed_at == 8
    assert load_checkpoint(paths.checkpoint(10)).state.digest == want


def drop_after(paths: RunPaths, step: int) -> None:
    """As if the run had died just after saving at `step`."""
    for saved in paths.saved_steps():
        if saved > step:
            shutil.rmtree(paths.checkpoint(saved))


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

"""Checkpoints that are written beside training: as they were at their step, one at a time, whole or not there."""

import copy
import signal
import subprocess
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from avsync_settings import quick_config
from processes import CHILD, command, start_ranks
from torch import Tensor, nn

from avsync.config import OptimConfig, TrainConfig
from avsync.run.checkpoint import Saved, load_checkpoint, save_checkpoint
from avsync.run.host_copy import HostCopy, with_tensors
from avsync.run.paths import RunPaths
from avsync.run.progress import read_progress
from avsync.run.saver import Saver
from avsync.run.state import State
from avsync.train.step import OPTIMIZERS, build_optimizer
from avsync.train.trainer import train

FIRST = State(step=1, model="small", digest="", skipped=0)
GATED = (
    """
import os, sys, threading, time
def at_change(event, arguments):
    if event == "open" and str(arguments[0]).startswith("optimizer.pt"):
        while threading.current_thread() is not threading.main_thread() and os.path.exists(os.environ["GATE"]):
            time.sleep(0.01)
sys.addaudithook(at_change)
"""
    + CHILD
)
"""A disk that takes half of a checkpoint, and the rest when there is no file $GATE any more."""


def never() -> None:
    raise AssertionError("nothing fails here")


def saver(folder: Path, keep: int = 9) -> Saver:
    return Saver(RunPaths(folder), keep, replace(FIRST, step=0), failed=never)


def network_of() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Conv3d(2, 6, 3), nn.BatchNorm3d(6), nn.Flatten(), nn.Linear(6, 1)
    return nn.Sequential(*layers).to(memory_format=torch.channels_last_3d)  # pyright: ignore[reportCallIssue]


def step(network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    network(torch.randn(4, 2, 3, 3, 3)).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_what_is_written_beside_is_what_was_there_at_its_step_byte_for_byte(name, tmp_path):
    network = network_of()
    optimizer = build_optimizer(network.parameters(), OptimConfig(name=name, lr=0.1))
    beside, waited = tmp_path / "beside", RunPaths(tmp_path / "waited")
    with saver(beside) as writes:
        for number in range(1, 5):
            step(network, optimizer)
            if number == 2:
                writes.reserve(network.state_dict(), optimizer.state_dict())
            now = Saved(state=replace(FIRST, step=number), model=network.state_dict(), optimizer=optimizer.state_dict())
            save_checkpoint(waited, now)
            assert writes.save(now)
    for number in range(1, 5):
        assert files(RunPaths(beside).checkpoint(number)) == files(waited.checkpoint(number))


def random_tensor(rng: np.random.Generator) -> Tensor:
    kinds = torch.float32, torch.bfloat16, torch.int64, torch.bool, torch.uint8
    shape = rng.integers(0, 5, size=rng.integers(0, 4)).tolist()
    made = torch.from_numpy(rng.integers(0, 2, size=shape)).to(kinds[rng.integers(len(kinds))])
    return (made, made.transpose(0, -1), made[::2])[rng.integers(3)] if made.ndim else made


def random_value(rng: np.random.Generator, depth: int = 0) -> Any:
    kind = rng.integers(2 if depth == 3 else 6)
    if kind < 2:
        return random_tensor(rng) if kind == 0 else float(rng.random())
    inner = [random_value(rng, depth + 1) for _ in range(rng.integers(4))]
    return (inner, tuple(inner), dict(enumerate(inner)), OrderedDict(enumerate(inner)))[kind - 2]


def tensors_of(value: Any) -> list[Tensor]:
    found = list[Tensor]()
    with_tensors(value, lambda tensor: found.append(tensor) or tensor)
    return found


@pytest.mark.parametrize("seed", range(60))
def test_a_copy_is_the_same_and_shares_nothing_whatever_was_copied_before(seed):
    rng, copies = np.random.default_rng(seed), HostCopy()
    for _ in range(3):
        value = random_value(rng)
        wanted = copy.deepcopy(value)
        got, ready = copies.take(value)
        with_tensors(value, lambda tensor: tensor.fill_(1) if tensor.dtype == torch.bool else tensor.add_(1))
        ready()
        assert repr(got) == repr(wanted)
        pairs = list(zip(tensors_of(got), tensors_of(wanted), strict=True))
        assert all(one.equal(other) and one.dtype == other.dtype for one, other in pairs)


def test_memory_is_taken_once_and_anew_only_for_what_has_changed():
    copies, value = HostCopy(), {"a": torch.ones(3), "b": torch.ones(4, 2)}
    first = copies.take(value)[0]
    again = copies.take(value | {"b": torch.ones(2, 4)})[0]
    assert first["a"].data_ptr() == again["a"].data_ptr()
    assert first["b"].data_ptr() != again["b"].data_ptr()


def test_one_at_a_time_and_the_end_waits_for_the_last(tmp_path):
    with saver(tmp_path, keep=2) as writes:
        for number in range(1, 20):
            tensors = {"w": torch.full((50_000,), float(number))}
            assert writes.save(Saved(state=replace(FIRST, step=number), model=tensors, optimizer={}))
            assert writes.on_disk.step >= number - 1, "the one before is whole"
            assert len(list(RunPaths(tmp_path).checkpoints.glob("*.part"))) <= 1
    assert writes.on_disk.step == 19
    assert RunPaths(tmp_path).saved_steps() == [19, 18]
    assert load_checkpoint(RunPaths(tmp_path).checkpoint(19)).model["w"].eq(19).all()


def test_what_the_disk_refuses_is_told_at_once_and_raised_once_by_who_comes_next(tmp_path):
    (tmp_path / "checkpoints").touch()  # no folder can be made there, by root neither
    saved, told = Saved(state=FIRST, model={"w": torch.ones(2)}, optimizer={}), list[bool]()
    with pytest.raises(FileExistsError) as wanted:
        save_checkpoint(RunPaths(tmp_path), saved)

    def save_and(come_next: Callable[[Saver], object]) -> None:
        with Saver(RunPaths(tmp_path), 1, FIRST, failed=lambda: told.append(True)) as writes:
            assert writes.save(saved)
            come_next(writes)

    for come_next in (lambda writes: writes.settle(), lambda writes: writes.save(saved), lambda _: None):
        with pytest.raises(FileExistsError) as caught:
            save_and(come_next)
        assert (str(caught.value), caught.value.filename) == (str(wanted.value), wanted.value.filename)
    assert told == [True] * 3
    with Saver(RunPaths(tmp_path), 1, FIRST, failed=lambda: None) as writes:
        assert writes.save(saved)
        with pytest.raises(FileExistsError):
            writes.settle()
        (tmp_path / "checkpoints").unlink()
        assert writes.save(saved), "it was raised before"
    assert RunPaths(tmp_path).saved_steps() == [1]


def fails_after_a_failed_save(folder: Path) -> None:
    with Saver(RunPaths(folder), 1, FIRST, failed=lambda: None) as writes:
        writes.save(Saved(state=FIRST, model={}, optimizer={}))
        raise RuntimeError("a worker has ended")


def test_a_save_that_failed_is_not_lost_behind_what_failed_later(tmp_path):
    (tmp_path / "checkpoints").touch()
    with pytest.raises(FileExistsError) as caught:
        fails_after_a_failed_save(tmp_path)
    assert str(caught.value.__context__) == "a worker has ended"


NO_MEMORY = """
import resource, sys, torch
from pathlib import Path
from avsync.run.checkpoint import Saved
from avsync.run.paths import RunPaths
from avsync.run.saver import Saver
from avsync.run.state import State

paths, state = RunPaths(Path(sys.argv[1])), State(step=1, model="small", digest="", skipped=0)
model = {"w": torch.ones(50_000_000)}
writes = Saver(paths, 1, state, failed=lambda: None)
if sys.argv[2] == "reserve first":
    writes.save(Saved(state=state, model={}, optimizer={}))
    writes.settle()
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 100_000_000,) * 2)
if sys.argv[2] == "reserve first":
    writes.reserve(model, {})
with writes:
    print(writes.save(Saved(state=state, model=model, optimizer={})), writes.trouble)
print(writes.on_disk.step, (paths.checkpoint(1) / "model.pt").stat().st_size > 200_000_000)
"""


@pytest.mark.parametrize("moment", ["reserve first", "save"])
def test_without_memory_for_a_copy_training_waits_and_is_told_so(moment, tmp_path):
    words = [sys.executable, "-c", NO_MEMORY, str(tmp_path), moment]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "False no memory for a second copy of weights and optimiser (200.0 MB): training waits" in done.stdout
    assert done.stdout.endswith("\n1 True\n")


def saving_config() -> TrainConfig:
    config = quick_config()
    runtime = replace(config.runtime, checkpoint_every=3, keep=9, workers=1)
    return replace(config, steps=15, validate_every=3, runtime=runtime)


def wait_until_it_waits(run: Path, step: int, child: subprocess.Popen[str]) -> None:
    """For the checkpoint before, at the next one's step."""
    while not ((now := read_progress(run)) and (now.phase, now.step) == ("saving", step)):
        assert child.poll() is None, child.communicate()[0]
        time.sleep(0.02)


@pytest.mark.timeout(300)
def test_training_goes_on_meanwhile_a_stop_waits_for_it_and_a_kill_costs_only_it(dataset, tmp_path):
    run, gate, paths = tmp_path / "run", tmp_path / "gate", RunPaths(tmp_path / "run")
    words = command(dataset, run, saving_config(), tmp_path, GATED)

    gate.touch()
    (child,) = start_ranks(words, 1, GATE=str(gate))
    wait_until_it_waits(run, 6, child)
    now = read_progress(run)
    assert now
    assert now.validation
    assert (now.validation.step, now.best) == (6, None), "no checkpoint is told of that is not whole"
    assert (paths.saved_steps(), paths.best.exists()) == ([], False)
    assert [path.name for path in paths.checkpoints.iterdir()] == ["00000003.part"], "the second waits for the first"
    child.send_signal(signal.SIGTERM)
    time.sleep(1.1)
    assert child.poll() is None
    gate.unlink()
    said = child.communicate(timeout=100)[0]
    assert said.rstrip().endswith("avsync.train.stop.Stopped")
    assert "the last checkpoint was still being written when the next was due" in " ".join(said.split())
    now = read_progress(run)
    assert now
    assert now.best
    assert (now.phase, now.step) == ("stopped", paths.saved_steps()[0])
    assert {3, 6, now.best.step} <= set(paths.saved_steps())

    before = paths.saved_steps()
    gate.touch()
    (child,) = start_ranks(words, 1, GATE=str(gate))
    wait_until_it_waits(run, 12, child)
    child.kill()
    child.communicate()
    assert paths.saved_steps() == before

    summary = train(dataset, run, saving_config())
    assert summary.resumed_at == before[0]
    train(dataset, tmp_path / "whole", saving_config())
    ends = [load_checkpoint(RunPaths(folder).checkpoint(15)) for folder in (run, tmp_path / "whole")]
    assert ends[0].state == ends[1].state
    assert all(weights.equal(ends[1].model[name]) for name, weights in ends[0].model.items())
    assert not list(paths.checkpoints.glob("*.*"))

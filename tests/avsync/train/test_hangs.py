"""A training of two ranks, one of which really hangs: it ends within the limit that was learnt, and says who it was."""

from dataclasses import replace
from pathlib import Path

import pytest
from avsync_settings import quick_config
from processes import command, start_ranks

from avsync.config import TrainConfig
from avsync.run.limits import Learnt, Limits, Section, learnt_on, read_hangs
from avsync.run.paths import RunPaths
from sharding.base.files import write_json

LIMITS_S = {Section.DATA: 20.0, Section.STEP: 20.0, Section.VALIDATION: 60.0, Section.CHECKPOINT: 20.0}
"""The first validation imports what draws its maps."""
CHILD = """
import ctypes, os, shutil, signal, sys, time
from pathlib import Path
from avsync.config import TrainConfig
from avsync.loading import loader
from avsync.run import saver
from avsync.train import step, trainer, validation
from sharding.base.files import read_json

at, rank = os.environ["HANGS_AT"], os.environ["RANK"]


def on_call(count, owner, name, hang):
    '''Hang when it is called for the `count`th time.'''
    calls, real = [], getattr(owner, name)

    def called(*given, **named):
        calls.append(name)
        if len(calls) == count:
            hang()
        return real(*given, **named)

    setattr(owner, name, called)


def with_limits(*given):
    '''As if an earlier attempt had learnt them.'''
    opened = trainer_opens(*given)
    if rank == "0":
        shutil.copy(Path(sys.argv[3]).parent / "limits.json", opened.paths.limits)
    return opened


trainer_opens, trainer.open_run = trainer.open_run, with_limits


def stopped():
    os.kill(os.getpid(), signal.SIGSTOP)


def blocked():
    ctypes.PyDLL(None).sleep(600)  # Python's lock in its hand


if at == "data wait" and rank == "1":
    on_call(2, loader.Stream, "_finish", stopped)
if at == "step" and rank == "1":
    on_call(3, step.Stepper, "prepared", blocked)
if at == "validation" and rank == "1":
    on_call(1, validation, "examined_rows", stopped)
if at == "checkpoint" and rank == "0":
    on_call(1, saver, "keep_checkpoint", lambda: time.sleep(600))  # a disk: the next checkpoint waits for it
if __name__ == "__main__":
    trainer.train(Path(sys.argv[1]), Path(sys.argv[2]), read_json(Path(sys.argv[3]), TrainConfig))
"""
WHERE = {Section.DATA: 1, Section.STEP: 1, Section.VALIDATION: 1, Section.CHECKPOINT: 0}
"""Which rank hangs."""


def settings() -> TrainConfig:
    runtime = replace(quick_config().runtime, workers=1, checkpoint_every=2, hang_floor_s=5)
    return replace(quick_config(), steps=8, validate_every=2, runtime=runtime)


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "section", [Section.DATA, *(pytest.param(one, marks=pytest.mark.slow) for one in WHERE if one is not Section.DATA)]
)
def test_a_training_whose_rank_hangs_ends_within_its_limit_and_names_it(
    dataset: Path, tmp_path: Path, section: Section
) -> None:
    learnt = {section: Learnt(10_000, LIMITS_S[section] / 16)}  # it fades to 0.8 of that, and counts 20 times
    paths, rank = RunPaths(tmp_path / "run"), WHERE[section]
    write_json(tmp_path / "limits.json", Limits(on=learnt_on(2, 4, "cpu"), sections=learnt))
    words = command(dataset, paths.root, settings(), tmp_path, CHILD)
    children = start_ranks(words, 2, HANGS_AT=str(section), SLURMD_NODENAME="n7")
    try:
        said = "\n".join(child.communicate(timeout=300)[0] for child in children)
    finally:
        for child in children:
            child.kill()
    assert all(child.returncode for child in children), said
    hangs = read_hangs(paths)
    assert len(hangs) == 1, said
    (hang,) = hangs
    assert (hang.rank, hang.node, hang.section) == (rank, "n7", section), said
    assert LIMITS_S[section] * 0.99 < hang.limit_s < 300, "it was learnt, and then from this run, too"
    assert hang.limit_s <= hang.seconds < hang.limit_s * 1.2 + 5
    assert f"avsync: error: rank {rank} on n7 hangs in its {section} of step {hang.step}: " in said
    assert str(dataset) in hang.shard
    assert hang.shard in said
    assert said.count(" hangs in its ") == 1, said

"""What is read back from a run folder is checked; nothing in it is ever executed."""

import errno
import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from avsync_settings import quick_config

from avsync.run.checkpoint import Saved, load_checkpoint, prune, save_checkpoint
from avsync.run.network import load_network
from avsync.run.paths import RunPaths
from avsync.run.state import Best, State
from avsync.train.trainer import train
from sharding.base.files import publish_folder
from sharding.errors import AvsyncError, FormatError, InputError

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def finished(dataset, tmp_path_factory) -> Path:
    """A run of six steps."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    train(dataset, folder, replace(quick_config(), steps=6))
    return folder


@pytest.fixture
def run(finished, tmp_path) -> Path:
    """The finished run, to be harmed."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def newest(run: Path) -> Path:
    paths = RunPaths(run)
    return paths.checkpoint(paths.saved_steps()[0])


class Hostile:
    """Unpickling this would create a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("name", ["model.pt", "optimizer.pt"])
@pytest.mark.parametrize("form", ["torch", "plain pickle"])
def test_a_hostile_checkpoint_is_refused_and_runs_nothing(dataset, config, run, tmp_path, name, form):
    victim, trap = newest(run) / name, tmp_path / "executed"
    if form == "torch":
        torch.save({"weights": Hostile(trap)}, victim)
    else:
        victim.write_bytes(pickle.dumps(Hostile(trap)))
    with pytest.raises(FormatError, match=rf"{name}.*go on from an older checkpoint"):
        train(dataset, run, replace(config, steps=6))
    assert not trap.exists()


@pytest.mark.parametrize("keep", [0, 10, 2000])
def test_a_truncated_checkpoint_is_named_and_an_older_one_can_be_used(dataset, config, run, keep):
    victim = newest(run) / "model.pt"
    victim.write_bytes(victim.read_bytes()[:keep])
    with pytest.raises(FormatError, match=r"model\.pt.*delete its folder to go on from an older checkpoint"):
        train(dataset, run, replace(config, steps=6))
    for file in newest(run).iterdir():
        file.unlink()
    newest(run).rmdir()
    summary = train(dataset, run, replace(config, steps=6))
    assert 0 < summary.resumed_at < 6


def test_a_checkpoint_of_another_network_is_refused(dataset, config, run):
    torch.save({"other.weight": torch.zeros(3)}, newest(run) / "model.pt")
    with pytest.raises(FormatError, match=r"does not hold a 'small' network"):
        train(dataset, run, replace(config, steps=6))
    with pytest.raises(FormatError, match=r"does not hold a 'small' network"):
        load_network(run, "last", CPU)


def test_other_settings_are_named_and_change_nothing(dataset, config, run):
    changed = replace(config, steps=6, seed=3, optim=replace(config.optim, lr=0.5))
    with pytest.raises(InputError, match=r"--seed was 0, is 3; --optim\.lr was 0\.001, is 0\.5.*another run folder"):
        train(dataset, run, changed)


def test_how_the_work_is_done_may_change_between_resumes(dataset, config, run):
    runtime = replace(config.runtime, workers=1, prefetch=1, log_every=2)
    assert train(dataset, run, replace(config, steps=6, runtime=runtime)).resumed_at == 6


def test_another_dataset_is_refused(dataset, config, run, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    index = dict(__import__("numpy").load(copy / "train/index.npz"))
    index["crc32"][0] ^= 1
    __import__("numpy").savez(copy / "train/index.npz", **index)
    with pytest.raises(InputError, match="with other data: its train split has the same clips with other bytes"):
        train(copy, run, replace(config, steps=6))


def test_another_order_is_caught_by_the_receipt(dataset, config, run):
    state = newest(run) / "state.json"
    text = json.loads(state.read_text())
    text["digest"] = "00" * 16
    state.write_text(json.dumps(text))
    with pytest.raises(FormatError, match="trained on other clips"):
        train(dataset, run, replace(config, steps=6))


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff\xfe", b'{"format_version": 99}'])
def test_a_damaged_run_json_is_named(dataset, config, run, content):
    (run / "run.json").write_bytes(content)
    with pytest.raises(AvsyncError, match=r"run\.json|format version"):
        train(dataset, run, replace(config, steps=6))


@pytest.mark.parametrize(
    ("field", "value"), [("frames", 10**12), ("samples", 10**15), ("height", 0), ("width", 10**6), ("channels", 7)]
)
def test_a_run_json_that_speaks_of_impossible_windows_is_named(run, field, value):
    info = json.loads((run / "run.json").read_text())
    info["spec"][field] = value
    (run / "run.json").write_text(json.dumps(info))
    with pytest.raises(FormatError, match=r"run\.json.*no window is like this"):
        load_network(run, "best", CPU)
    info["spec"] |= {field: 1, "clock": {"fps": "15", "sample_rate": 10**15}}
    (run / "run.json").write_text(json.dumps(info))
    with pytest.raises(FormatError, match=r"run\.json.*no window is like this"):
        load_network(run, "best", CPU)


def test_weights_that_are_no_numbers_are_told_and_not_asked(run):
    weights = torch.load(newest(run) / "model.pt", weights_only=True)
    first = next(name for name, values in weights.items() if values.is_floating_point())
    weights[first].fill_(float("nan"))
    torch.save(weights, newest(run) / "model.pt")
    with pytest.raises(FormatError, match=r"holds weights that are no numbers \(.*--checkpoint"):
        load_network(run, "last", CPU)


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(InputError, match=r"is not a run: it has no run\.json; make one with avsync train"):
        load_network(tmp_path, "best", CPU)


def test_a_best_checkpoint_that_is_gone_gives_way_to_the_newest_and_says_so(run, capsys):
    (run / "best.json").write_text('{"step": 1, "accuracy": 0.9}')
    assert load_network(run, "best", CPU).step == RunPaths(run).saved_steps()[0]
    assert "The best checkpoint, step 1, is gone" in " ".join(capsys.readouterr().err.split())


def test_the_best_checkpoint_is_taken_when_it_is_there(run, capsys):
    oldest = RunPaths(run).saved_steps()[-1]
    (run / "best.json").write_text(f'{{"step": {oldest}, "accuracy": 0.9}}')
    assert load_network(run, "best", CPU).step == oldest
    assert load_network(run, "last", CPU).step > oldest
    assert not capsys.readouterr().err


@pytest.mark.parametrize("name", ["model.pt", "optimizer.pt", "state.json"])
@pytest.mark.parametrize("content", [None, b"", b"{}"])
def test_whatever_is_wrong_with_a_checkpoint_the_remedy_is_told(run, name, content):
    victim = newest(run) / name
    victim.unlink() if content is None else victim.write_bytes(content)
    with pytest.raises(FormatError, match=rf"{name} .*delete its folder to go on from an older checkpoint"):
        load_checkpoint(newest(run))


def test_a_checkpoint_that_names_another_network_is_refused(run):
    state = newest(run) / "state.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | {"model": "paper"}))
    with pytest.raises(FormatError, match=r"holds network 'paper', its run trains 'small': it belongs to another run"):
        load_network(run, "last", CPU)


def test_a_step_reached_again_replaces_its_checkpoint(tmp_path):
    paths = RunPaths(tmp_path)
    state = State(step=5, model="small", digest="", skipped=0)
    for value in (1.0, 2.0):
        save_checkpoint(paths, Saved(state=state, model={"w": torch.tensor(value)}, optimizer={}))
    assert load_checkpoint(paths.checkpoint(5)).model["w"] == 2
    assert [path.name for path in paths.checkpoints.iterdir()] == ["00000005"]


CRASHES = """
import os, resource, shutil, signal, sys
from pathlib import Path
from typing import NoReturn
import torch
from avsync.run.checkpoint import RunPaths, Saved, load_checkpoint, prune, save_checkpoint, tidy
from avsync.run.state import Best, State

before, work = RunPaths(Path(sys.argv[1])), RunPaths(Path(sys.argv[2]))
CHANGES = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir")

def saved(step, value):
    state = State(step=step, model="small", digest="", skipped=0)
    return Saved(state=state, model={"w": torch.full((3000,), value)}, optimizer={"m": torch.full((3000,), value)})

def kill_at(moment):
    def watch(event, arguments):
        nonlocal moment
        if event in CHANGES:
            moment -= 1
            if moment == 0:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(watch)

def kill_at_byte(size):  # of any file: the kernel kills who writes more
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

def ended(step, crash):
    # How a process ends that is to save `step` with other weights and to delete what is too old.
    shutil.rmtree(work.root, ignore_errors=True)
    shutil.copytree(before.root, work.root)
    child = os.fork()
    if not child:
        crash()
        save_checkpoint(work, saved(step, 2.0))
        prune(work, 2, Best(1, 0.7))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def values():
    tidy(work)
    names = sorted(path.name for path in work.checkpoints.iterdir())
    assert names == sorted(f"{step:08d}" for step in work.saved_steps()), names
    return {step: float(load_checkpoint(work.checkpoint(step)).model["w"][0]) for step in work.saved_steps()}

def check(step, crash, told):
    code = ended(step, crash)
    found = values()
    old = dict.fromkeys((1, 2, 3, 4), 1.0)
    kept = {1, *sorted({*old, step})[-2:]}
    assert code or found == {n: v for n, v in (old | {step: 2.0}).items() if n in kept}, (told, found)
    assert found[1] == 1.0 and set(found) >= kept - {5}, (told, found)
    assert found.get(step, 1.0) in (1.0, 2.0) and max(found) >= 4, (told, found)
    assert all(value == 1.0 for number, value in found.items() if number != step), (told, found)
    return code

for step in (1, 2, 3, 4):
    save_checkpoint(before, saved(step, 1.0))
for step in (4, 5):  # written anew, and new
    moment = 1
    while check(step, lambda: kill_at(moment), f"change {moment} of step {step}"):
        moment += 1
    print(moment)
    sizes = [size for size in range(0, 15_000, 331) if check(step, lambda: kill_at_byte(size), f"{size} bytes")]
    print(len(sizes))
"""


def test_a_process_that_is_killed_at_any_change_or_byte_of_a_save_leaves_whole_checkpoints_only(tmp_path):
    command = [sys.executable, "-c", CRASHES, str(tmp_path / "before"), str(tmp_path / "work")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    changes, bytes_killed, more_changes, more_bytes = map(int, done.stdout.split())
    assert min(changes, more_changes) > 20
    assert min(bytes_killed, more_bytes) > 20


def die_while_saving(folder: Path) -> None:
    with publish_folder(folder) as part:
        (part / "model.pt").write_bytes(b"half")
        raise KeyboardInterrupt


def test_a_crash_while_saving_leaves_the_older_checkpoint_the_newest(tmp_path):
    paths = RunPaths(tmp_path)
    state = State(step=5, model="small", digest="", skipped=0)
    save_checkpoint(paths, Saved(state=state, model={"w": torch.ones(2)}, optimizer={}))
    with pytest.raises(KeyboardInterrupt):
        die_while_saving(paths.checkpoint(9))
    assert paths.saved_steps() == [5]
    save_checkpoint(paths, Saved(state=replace(state, step=9), model={"w": torch.zeros(2)}, optimizer={}))
    assert paths.saved_steps() == [9, 5]
    assert torch.equal(load_checkpoint(paths.checkpoint(5)).model["w"], torch.ones(2))


def test_pruning_keeps_the_newest_and_the_best(tmp_path):
    paths = RunPaths(tmp_path)
    for step in range(1, 7):
        state = State(step=step, model="small", digest="", skipped=0)
        save_checkpoint(paths, Saved(state=state, model={}, optimizer={}))
    prune(paths, 2, Best(2, 0.7))
    assert paths.saved_steps() == [6, 5, 2]


def test_checkpoints_hold_no_pickled_objects(run):
    for name in ("model.pt", "optimizer.pt"):
        with zipfile.ZipFile(newest(run) / name) as archive:
            assert archive.testzip() is None
        torch.load(newest(run) / name, weights_only=True)


def test_a_full_disk_is_told_as_such_and_leaves_no_half_checkpoint(tmp_path, monkeypatch):
    def full(path: Path, **_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("avsync.run.checkpoint.publish", full)
    state = State(step=3, model="small", digest="", skipped=0)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(RunPaths(tmp_path), Saved(state=state, model={"w": torch.ones(2)}, optimizer={}))
    assert RunPaths(tmp_path).saved_steps() == []


def test_of_equal_accuracies_the_lower_loss_is_better():
    assert Best(2, 0.7, 0.5).beats(Best(1, 0.7, 0.6))
    assert not Best(2, 0.7, 0.6).beats(Best(1, 0.7, 0.6))
    assert not Best(2, 0.6, 0.1).beats(Best(1, 0.7, 0.6))


@pytest.mark.parametrize("content", [b"", b"{}", b'{"step": "x"}'])
def test_a_damaged_best_json_says_how_to_do_without_it(run, content):
    (run / "best.json").write_bytes(content)
    with pytest.raises(FormatError, match=r"best\.json.*delete it, or give --checkpoint last"):
        load_network(run, "best", CPU)
    load_network(run, "last", CPU)


def test_a_run_does_not_move_into_a_folder_with_other_files(dataset, config, tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").touch()
    with pytest.raises(InputError, match=r"holds other files \(a\.mp4\) and is no run; give the run a new folder"):
        train(dataset, tmp_path / "videos", config)
    with pytest.raises(InputError, match="is a dataset"):
        train(dataset, dataset, config)
    assert [path.name for path in (tmp_path / "videos").iterdir()] == ["a.mp4"]

"""What is read back from a run folder is checked; nothing in it is ever executed."""

import errno
import json
import os
import pickle
import resource
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from avsync_settings import quick_config

from avsync.config import OptimConfig
from avsync.run.checkpoint import Saved, keep_checkpoint, load_checkpoint, prune, save_checkpoint, tidy
from avsync.run.network import load_network
from avsync.run.optimizer_state import restore_optimizer
from avsync.run.paths import RunPaths
from avsync.run.state import Best, State
from avsync.train.step import build_optimizer
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


def repacked(path: Path, change: Callable[[str, bytes], bytes], kind: int = zipfile.ZIP_STORED) -> None:
    """The same records, but for what `change` makes of them."""
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in records.items():
            archive.writestr(name, change(name, content))


def ask_for_memory(name: str, content: bytes) -> bytes:
    """A pickle of a few bytes that asks for 100 GB of zeros."""
    bomb = b"\x80\x02c__builtin__\nbytearray\n\x8a\x05\x00\xe8vH\x17\x85R."
    return bomb if name.endswith("data.pkl") else content


def share_bytes(path: Path) -> None:
    """Each record's entry leads to the bytes of the largest one: few bytes are all tensors."""
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda record: record.file_size)
        for record in archive.infolist():
            record.file_size = record.compress_size = largest.file_size
        first = content.index(b"PK\x01\x02")
        listed = b"".join(
            struct.pack("<4s4B4HL2L5H2L", b"PK\x01\x02", 20, 3, 20, 0, 0, 0, 0, 0, largest.CRC, largest.file_size,
                        largest.file_size, len(record.filename), 0, 0, 0, 0, 0, largest.header_offset)
            + record.filename.encode() for record in archive.infolist()
        )  # fmt: skip
        count = len(archive.infolist())
    path.write_bytes(
        content[:first] + listed + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, len(listed), first, 0)
    )


BOMBS: dict[str, tuple[Callable[[Path], None], str]] = {
    "packed": (lambda path: repacked(path, lambda _, content: content, zipfile.ZIP_DEFLATED), "holds packed records"),
    "asked for": (lambda path: repacked(path, ask_for_memory), "is not a plain checkpoint"),
    "shared": (share_bytes, "its records have more bytes than the file"),
    "names": (
        lambda path: repacked(path, lambda name, data: b"]" * (5 << 20) if name.endswith("data.pkl") else data),
        "one list of at most",
    ),
    "names of names": (
        lambda path: repacked(path, lambda name, data: data if "pkl" in name else b"") or None,
        "is damaged or cut short",
    ),
}


@pytest.mark.parametrize("name", ["model.pt", "optimizer.pt"])
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_checkpoint_takes_no_more_memory_than_it_has_bytes(tmp_path, name, bomb):
    paths, state = RunPaths(tmp_path), State(step=5, model="small", digest="", skipped=0)
    tensors = {f"w{number}": torch.zeros(1000 * number) for number in range(1, 4)}
    save_checkpoint(paths, Saved(state=state, model=tensors, optimizer=tensors))
    victim = paths.checkpoint(5) / name
    make, told = BOMBS[bomb]
    make(victim)
    bytes_now = victim.stat().st_size
    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 4 * bytes_now + (256 << 20), before[1]))
    try:
        with pytest.raises(FormatError, match=rf"{name}.*{told}.*delete its folder to go on from an older checkpoint"):
            load_checkpoint(paths.checkpoint(5))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def exchanged(state: dict[str, Any], **values: object) -> dict[str, Any]:
    """With other values for the first weight."""
    return state | {"state": state["state"] | {0: state["state"][0] | values}}


def nested(depth: int) -> object:
    value: object = (1.0,)
    for _ in range(depth):
        value = (value, value)
    return value


STATES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "another shape": lambda state: exchanged(state, exp_avg=torch.zeros(1)),
    "one for all": lambda state: exchanged(state, exp_avg_sq=torch.zeros(())),
    "a number": lambda state: exchanged(state, exp_avg=3.0),
    "text": lambda state: exchanged(state, exp_avg="x"),
    "complex": lambda state: exchanged(
        state, exp_avg=torch.zeros_like(state["state"][0]["exp_avg"], dtype=torch.cfloat)
    ),
    "nothing": lambda state: exchanged(state, exp_avg=None),
    "a missing one": lambda state: state | {"state": state["state"] | {0: {"step": torch.tensor(3.0)}}},
    "steps of a shape": lambda state: exchanged(state, step=torch.zeros(2)),
    "no number of steps": lambda state: exchanged(state, step=torch.tensor(float("nan"))),
    "steps before the first": lambda state: exchanged(state, step=-1e300),
    "very many steps": lambda state: exchanged(state, step=10**400),
    "what has no end": lambda state: exchanged(state, more=nested(60)),
    "a weight too many": lambda state: state | {"state": state["state"] | {999: {}}},
    "a state of text": lambda state: state | {"state": "x"},
    "a weight of text": lambda state: state | {"state": state["state"] | {0: "x"}},
    "a group too many": lambda state: state | {"param_groups": state["param_groups"] * 2},
    "no groups": lambda state: {"state": state["state"]},
    "a list": lambda state: [state],
}


@pytest.mark.parametrize("kind", ["adam", "adamw", "momentum", "sgd"])
@pytest.mark.parametrize("forged", STATES)
def test_a_state_of_another_optimiser_is_told_and_never_ends_a_step(kind, forged, tmp_path):
    network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))

    def stepped() -> torch.optim.Optimizer:
        optimizer = build_optimizer(network.parameters(), OptimConfig(name=kind))
        network(torch.ones(2, 3)).sum().backward()
        optimizer.step()
        return optimizer

    state = stepped().state_dict()
    state["state"] = state["state"] or {0: {}}
    if kind in ("momentum", "sgd"):  # it keeps others: what is wrong there is put into what it has
        names = {"exp_avg": "momentum_buffer", "exp_avg_sq": "momentum_buffer"}
        state["state"][0] |= {"exp_avg": torch.zeros(4, 3)}
        state = STATES[forged](state)
        if isinstance(state, dict) and isinstance(state["state"], dict) and isinstance(state["state"][0], dict):
            state["state"][0] = {names.get(name, name): value for name, value in state["state"][0].items()}
    else:
        state = STATES[forged](state)
    optimizer = build_optimizer(network.parameters(), OptimConfig(name=kind))
    try:
        restore_optimizer(optimizer, state, tmp_path)
    except FormatError as error:
        told = str(error)
    else:
        told = ""
        network(torch.ones(2, 3)).sum().backward()
        optimizer.step()  # then it does no harm
    assert kind in ("momentum", "sgd") or told.startswith(f"{tmp_path} holds another optimiser's state: ")
    assert "\n" not in told


@pytest.mark.parametrize("kind", ["adam", "adamw", "momentum", "sgd"])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_the_state_of_a_weight_that_is_one_number_comes_back(kind, sign, tmp_path):
    """Its moments have no axes, as a count of steps has none, and may be below 0."""
    weight = torch.nn.Parameter(torch.tensor(2.0))
    optimizer = build_optimizer([weight], OptimConfig(name=kind))
    (sign * weight).backward()
    optimizer.step()
    restored = build_optimizer([weight], OptimConfig(name=kind))
    restore_optimizer(restored, optimizer.state_dict(), tmp_path)
    assert restored.state_dict() == optimizer.state_dict()


@pytest.mark.parametrize("kind", ["adam", "adamw", "momentum", "sgd"])
def test_settings_of_an_optimiser_are_the_runs_whatever_a_checkpoint_says(kind, tmp_path):
    network = torch.nn.Linear(3, 4)
    optimizer = build_optimizer(network.parameters(), OptimConfig(name=kind))
    network(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    state, own = optimizer.state_dict(), dict(optimizer.state_dict()["param_groups"][0])
    forged = {name: "x" for name in own if name not in ("params", "lr")} | {"lr": 0.125, "more": "x"}
    restored = build_optimizer(network.parameters(), OptimConfig(name=kind))
    restore_optimizer(restored, state | {"param_groups": [state["param_groups"][0] | forged]}, tmp_path)
    for name, value in own.items():
        assert restored.state_dict()["param_groups"][0][name] == (0.125 if name == "lr" else value)
    network(torch.ones(2, 3)).sum().backward()
    restored.step()


@pytest.mark.parametrize("name", ["x.part", "00000099.part", "x.old", "00000099.old", "x.gone", "y.part.old"])
@pytest.mark.parametrize("kind", ["link to a folder", "link to nothing", "file", "FIFO", "folder"])
def test_whatever_lies_among_the_checkpoints_ends_no_run(tmp_path, name, kind, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "own").write_bytes(b"mine")
    paths, state = RunPaths(tmp_path / "run"), State(step=7, model="small", digest="", skipped=0)
    place = paths.checkpoints / name
    place.parent.mkdir(parents=True)
    {
        "link to a folder": lambda: place.symlink_to(tmp_path / "mine"),
        "link to nothing": lambda: place.symlink_to(tmp_path / "none"),
        "file": lambda: place.write_bytes(b"x"),
        "FIFO": lambda: os.mkfifo(place),
        "folder": lambda: shutil.copytree(tmp_path / "mine", place),
    }[kind]()
    tidy(paths)
    keep_checkpoint(paths, Saved(state=state, model={"w": torch.ones(2)}, optimizer={}), 1)
    tidy(paths)
    assert [path.name for path in paths.checkpoints.iterdir() if path.suffix] == []
    assert paths.saved_steps() == ([99] if (name, kind) == ("00000099.old", "folder") else [7]), "but what a crash left"
    assert (tmp_path / "mine" / "own").read_bytes() == b"mine"
    assert capsys.readouterr().err == ""


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

    monkeypatch.setattr("avsync.run.tensor_file.publish", full)
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

"""What the avsync of before left on disk is read, and what it left half done is gone on with.

fixtures/before/README.md says how each was made: by an older version, from generated scenes.
Nothing here is ever made anew.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sharding.base.environment import JOBS
from sharding.format.dataset import open_dataset
from sharding.plan.plan import SOFTWARE

BEFORE = Path(__file__).parent / "fixtures" / "before"
MADE_BY = "PyAV 18.1.0, FFmpeg 8.1.2"
WHEN = 1_700_000_000
PACK = "--fps 8 --size 32 --sample-rate 8000 --min-clip-s 1 --workers 1".split()
RAW = "--size 16 --clip-s 1 --max-clips-per-source 1 --sources-per-shard 4 --codec raw".split()
SHARED = "--sources-per-shard 2 --codec h264".split()
same_software = pytest.mark.skipif(SOFTWARE != MADE_BY, reason=f"packing goes on with {MADE_BY} only, as it should")


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """A copy, with the sources' dates of then: they are part of a plan."""
    folder = (tmp_path / "before").resolve()
    shutil.copytree(BEFORE, folder)
    for kept in list(folder.rglob("submitted")):  # under this name, so that no `avsync status` comes upon them here
        kept.rename(kept.with_name(JOBS))
    for path in (folder / "scenes").rglob("*"):
        os.utime(path, (WHEN, WHEN))
    return folder


def avsync(folder: Path, *words: str | Path, code: int = 0) -> str:
    """What a command says, errors included."""
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-m", "launch", *map(str, words)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def flags(name: str) -> list[str]:
    return (BEFORE / f"{name}-flags.txt").read_text().split()


def filled(folder: Path, root: Path) -> None:
    """Put this machine's folders where those of then were."""
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix in (".json", ".jsonl", ".sh", ".txt", ".out"):
            text = path.read_text()
            for name, here in {"@ROOT@": str(root), "@PYTHON@": sys.executable, "@CODE@": str(root)}.items():
                text = text.replace(name, here)
            path.write_text(text)


def contents(folder: Path) -> dict[str, bytes]:
    """Of all files; a side file of then does not say how clocks were mended, and is else the same."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): as_of_then(path) for path in files}


def as_of_then(path: Path) -> bytes:
    data = path.read_bytes()
    if not (path.suffix == ".json" and path.stem.isdecimal()):
        return data
    side = json.loads(data)
    for source in side["sources"]:
        source.pop("clock", None)
    return json.dumps(side).encode()


@pytest.mark.parametrize(("name", "clips"), [("dataset-h264", 7), ("dataset-raw", 3)])
def test_a_dataset_is_whole_and_every_clip_of_it_is_read(before: Path, name: str, clips: int) -> None:
    assert len(open_dataset(before / name, "train").index) == clips
    assert "4 shards" in avsync(before, "verify", name, "--decode") or name == "dataset-raw"
    assert "corrupt" in avsync(before, "show", name)


@same_software
def test_a_dataset_packed_again_is_left_alone(before: Path) -> None:
    was = contents(before / "dataset-raw")
    said = avsync(before, "pack", "scenes/few.csv", "dataset-raw", *PACK, *RAW)
    assert "0 shards written, 3 kept" in said
    assert contents(before / "dataset-raw") == was


@same_software
def test_shares_that_were_divided_and_half_packed_are_gone_on_with_and_joined(before: Path) -> None:
    part = next((before / "dataset-shares").glob(".parts/*/000000-00000.tar")).read_bytes()
    words = ("pack", "scenes/few.csv", "dataset-shares", *PACK, *SHARED)
    assert "0 shards packed, 3 kept" in avsync(before, *words, "--share", "1")
    assert "share 0 of 2 is whole: 1 shard packed" in avsync(before, *words, "--share", "0")
    avsync(before, *words)
    avsync(before, "pack", "scenes/few.csv", "fresh", *PACK, *SHARED)
    assert contents(before / "dataset-shares") == contents(before / "fresh")
    assert part[:-1024].rstrip(b"\0") in (before / "dataset-shares/train/000000.tar").read_bytes()


def test_a_run_resumes_at_its_step_with_its_losses_and_a_receipt(before: Path) -> None:
    wanted = json.loads((before / "run-expected.json").read_text())
    said = avsync(before, "train", "dataset-h264", "run", *flags("run"))
    assert "resumed at step 8 of 16" in said
    assert "clips skipped 0, repeated 0, digest of 16 clips matches" in said
    curve = EventAccumulator(str(before / "run/tensorboard/train"))
    curve.Reload()
    losses = {event.step: event.value for event in curve.Scalars("loss")}
    assert losses == {
        int(step): pytest.approx(loss, rel=1e-3) for step, loss in wanted["loss"].items() if int(step) > 8
    }
    receipt = json.loads((before / "run/receipts.jsonl").read_text().splitlines()[-1])
    assert wanted["receipt_of_attempt_2"].items() <= receipt.items()
    assert json.loads((before / "run/checkpoints/00000016/state.json").read_text())["digest"] == wanted["digest_at_16"]
    shown = avsync(before, "show", "run", "--dataset", "dataset-h264", "--clips", "--step", "8:16")
    assert f"the digest of all 32 clips of steps 0 to 15 matches the checkpoint's ({wanted['digest_at_16']})" in shown


def rebuild_weights(folder: Path) -> None:
    """Weights in the form of then: the real ones are too large to keep."""
    form = json.loads((folder / "model-form.json").read_text())
    random = torch.Generator().manual_seed(0)

    def rebuilt(one: dict[str, tuple[str, list[int]]]) -> dict[str, torch.Tensor]:
        return {
            name: (torch.rand(shape, generator=random) * 0.1).to(getattr(torch, kind))
            for name, (kind, shape) in one.items()
        }

    if "arms" in form:
        forms = [rebuilt(one) for one in form["forms"]]
        found = {arm: {which: forms[number] for which, number in each.items()} for arm, each in form["arms"].items()}
    else:
        found = rebuilt(form)
    torch.save(found, folder / "model.pt")
    (folder / "model-form.json").unlink()


def test_a_separator_goes_on_without_its_features_and_is_evaluated(before: Path) -> None:
    filled(before / "apart", before)
    rebuild_weights(before / "apart/checkpoints/00000003")
    shutil.rmtree(before / "run")  # what it sees by is in its checkpoint
    said = avsync(before, "train", "dataset-h264", "apart", *flags("apart"))
    assert "resumed at step 3 of 6" in said
    assert "clips skipped 0, repeated 0" in said
    state = json.loads((before / "apart/checkpoints/00000006/state.json").read_text())
    assert state["digest"] == "19ec143933a4804925eadee6fc4326b3"
    assert "SI-SDR" in avsync(before, "evaluate", "apart", "dataset-h264", "--split", "train")


def test_a_finetune_folder_goes_on(before: Path) -> None:
    filled(before / "finetune", before)
    rebuild_weights(before / "finetune/checkpoints/00000004")
    wanted = json.loads((before / "finetune-expected.json").read_text())
    was = json.loads((before / "finetune/curves.json").read_text())
    avsync(before, "finetune", "run", "dataset-h264", "finetune", *flags("finetune"))
    state = json.loads((before / "finetune/checkpoints/00000008/state.json").read_text())
    assert state["digest"] == wanted["digest_at_8"]
    points = json.loads((before / "finetune/curves.json").read_text())
    assert points[: len(was)] == was
    assert [(one["arm"], one["split"], one["step"]) for one in points] == [
        (one["arm"], one["split"], one["step"]) for one in wanted["curves"]
    ]


@pytest.mark.parametrize(("kind", "target", "jobs"), [("job-train", "run", 1), ("job-pack", "packed", 2)])
@pytest.mark.parametrize("state", ["queued", "preempted", "done"])
def test_jobs_are_read_by_status_and_logs(before: Path, kind: str, target: str, jobs: int, state: str) -> None:
    root = before / kind / state
    filled(root, root)
    found = json.loads(avsync(root, "status", target, "--json").partition("\n]")[0] + "\n]")
    assert len(found) == jobs
    if state == "done":
        assert all(one["outcome"]["end"] == "done" for one in found)
    if kind == "job-train":
        assert found[0]["saved"] == {"queued": 0, "preempted": 11, "done": 40}[state]
        ends = [attempt["ended"] and attempt["ended"]["what"] for attempt in found[0]["attempts"]]
        assert ends == {"queued": [], "preempted": ["preempted"], "done": ["preempted", "done"]}[state]
    if state != "queued":
        assert avsync(root, "logs", target)

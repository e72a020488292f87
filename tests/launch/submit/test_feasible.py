"""What can never run is refused before it is queued, in the words in which the job itself would end: every kind of job,
every link of a chain. On the dataset, run and comparison of tests/fixtures/before, where there is no SLURM.
"""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launch.cli import main
from launch.site.amounts import node_counts
from launch.submit.command import Submit
from launch.submit.feasible import CHECKS, NO_CHECK, check_shared, ranks_on
from launch.submit.kinds import KINDS
from launch.watch.meant import ARRAYS
from sharding.errors import InputError, UsageError
from tests.launch.submit.test_script import ASKED, record

BEFORE = Path(__file__).parents[2] / "fixtures" / "before"
RUN_FLAGS, OUT_FLAGS = ((BEFORE / f"{name}-flags.txt").read_text().split() for name in ("run", "finetune"))
SHORT = ("--pairs.window-s", "0.75", "--pairs.min-shift-s", "0.25", "--pairs.max-shift-s", "1")
TRAIN = ("train", "data", "new", "--preset", "small", "--batch", "4", "--validate-clips", "2", *SHORT)
SEPARATE = ("train", "data", "new", "--preset", "separate", "--batch", "4", "--validate-clips", "2", *SHORT)
SEPARATE = (*SEPARATE, "--view.size", "24")
VIDEOS = "scenes/few.csv"
PACK = ("pack", VIDEOS, "packed", "--fps", "8", "--size", "32", "--sample-rate", "8000", "--min-clip-s", "1")
TRAIN_PACKED = ("train", "packed", *TRAIN[2:])
SITE = 'time = "1 h"\n[train]\nnodes = {nodes}\ntasks_per_node = {tasks}\n'


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a dataset, a run on it, a comparison on both, a text and a folder of another's."""
    for name, was in (("data", "dataset-h264"), ("run", "run"), ("out", "finetune"), ("scenes", "scenes")):
        shutil.copytree(BEFORE / was, tmp_path / name)
    (tmp_path / "mount" / "of another").mkdir(parents=True)
    monkeypatch.setenv("PATH", str(tmp_path / "no-programs"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def dry(*words: str, nodes: int | str = 1, tasks: int = 1) -> str:
    """A dry run; what is wrong is raised. Nothing may be written by it."""
    Path("site.toml").write_text(SITE.format(nodes=json.dumps(nodes), tasks=tasks))
    before = sorted(Path.cwd().rglob("*"))
    try:
        return Submit.parse((*words, "--cluster", "./site.toml", "--dry-run"), "avsync submit").execute()
    finally:
        assert sorted(Path.cwd().rglob("*")) == before


def test_every_kind_of_job_is_asked_whether_it_can_be() -> None:
    assert CHECKS.keys() | NO_CHECK == KINDS.keys() | ARRAYS.keys()


@pytest.mark.parametrize(
    "words",
    [
        ("train", "data", "run", *RUN_FLAGS),
        (*SEPARATE, "--features", "run"),
        (*SEPARATE, "--separate.task", "blind", "--then", "evaluate", "new", "data"),
        (*TRAIN, "--view.size", "24", "--then", "train", "data", "next", *SEPARATE[3:], "--features", "new"),
        ("evaluate", "run", "data", "--split", "val"),
        ("finetune", "run", "data", "fresh", *OUT_FLAGS),
        ("audit", "data", *SHORT),
        ("verify", "data"),
        ("train", "https://host/data", "new", "--runtime.scratch", "/scratch"),
        (*PACK, "--then", *TRAIN_PACKED, "--then", "evaluate", "new", "packed"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_can_be_is_not_refused(here: Path, words: tuple[str, ...]) -> None:
    assert "dry run: nothing was written" in dry(*words)


REFUSED: dict[str, tuple[tuple[str, ...], dict[str, Any], str]] = {
    "batch, processes": (TRAIN, {"nodes": 3}, r"train: --batch 4 cannot be shared by 3 processes"),
    "batch, nodes x tasks": ((*TRAIN, "--nodes", "2"), {"tasks": 4}, r"--batch 4 cannot be shared by 8 processes"),
    "batch, any of several numbers of nodes": (
        (*TRAIN, "--nodes", "1-4"),
        {},
        r"train: --batch 4 cannot be shared by 3 processes, which the job has on 3 of its 1-4 nodes: "
        r"give --batch a multiple of 12, or --nodes 1-2 or 4$",
    ),
    "batch, range of the profile": (
        (*TRAIN, "--runtime.accumulate", "2"),
        {"nodes": "2-3", "tasks": 2},
        r"--batch 4 cannot be shared by 4 processes in --runtime.accumulate 2 passes.*: give --batch a multiple of 24, "
        r"or fewer than 2-3 nodes$",
    ),
    "batch, passes": ((*TRAIN, "--runtime.accumulate", "3"), {}, r"--batch 4 cannot be shared by 1 processes in"),
    "batch, clips": ((*TRAIN, "--batch", "8"), {}, r"train: --batch 8 needs at least 8 usable clips"),
    "window": ((*TRAIN, "--pairs.window-s", "3"), {}, r"train: no clip is long enough: a window and its shift need"),
    "network": ((*TRAIN, "--model", "thesis"), {}, r"train: network 'thesis' needs windows of .* pictures at least"),
    "separate, no features": (SEPARATE, {}, r"train: --preset separate needs --features RUN"),
    "separate, features are none": ((*SEPARATE, "--features", "data"), {}, r"train: --features data has no run.json"),
    "separate, other pictures": ((*SEPARATE, "--features", "run", "--view.size", "32"), {}, r"24x24 pixels, now 32x32"),
    "separate, partners": ((*SEPARATE, "--features", "run"), {"tasks": 4}, r"--batch 4 cannot be shared two by two"),
    "RUN is a dataset": (("train", "data", "data", *TRAIN[3:]), {}, r"train: data is a dataset; give the run another"),
    "RUN on a mount": (("train", "data", "mount", *TRAIN[3:]), {}, r"holds other files \(of another\)"),
    "RUN is a comparison": (
        ("train", "data", "out", *TRAIN[3:]),
        {},
        r"train: out has checkpoints but no run",
    ),
    "RUN was started otherwise": (
        ("train", "data", "run", *RUN_FLAGS, "--seed", "5"),
        {},
        r"run was started with other settings: --seed was 0, is 5",
    ),
    "a URL without scratch": (("train", "https://host/data", "new"), {}, r"is a URL, and its shards must be copied"),
    "a URL, RUN is a dataset": (("train", "https://host/data", "data", "--runtime.scratch", "/x"), {}, r"is a dataset"),
    "DATASET is a run": (("train", "run", "new", *TRAIN[3:]), {}, r"train: DATASET run has no dataset.json"),
    "evaluate, split": (("evaluate", "run", "data"), {"cut": "test"}, r"no clips in split 'test'"),
    "evaluate, no run": (("evaluate", "data", "data"), {}, r"evaluate: RUN data has no run.json"),
    "evaluate, no checkpoint": (("evaluate", "run", "data"), {"gone": "run/checkpoints"}, r"has no checkpoint yet"),
    "audit, split": (("audit", "data", *SHORT, "--split", "val"), {"cut": "val"}, r"audit: .*no clips in split 'val'"),
    "audit, window": (("audit", "data"), {}, r"audit: no clip is long enough"),
    "finetune, split": (("finetune", "run", "data", "new"), {"cut": "val"}, r"all three splits are needed, split 'v"),
    "finetune, OUT": (("finetune", "run", "data", "run"), {}, r"run is a run; give avsync finetune another folder"),
    "finetune, mount": (("finetune", "run", "data", "mount"), {}, r"holds other files \(of another\)"),
    "finetune, batch": (("finetune", "run", "data", "new", "--batch", "50"), {}, r"--batch 50 needs at least 50"),
    "validation": (TRAIN, {"cut": "val"}, r"train: validation cannot work: .*no clips in split 'val'"),
    "shards": (TRAIN, {"gone": "data/train/000000.tar"}, r"train: 1 of 2 shards are missing"),
    "pack, mount": (("pack", VIDEOS, "mount"), {}, r"mount is not a dataset and not empty .*of another"),
    "pack, run": (("pack", VIDEOS, "run"), {}, r"run is a training run"),
    "pack, settings": (("pack", VIDEOS, "data"), {}, r"data was packed with other settings"),
    "chain, batch": ((*PACK, "--then", *TRAIN_PACKED), {"nodes": 5}, r"train: --batch 4 cannot be shared"),
    "chain, window": (
        (*PACK, "--clip-s", "1", "--then", *TRAIN_PACKED[:7]),
        {},
        r"train: no clip is long enough: .* the longest clip has 1.00 s",
    ),
    "chain, network": ((*PACK, "--then", *TRAIN_PACKED, "--model", "thesis"), {}, r"train: network 'thesis' needs"),
    "chain, last link": (
        (*TRAIN, "--validate-every", "0", "--then", "evaluate", "new", "data"),
        {"cut": "test"},
        r"evaluate: data has no clips in split 'test'",
    ),
    "chain, other pictures": (
        (*PACK, "--fps", "4", "--then", *TRAIN, "--then", "evaluate", "new", "packed"),
        {},
        r"evaluate: packed does not fit this network, which was trained with pictures a second 8, the dataset 4",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_can_never_be_is_refused_before_it_is_queued(here: Path, case: str) -> None:
    words, how, said = REFUSED[case]
    how = dict(how)
    if split := how.pop("cut", ""):
        info = json.loads((here / "data" / "dataset.json").read_text())
        (here / "data" / "dataset.json").write_text(json.dumps(info | {"clips": {**info["clips"], split: 0}}))
    if gone := how.pop("gone", ""):
        path = here / gone
        (shutil.rmtree if path.is_dir() else Path.unlink)(path)
    with pytest.raises(InputError, match=said):
        dry(*words, **how)


def test_a_run_whose_dataset_was_packed_anew_is_refused_by_what_is_different(here: Path) -> None:
    shutil.rmtree(here / "data" / "train")
    shutil.copytree(here / "data" / "val", here / "data" / "train")
    info = json.loads((here / "data" / "dataset.json").read_text())
    info["clips"]["train"] = info["clips"]["val"]
    (here / "data" / "dataset.json").write_text(json.dumps(info))
    with pytest.raises(InputError, match=r"train: .*run was started with other data: .* fewer clips: 7 then, 3 now"):
        dry("train", "data", "run", *RUN_FLAGS)
    assert main(["train", "data", "run", *RUN_FLAGS]) == 2, "and a job that waited meanwhile is not tried again"


def test_the_job_itself_would_end_with_the_same_words(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ((*TRAIN, "--batch", "8"), ("evaluate", "run", "data", "--split", "test"), ("audit", "data")):
        if words[0] == "evaluate":
            info = json.loads((here / "data" / "dataset.json").read_text())
            (here / "data" / "dataset.json").write_text(json.dumps(info | {"clips": info["clips"] | {"test": 0}}))
        with pytest.raises(InputError) as refused:
            dry(*words)
        assert main(words) == 2
        ended = capsys.readouterr().err.splitlines()[-1]
        assert ended.removeprefix("avsync: error: ") == str(refused.value).removeprefix(f"{words[0]}: ")


def test_what_jobs_that_are_waited_for_may_mend_is_warned_of(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "afterok:7" in dry(*TRAIN, "--batch", "8", "--after", "7")
    assert "warning: train: --batch 8 needs at least 8 usable clips" in capsys.readouterr().err


def test_where_torch_does_not_load_all_else_is_checked(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = here / "site-packages" / "torch"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text('raise ImportError("libtorch_cpu.so: failed to map segment")')
    monkeypatch.setenv("PYTHONPATH", str(broken.parent))
    assert "dry run" in dry(*TRAIN, "--model", "thesis")
    said = capsys.readouterr().err
    assert "warning: whether network thesis can work with windows of this size was not checked: torch does not" in said
    assert "failed to map segment" in said
    with pytest.raises(InputError, match="cannot be shared by 3 processes"):
        dry(*TRAIN, nodes=3)


def test_a_submission_loads_no_torch(here: Path) -> None:
    Path("site.toml").write_text(SITE.format(nodes=1, tasks=1))
    chain = (*TRAIN, "--then", "evaluate", "run", "data", "--then", "finetune", "run", "data", "fresh", *OUT_FLAGS)
    program = "import sys; from launch.cli import main; main(sys.argv[1:]); print('torch' in sys.modules)"
    words = [sys.executable, "-c", program, "submit", *chain, "--cluster", "./site.toml", "--dry-run"]
    run = subprocess.run(words, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(BEFORE.parents[2])})
    assert run.stdout.splitlines()[-1] == "False", run.stdout + run.stderr


def test_ranks_that_the_profiles_own_options_decide_are_not_guessed() -> None:
    def edit(**settings: Any) -> int:
        return ranks_on(record(**settings), ASKED.nodes)

    assert edit() == ASKED.nodes * ASKED.tasks_per_node == 8
    assert edit(sbatch={"ntasks-per-node": "3"}) == edit(srun=("--ntasks=3",)) == edit(srun=("-n", "3")) == 1


sizes = st.integers(1, 40)


@given(
    least=st.integers(1, 6), more=st.integers(1, 14), tasks=st.integers(1, 4), batch=sizes, accumulate=st.integers(1, 2)
)
def test_a_batch_that_some_number_of_nodes_cannot_share_is_refused_with_what_would_do(
    least: int, more: int, tasks: int, batch: int, accumulate: int
) -> None:
    def shared(low: int, high: int, batch: int) -> bool:
        return all(batch % (nodes * tasks * accumulate) == 0 for nodes in range(low, high + 1))

    one = record(replace(ASKED, nodes=least, most_nodes=least + more, tasks_per_node=tasks))
    if shared(least, least + more, batch):
        check_shared(one, batch, accumulate)
        return
    with pytest.raises(UsageError) as error:
        check_shared(one, batch, accumulate)
    said = str(error.value)
    for multiple in map(int, re.findall(r"a multiple of (\d+)", said)):
        assert shared(least, least + more, multiple)
    offered = [node_counts(one, "--nodes") for one in re.findall(r"\d+(?:-\d+)?", said.partition("--nodes ")[2])]
    assert all(shared(counts.least, counts.most, batch) for counts in offered)
    alone = {nodes for nodes in range(least, least + more + 1) if shared(nodes, nodes, batch)}
    assert {nodes for counts in offered for nodes in counts.each} == alone


def test_a_batch_is_looked_at_at_once_however_many_nodes_a_record_wants() -> None:
    huge = record(replace(ASKED, nodes=1, most_nodes=2**53))
    with pytest.raises(
        UsageError, match=r"--batch 64 cannot be shared by 12 processes.*give --nodes 1-2 or 4 or 8 or 16"
    ):
        check_shared(huge, 64, 1)

"""What is checked before anything is queued: folders, and a job's wishes against what sinfo says."""

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from launch.job.paths import JobPaths
from launch.job.record import VERSION, End, JobRecord, Outcome, Queued, Resources
from launch.queue.site import config_of
from launch.queue.squeue import QueueRow
from launch.site.profile import ClusterProfile, check_profile
from launch.submit.check import (
    Nodes,
    check_partition,
    check_scratch_folders,
    check_writable,
    clock_s,
    missing_folders,
    no_partition,
    rows_of,
    warnings,
)
from launch.submit.kinds import INDEX, WorkFolder
from launch.submit.live import clear, is_done, live_rows
from launch.submit.plan import JobPlan
from launch.submit.sbatch import in_the_way
from sharding.base.files import check_folder, write_json
from sharding.base.locks import folder_lock
from sharding.errors import InputError

ASKED = Resources(
    partition="gpu", account="", qos="", constraint="", exclude=(), nodes=1, tasks_per_node=2, gpus_per_node=2,
    cpus_per_task=4, memory_mb=1000, time_s=3600,
)  # fmt: skip


def _dataset(path: Path) -> WorkFolder:
    return WorkFolder(path=path, flag="DATASET", whole=INDEX)


def plan(target: Path = Path("/run"), reads: Sequence[WorkFolder] = (), kind: str = "train", **asked: Any) -> JobPlan:
    record = JobRecord(
        version=VERSION, kind=kind, name="x", words=("train", "d", "r"), argv=(), run=str(target), dataset="",
        profile=ClusterProfile(name="site"), resources=replace(ASKED, **asked), array=0, commit="", directory="/",
        submitted=time.time(),
    )  # fmt: skip
    return JobPlan(paths=JobPaths.of(target, kind), record=record, command=None, reads=tuple(reads))


def nodes(*rows: str) -> list[Nodes]:
    return rows_of("\n".join(row.replace("|", "\x1f") for row in rows))


GPU = nodes("gpu|1-00:00:00|16+|64000|gpu:a100:4(S:0-1),craynetwork:1|3|up", "gpu|1-00:00:00|64|9000|(null)|1|up")
REST = nodes("cpu*|infinite|128|256000|(null)|9|up", "old|2:00:00|8|8000|gpu:k80:2,gpu:p4:1|1|down")


def test_what_sinfo_says_is_understood() -> None:
    first, _, cpu, old = (*GPU, *REST)
    assert (first.partition, first.gpus, first.cpus, first.memory_mb, first.count) == ("gpu", 4, 16, 64_000, 3)
    assert (first.limit_s, first.default, first.up) == (86_400, False, True)
    assert (cpu.limit_s, cpu.default, cpu.gpus) == (None, True, 0)
    assert (old.limit_s, old.up, old.gpus) == (7200, False, 3)
    assert clock_s("30:00") == 1800


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"gpus_per_node": 5, "tasks_per_node": 5}, "5 GPUs on a node are wanted, and partition gpu has at most 4"),
        ({"partition": ""}, "2 GPUs on a node are wanted, and partition cpu has at most 0"),
        (
            {"cpus_per_task": 33},
            "66 CPUs on a node are wanted, and partition gpu has at most 64 on a node; lower --cpu",
        ),
        ({"memory_mb": 64_001}, "64,001 MiB of memory on a node are wanted"),
        ({"nodes": 5}, "5 nodes are wanted, and partition gpu has at most 4; lower --nodes or the profile site"),
        ({"time_s": 86_460}, "a time limit of 1-00:01:00 is wanted, and partition gpu allows 1-00:00:00"),
        ({"partition": "old", "gpus_per_node": 1}, "partition old is closed; choose another one: cpu, gpu"),
    ],
)
def test_a_wish_that_no_node_can_grant_is_refused_by_its_flag(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        check_partition(plan(**asked), [*GPU, *REST])


def test_a_partition_that_sinfo_does_not_show_is_named_with_the_one_that_was_meant() -> None:
    shown = [*GPU, *REST]
    assert no_partition(plan(partition="gqu"), shown) == (
        "train: the cluster has no partition gqu; did you mean gpu? there are cpu, gpu, old"
    )
    assert "no partition zzz; there are" in no_partition(plan(partition="gpu,zzz"), shown)
    assert not no_partition(plan(partition="gpu,cpu"), shown)
    assert not no_partition(plan(partition=""), shown)


def test_what_fits_is_not_refused() -> None:
    check_partition(plan(), [*GPU, *REST])
    check_partition(plan(gpus_per_node=0, partition="", time_s=10**7), [*GPU, *REST])
    check_partition(plan(partition="gpu,cpu", gpus_per_node=4, time_s=10**7), [*GPU, *REST])
    check_partition(plan(partition=""), GPU)  # no partition is the default: the site has rules of its own


def test_what_a_job_reads_must_be_there_or_be_made_before_it(tmp_path: Path) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    train = plan(run, [_dataset(data)])
    said = f"train: DATASET {data} does not exist; give what is there, or make it before: --then"
    assert missing_folders([train]) == [said]
    assert missing_folders([plan(data, kind="pack"), train]) == []
    assert missing_folders([train, plan(data, kind="pack")]) == [said]
    data.mkdir()
    assert "has no dataset.json" in missing_folders([train])[0]
    (data / "dataset.json").touch()
    assert missing_folders([train]) == []
    assert not run.exists()


def test_where_a_job_writes_there_must_be_no_file(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(InputError, match=r"run is a file, and a folder is to be made there"):
        check_writable([plan(tmp_path / "run")])
    check_writable([plan(tmp_path / "new" / "run")])


def test_a_folder_that_each_machine_has_for_itself_is_warned_of() -> None:
    assert "/tmp" in warnings([plan(Path("/tmp/run"))])[0]
    assert warnings([plan(Path("/proc/run"))]) == []


@pytest.mark.parametrize(
    ("config", "tasks"),
    [
        ("MaxArraySize            = 1001\nSchedulerParameters     = a,b\n", 1001),
        ("", 1001),
        ("MaxArraySize = 5000\nSchedulerParameters = a,max_array_tasks=300,b\n", 300),
    ],
)
def test_the_sites_limit_of_arrays_is_understood(config: str, tasks: int) -> None:
    assert config_of(config).largest_array == tasks


def test_variables_of_another_job_do_not_reach_sbatch() -> None:
    names = ("SLURM_JOB_ID", "SLURM_CONF", "SBATCH_PARTITION", "SRUN_CPUS_PER_TASK", "PATH", "SLURM_JWT")
    assert in_the_way(dict.fromkeys(names, "x")) == ["SBATCH_PARTITION", "SLURM_JOB_ID", "SRUN_CPUS_PER_TASK"]


def row(job: str, state: str, comment: str) -> QueueRow:
    return QueueRow(
        job=job, tasks="", state=state, reason="", nodes="", start=None, partition="", name="", dependency="",
        comment=comment,
    )  # fmt: skip


def test_a_job_is_known_in_the_queue_by_its_mark_or_else_by_its_number(tmp_path: Path) -> None:
    one = plan(tmp_path / "run")
    one.paths.root.mkdir(parents=True)
    (tmp_path / "link").symlink_to("run")
    mark = f"avsync:{one.paths.root}"
    rows = [
        row("1", "RUNNING", "avsync:/other"), row("2", "COMPLETED", mark), row("3", "PENDING", mark),
        row("4", "PENDING", mark.replace("/run/", "/link/")), row("5", "RUNNING", ""), row("6", "RUNNING", "avsync:/b"),
    ]  # fmt: skip
    assert [row.job for row in live_rows(one.paths, rows)] == ["3", "4"]
    write_json(one.paths.queued, Queued(ids=("5", "6")))  # 6 was given to another one since
    assert [row.job for row in live_rows(one.paths, rows)] == ["3", "4", "5"]


def test_only_the_same_words_are_done(tmp_path: Path) -> None:
    one = plan(tmp_path / "run")
    one.paths.root.mkdir(parents=True)
    assert not is_done(one)
    write_json(one.paths.record, one.record)
    write_json(one.paths.task(None).outcome, Outcome(end=End.DONE, reason="", at=0))
    assert is_done(one)
    assert not is_done(replace(one, record=replace(one.record, words=("train", "d", "r", "--steps", "9"))))
    write_json(one.paths.task(None).outcome, Outcome(end=End.FAILED, reason="", at=0))
    assert not is_done(one)


def test_nothing_is_left_that_would_end_a_new_attempt_and_attempts_are_kept(tmp_path: Path) -> None:
    paths = JobPaths.of(tmp_path, "pack")
    task = paths.task(3)
    task.folder.mkdir(parents=True)
    gone = [paths.cancelled, paths.queued, paths.task(None).outcome, paths.task(None).stop, task.outcome, task.stop]
    kept = [paths.task(None).attempts, task.attempts, paths.log, paths.record]
    for path in (*gone, *kept):
        path.touch()
    clear(paths)
    assert [path.exists() for path in (*gone, *kept)] == [False] * len(gone) + [True] * len(kept)


@pytest.mark.parametrize("above", ["", "deep/er"])
def test_a_link_that_leads_nowhere_is_named(tmp_path: Path, above: str) -> None:
    (tmp_path / "link").symlink_to("/gone/away")
    lost = tmp_path / "link" / above
    said = f"{tmp_path}/link is a link to /gone/away, which is not there"
    with pytest.raises(InputError, match=f"train: {said}; mend the link, or name another folder"):
        check_writable([plan(lost)])
    assert said in missing_folders([plan(tmp_path / "run", [_dataset(lost)])])[0]
    with pytest.raises(InputError, match=said), folder_lock(lost, "avsync train"):
        pass
    with pytest.raises(InputError, match=said):
        check_folder(lost, "--page x")


def site_plan(*words: str, argv: Sequence[str] = ("--runtime.scratch", "{scratch}"), **site: Any) -> JobPlan:
    one = plan()
    record = replace(one.record, words=("train", "d", "r", *words), argv=tuple(argv), profile=ClusterProfile(**site))
    return replace(one, record=record)


@pytest.mark.parametrize(
    ("site", "words", "said"),
    [
        ({"scratch": "$SCRACH/x"}, (), "scratch: the variable SCRACH is not set here; .* shards are not copied"),
        ({"scratch": "/s/${WHO}"}, (), "scratch: the variable WHO is not set here"),
        (
            {"environment": {"CACHE": "$WHO/c"}},
            (),
            r"\[environment\] CACHE: the variable WHO is not set here; .* left out",
        ),
        ({}, ("--runtime.scratch=$WHO/x",), r"--runtime.scratch \$WHO/x: the variable WHO is not set here"),
        ({"scratch": "$SLURM_TMPDIR/x"}, (), ""),
        ({"scratch": "$TMPDIR/$USER"}, (), ""),
        ({"scratch": "$LOCAL/x", "setup": ("export LOCAL=/nvme",)}, (), ""),
        ({"scratch": "/s/$$x"}, (), ""),
    ],
)
def test_a_variable_that_is_not_set_is_named_unless_only_a_node_can_know_it(
    site: dict[str, Any], words: Sequence[str], said: str
) -> None:
    told = [text for text in warnings([site_plan(*words, **site)], {"USER": "me"}) if "variable" in text]
    assert len(told) == bool(said)
    assert not said or re.match(said, told[0]), told


def test_a_scratch_folder_that_is_no_full_path_is_refused() -> None:
    for scratch in ("scratch", "./x", "$$x"):
        with pytest.raises(InputError, match=r"--runtime.scratch .* is no full path: it would lie in the folder"):
            check_scratch_folders([site_plan("--runtime.scratch", scratch)])
        with pytest.raises(InputError, match=r'scratch = ".*" is no full path'):
            check_profile(ClusterProfile(scratch=scratch))
    check_scratch_folders([site_plan("--runtime.scratch", "$SLURM_TMPDIR/x"), site_plan()])

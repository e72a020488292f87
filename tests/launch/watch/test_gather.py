"""The jobs of a folder and of its chain, as they lie on disk: in order, of every version, whoever looks at them."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import made
import pytest
from made import ran

from launch.job.attempts import What
from launch.job.paths import JobPaths
from launch.job.record import End, JobRecord, Queued
from launch.watch.gather import gather
from launch.watch.meant import meant_by_resubmit
from sharding.base.files import PRIVATE, read_json, write_json

pytestmark = pytest.mark.usefixtures("laptop")
KINDS = ("pack", "pack-merge", "train", "evaluate")


def chain_on_disk(data: Path, run: Path, *, by_numbers: bool) -> list[JobPaths]:
    """Pack in one folder, train and evaluate in another; of a version that noted numbers only, or the whole chain."""
    paths = [
        made.job(data if kind.startswith("pack") else run, kind, ids=(str(number),))
        for number, kind in enumerate(KINDS, 7)
    ]
    for number, one in enumerate(paths, 7):
        if by_numbers:
            write_json(one.queued, Queued(ids=(str(number),), depends_on=(str(number - 1),)))
        else:
            record = replace(read_json(one.record, JobRecord), chain=tuple(str(each.root) for each in paths))
            write_json(one.record, record)
    return paths


@pytest.mark.parametrize("by_numbers", [False, True])
def test_a_chain_is_found_in_its_order(tmp_path: Path, by_numbers: bool) -> None:
    chain_on_disk(tmp_path / "data", tmp_path / "run", by_numbers=by_numbers)
    here = [job for job in gather("run")[0].jobs if job.here]
    assert [job.kind for job in here] == ["train", "evaluate"]
    assert here[0].root in here[1].before
    elsewhere = [job.kind for job in gather("run")[0].jobs if not job.here]
    assert elsewhere == ([] if by_numbers else ["pack", "pack-merge"])


def test_the_same_folder_by_a_link_is_the_same(tmp_path: Path) -> None:
    chain_on_disk(tmp_path / "data", tmp_path / "run", by_numbers=False)
    (tmp_path / "link").symlink_to("run")
    found = gather("link")[0]
    assert [(job.kind, job.here, len(job.before)) for job in found.jobs] == [
        ("pack", False, 0), ("pack-merge", False, 1), ("train", True, 2), ("evaluate", True, 3),
    ]  # fmt: skip
    assert not found.statuses[found.jobs[2].root].works_in


def test_what_was_submitted_anew_on_its_own_is_no_follower_any_more(tmp_path: Path) -> None:
    *_, train, evaluate = chain_on_disk(tmp_path / "data", tmp_path / "run", by_numbers=False)
    made.over(train, End.FAILED)
    write_json(evaluate.record, replace(read_json(evaluate.record, JobRecord), chain=()))
    made.over(evaluate, End.DONE)
    for paths in chain_on_disk(tmp_path / "others", tmp_path / "its-run", by_numbers=False):
        made.over(paths, End.FAILED)
    jobs = gather("run")[0].jobs
    assert {job.target.name for job in jobs} == {"run", "data"}, "other folders are not searched"
    assert not next(job for job in jobs if job.kind == "evaluate").before
    assert meant_by_resubmit(jobs).jobs[-1].kind == "train"


def test_a_kind_or_a_jobs_own_folder_names_exactly_one_even_beside_a_damaged_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    *_, train, evaluate = chain_on_disk(tmp_path / "data", tmp_path / "run", by_numbers=False)
    evaluate.record.write_text("{")
    for words in (("run", "train"), (str(train.root), ""), (str(train.record), "")):
        assert gather(*words)[1] == train.root
    train.log.write_text("step 1\n")
    assert ran("logs", "run", "--kind", "train") == 0
    assert "step 1" in capsys.readouterr().out
    assert ran("logs", "run", "--kind", "pack") == 1
    assert "run has no such job; it has evaluate, train" in capsys.readouterr().err
    assert ran("cancel", "run") == 1
    assert "job.json is damaged" in capsys.readouterr().err, "it cannot be said what lives"


def test_logs_say_which_job_they_are_of_and_what_there_is_besides(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    *_, train, evaluate = chain_on_disk(tmp_path / "data", tmp_path / "run", by_numbers=False)
    made.began(train, 1)
    train.log.write_text("avsync: error: no room\n")
    made.over(train, End.FAILED, "no room")
    made.over(evaluate, End.CANCELLED, "the job it waited for did not end well")
    assert ran("logs", "run", "--errors") == 0
    told = capsys.readouterr()
    assert "no room" in told.out
    assert "train: failed: no room" in told.out
    assert "run: train; besides, by --kind evaluate: evaluate was cancelled" in told.err
    assert ran("logs", "run", "--kind", "evaluate") == 0
    assert "Nothing printed: evaluate: cancelled" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["train", "evaluate"])
def test_a_job_that_failed_because_its_folder_was_moved_leads_to_no_log_and_no_resubmit(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = made.job(tmp_path / "run", kind)
    words = (kind, str(tmp_path / "run"), str(tmp_path / "data"))
    write_json(paths.record, replace(read_json(paths.record, JobRecord), words=words, run="", dataset=""))
    ran("status", "run")
    assert "moved" not in capsys.readouterr().out
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    ran("status", "copy")
    shown = capsys.readouterr().out
    assert f"a copy of {tmp_path / 'run'}" in shown
    assert f"avsync status {tmp_path / 'run'}" in shown
    (tmp_path / "run").rename(tmp_path / "moved")
    made.over(JobPaths.of(tmp_path / "moved", kind), End.FAILED, "it was not there")
    ran("status", "moved")
    shown = capsys.readouterr().out
    assert f"moved or renamed; its job worked in {tmp_path / 'run'}: submit it anew: avsync submit {kind}" in shown
    assert "avsync logs" not in shown
    assert "resubmit" not in shown
    (tmp_path / "run").symlink_to("moved")
    ran("status", "moved")
    assert "renamed" not in capsys.readouterr().out, "it is found there"


# ---- one that cannot be read


@contextmanager
def as_a_colleague(folder: Path) -> Iterator[None]:
    """Who may read what everybody may: another user, where this process can be one; else what is private is closed."""
    private = [path for path in folder.rglob("*") if path.is_file() and not path.stat().st_mode & 0o044]
    if os.geteuid():
        for path in private:
            path.chmod(0)
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def group_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where everybody may look."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", str(folder / "no-programs"))
    yield folder
    shutil.rmtree(folder)


def test_a_colleague_sees_what_may_be_read_with_one_note_of_what_may_not(
    group_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train, pack = made.job(group_folder / "run"), made.job(group_folder / "data", "pack", array=3)
    made.progress(train, clips_per_s=212.4)
    made.began(train, 1)
    made.ended(train, What.PREEMPTED, 1, 40)
    made.began(train, 2, 40)
    train.log.write_text("hello\n")
    made.over(pack, End.FAILED, "no room", share=1)
    for paths in (train, pack):
        write_json(paths.record, read_json(paths.record, JobRecord), mode=PRIVATE)
    with as_a_colleague(group_folder):
        assert ran("status", "run", "data") == 0
        shown = capsys.readouterr().out
        for word in ("250/1,000 25 %", "212", "2: preempted", "0/2 tasks, 1 failed"):
            assert word in shown
        assert shown.count("the settings are not shown") == 1
        assert "avsync cancel" not in shown, "only its owner can"
        assert "resubmit" not in shown
        assert ran("status", "run") == 0
        assert "preempted" in capsys.readouterr().out
        assert ran("logs", "run") == 0
        assert "hello" in capsys.readouterr().out
        for command in ("cancel", "resubmit"):
            assert ran(command, "run") == 1
            assert "job.json: Permission denied" in capsys.readouterr().err
        assert not train.cancelled.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="another user's files are needed")
def test_what_a_colleague_has_submitted_is_not_cancelled_whatever_numbers_its_folder_names(
    group_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = made.job(group_folder / "run", ids=("1", "2"))
    for path in (job.root, job.target):
        path.chmod(0o777)
    for path in (job.record, job.queued):
        path.chmod(0o644)
    with as_a_colleague(group_folder):
        assert ran("cancel", "run") == 1
        assert "run: train belongs to root, who alone can cancel it" in capsys.readouterr().err
        assert not job.cancelled.exists()
        job.record.rename(job.root / "aside.json")
        mine = group_folder / "run" / "mine.json"
        mine.write_bytes((job.root / "aside.json").read_bytes())
        job.record.symlink_to(mine)  # looked at through it, it would be ours
        assert ran("cancel", "run", "--kind", "train") == 1
        assert "who alone can cancel it" in capsys.readouterr().err
        job.record.unlink()
        job.record.write_bytes(mine.read_bytes())  # and the numbers beside it are still another one's
        assert ran("cancel", "run", "--kind", "train") == 1
        assert "who alone can cancel it" in capsys.readouterr().err
        made.job(group_folder / "run" / "mine", ids=("1",))
        assert ran("cancel", "run/mine") == 1
        assert "belongs to" not in capsys.readouterr().err


def test_jobs_that_may_not_be_looked_into_are_not_called_never_submitted(
    group_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = made.job(group_folder / "run").root
    for folder in (job.parent, job):
        folder.chmod(0 if os.geteuid() else 0o700)
        with as_a_colleague(group_folder):
            assert ran("status", "run") == 1
        assert "may not be looked into; ask " in capsys.readouterr().err
        folder.chmod(0o755)

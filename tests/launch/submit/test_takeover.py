"""A colleague's job is not run as mine, nor written over: refused with what to type, or taken over by its words."""

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from launch.job.own import check_own, foreign
from launch.job.paths import JobPaths
from launch.job.record import JobRecord
from launch.site.profile import ClusterProfile, Notify
from launch.site.profiles import find_profile
from launch.submit.command import Resubmit, Submit
from launch.submit.plan import plan_chain
from launch.submit.snapshot import take_snapshot
from launch.submit.submit import prepare
from launch.submit.takeover import check_owners
from launch.watch.jobs import jobs_of
from sharding.base.files import read_json, write_json
from sharding.errors import InputError
from tests.neighbour import NEIGHBOUR, root_only

EVIL = "touch taken"
SITE = ClusterProfile(
    name="theirs", setup=(EVIL,), environment={"A": "evil"}, srun=("--task-prolog=evil",), sbatch={"nice": "evil"},
    notify=Notify(command=EVIL), scontrol=("sh", "-c", EVIL), scratch="/evil",
)  # fmt: skip
THEIRS = str(NEIGHBOUR)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Datasets, on a machine without SLURM."""
    for name in ("data", "more"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "dataset.json").touch()
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("AVSYNC_CLUSTER", "test")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def submit(*words: str) -> str:
    return Submit.parse(words, "avsync submit").execute()


def resubmit(*words: str) -> str:
    return Resubmit.parse(words, "avsync resubmit").execute()


def queued(target: Path, owner: int, **changes: object) -> JobPaths:
    """A job that verifies a dataset, as its folder tells; of whom."""
    (plan,) = plan_chain(Submit.parse(("verify", str(target)), "avsync submit").chain, find_profile("test"), "")
    prepare(plan, new_code=False)
    take_snapshot(plan.paths.code, target)  # there is no code in it
    write_json(plan.paths.record, replace(plan.record, **changes), mode=0o644)
    for path in (plan.paths.root, *plan.paths.root.rglob("*")):
        os.chown(path, owner, owner)
    return plan.paths


@root_only
def test_a_colleagues_job_is_refused_with_what_to_type(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = queued(here / "data", NEIGHBOUR, profile=SITE, argv=("/bin/sh", "-c", EVIL))
    for words in (("data",), ("data", "--dry-run"), ("data", "--new-code"), (str(paths.root), "--kind", "verify")):
        with pytest.raises(InputError, match=f"{paths.root} belongs to user {THEIRS}") as refused:
            resubmit(*words)
        assert "\n" not in str(refused.value)
        assert f"avsync submit verify {here / 'data'} --of {THEIRS} --cluster NAME" in str(refused.value)
    for words in (("verify", "data"), ("verify", "more", "--then", "verify", "data")):
        with pytest.raises(InputError, match=f"belongs to user {THEIRS}, and is not written over; .* --of {THEIRS}"):
            submit(*words, "--cluster", "test", "--dry-run")
    for other in ("mira", "0", "root"):
        with pytest.raises(InputError, match=f"--of {other}: .* say whose it is: --of {THEIRS}"):
            resubmit("data", "--of", other)
    monkeypatch.delenv("AVSYNC_CLUSTER")
    assert f"set it, or avsync submit verify {here / 'data'} --of {THEIRS} --cluster NAME" in _refusal(
        "data", "--of", THEIRS
    )


@root_only
def test_of_a_job_that_is_taken_over_the_words_alone_count(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = queued(here / "data", NEIGHBOUR, profile=SITE, argv=("/bin/sh", "-c", EVIL), name="evil", directory="/")
    for shown in (
        resubmit("data", "--of", THEIRS, "--dry-run"),
        submit("verify", "data", "--of", THEIRS, "--cluster", "test", "--dry-run"),
    ):
        script = shown.partition("#!/bin/bash")[2]
        assert "evil" not in script
        assert EVIL not in script
        assert f"exec {sys.executable} -m launch.job.supervise {paths.root}" in script
    said = capsys.readouterr().err
    assert f"belongs to user {THEIRS}; its words: avsync verify {here / 'data'}" in said
    (plan,) = plan_chain(Submit.parse(("verify", "data"), "avsync submit").chain, find_profile("test"), "")
    prepare(plan, new_code=True)
    check_own(paths)
    record = read_json(paths.record, JobRecord)
    assert record.argv == (sys.executable, "-m", "launch", "verify", str(here / "data"))
    assert record.profile == find_profile("test")
    assert (paths.code / "launch" / "job" / "supervise.py").is_file()
    aside = JobPaths(paths.root.with_name(f".verify-of-{THEIRS}"))
    assert read_json(aside.record, JobRecord).name == "evil", "theirs is kept"
    assert [one.root for one in jobs_of("data")] == [paths.root], "and no command looks at it"
    assert "your own; leave it out" in _refusal("data", "--of", THEIRS)


@root_only
@pytest.mark.parametrize("part", ["job.json", "code", "code/COMMIT"])
def test_a_file_of_another_in_a_job_of_mine_is_one_too_many(here: Path, part: str) -> None:
    paths = queued(here / "data", 0)
    assert not foreign(paths)
    os.chown(paths.root / part, NEIGHBOUR, NEIGHBOUR)
    assert f"{part} belongs to user {THEIRS}" in _refusal("data")
    (paths.root / part).rename(here / "aside")
    (paths.root / part).symlink_to(here / "aside")
    assert "is a link" in _refusal("data")


@root_only
def test_what_keeps_its_place_is_said_before_anything_is_done(here: Path) -> None:
    """Root may move everything: seen by somebody who may not."""
    paths = queued(here / "data", NEIGHBOUR + 1)
    os.chown(paths.root.parent, NEIGHBOUR + 2, 0)
    for path in (here, *here.parents[:-2]):  # below /tmp
        path.chmod(0o755)
    from tests.neighbour import as_neighbour

    def refusal() -> str:
        try:
            check_owners([paths], str(NEIGHBOUR + 1))
        except InputError as error:
            return str(error)
        return ""

    for mode in (0o755, 0o1777):
        paths.root.parent.chmod(mode)
        assert f"keeps its place: {paths.root.parent} belongs to user {NEIGHBOUR + 2}" in as_neighbour(refusal)
    paths.root.parent.chmod(0o777)
    assert not as_neighbour(refusal)


@root_only
def test_words_that_hold_a_command_are_typed_by_oneself(here: Path) -> None:
    words = ("train", "pipe:touch taken", str(here / "run"))
    queued(here / "data", NEIGHBOUR, words=words, kind="train")
    assert "its words hold a command, pipe:touch taken" in _refusal("data", "--of", THEIRS)


def test_a_job_of_my_own_runs_what_its_words_say(here: Path) -> None:
    paths = queued(here / "data", os.geteuid())
    kept = read_json(paths.record, JobRecord)
    good = ("/usr/local/bin/python3.12", *kept.argv[1:])
    for argv, started in (
        (good, good[0]),
        (("/bin/sh", "-c", EVIL), sys.executable),
        (("/bin/sh", *kept.argv[1:]), sys.executable),
        ((*kept.argv, "--evil", "x"), sys.executable),
        ((), sys.executable),
    ):
        write_json(paths.record, replace(kept, argv=argv))
        assert f"exec {started} -m launch.job.supervise" in resubmit("data", "--dry-run")
    for words in ((), ("evaluate", "run", "data")):
        write_json(paths.record, replace(kept, words=words))
        assert "submit it anew" in _refusal("data")
    shutil.rmtree(paths.root)


def _refusal(*words: str) -> str:
    with pytest.raises(InputError) as refused:
        resubmit(*words, "--dry-run")
    assert "\n" not in str(refused.value)
    return str(refused.value)

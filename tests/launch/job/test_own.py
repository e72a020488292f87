"""What a job runs is its user's alone: made so whatever the umask, and looked at before it is run, twice.

Once by bash, in the script that SLURM keeps, since what lies in the folder cannot be asked; once by the code itself.
"""

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from launch.job.own import check_own, make_own
from launch.job.paths import JobPaths
from launch.submit.plan import JobPlan
from launch.submit.script import Piece, Waits, script
from launch.submit.snapshot import take_snapshot
from launch.submit.submit import prepare
from sharding.base.files import write_json
from sharding.errors import InputError
from tests.neighbour import NEIGHBOUR, as_neighbour, intruded, open_folder, root_only
from tests.slurm.jobs import ROOT, asked, profile, record

OTHER = NEIGHBOUR + 1


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def plan(target: Path) -> JobPlan:
    one = replace(
        record(target, ("/bin/echo", "the work"), profile(), asked()),
        words=("train", "/data", str(target)),
        directory="/",
    )
    return JobPlan(paths=JobPaths.of(target, "train"), record=one, command=None, reads=())


def laid_out(target: Path) -> JobPaths:
    """A job's folder, with as little code as there can be."""
    made = plan(target)
    make_own(made.paths)
    home = target.parent / "home"
    (home / "launch" / "job").mkdir(parents=True, exist_ok=True)
    (home / "launch" / "job" / "supervise.py").write_text("work = 1\n")
    take_snapshot(made.paths.code, home)
    write_json(made.paths.record, made.record, mode=0o600)
    made.paths.script(0, 1).touch(mode=0o600)
    return made.paths


@pytest.mark.parametrize("mask", [0o000, 0o002, 0o022, 0o077])
def test_what_is_submitted_nobody_else_may_write_and_the_same_people_may_read(
    mask: int, tmp_path: Path, umask: None
) -> None:
    os.umask(mask)
    made = plan(tmp_path / "run")
    prepare(made, new_code=True)
    (tmp_path / "usual").mkdir()
    readable = stat.S_IMODE((tmp_path / "usual").stat().st_mode) & 0o555
    jobs = made.paths.root.parent
    found = [jobs, *jobs.rglob("*")]
    assert made.paths.code / "launch" / "cli.py" in found
    for path in found:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert not mode & 0o022, f"{path} has mode {mode:o}"
        private = path.suffix == ".toml" or path.name in ("job.json", "environment.txt")
        if path.is_dir():
            assert mode & 0o555 == readable, f"{path} has mode {mode:o}"
        else:
            assert mode & 0o044 == (0 if private else readable & 0o044), f"{path} has mode {mode:o}"
    if not mask:  # the job itself keeps compiled modules there
        environment = os.environ | {"PYTHONPATH": str(made.paths.code), "PYTHONSAFEPATH": "1"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        subprocess.run([sys.executable, "-c", "import launch.cli"], env=environment, cwd=tmp_path, check=True)
        assert list((made.paths.code / "launch" / "__pycache__").glob("cli.*.pyc"))
    check_own(made.paths)
    assert (made.paths.target.stat().st_mode ^ (tmp_path / "usual").stat().st_mode) & 0o777 == 0, "the run is not a job"


def own(path: Path, owner: int = 0, mode: int | None = None) -> None:
    os.chown(path, owner, owner, follow_symlinks=False)
    if mode is not None:
        path.chmod(mode)


def linked(path: Path) -> None:
    path.rename(path.with_name("aside"))
    path.symlink_to("aside")


PARTS: dict[str, Callable[[JobPaths], Path]] = {
    "folder": lambda paths: paths.root,
    "job.json": lambda paths: paths.record,
    "script": lambda paths: paths.script(0, 1),
    "code": lambda paths: paths.code,
    "folder of code": lambda paths: paths.code / "launch" / "job",
    "file of code": lambda paths: paths.code / "launch" / "job" / "supervise.py",
}
CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "of another": (lambda path: own(path, OTHER), f"belongs to user {OTHER}"),
    "of root": (own, ""),
    "open to a group": (lambda path: path.chmod(path.stat().st_mode | 0o020), "may be written by its group"),
    "open to all": (lambda path: path.chmod(path.stat().st_mode | 0o002), "may be written by everybody"),
    "a link": (linked, "is a link"),
    "closed": (lambda path: path.chmod(path.stat().st_mode & 0o700), ""),
}


@root_only
@pytest.mark.parametrize("change", CHANGES)
def test_bash_and_the_code_see_alike_whose_a_job_is(change: str, umask: None) -> None:
    """The job's user is neither root nor who changed it."""
    alter, why = CHANGES[change]
    with open_folder() as folder:
        for number, (part, find) in enumerate(PARTS.items()):
            target = folder / f"it's ; a run {number}"
            paths = laid_out(target)
            for path in (target, *target.rglob("*")):
                own(path, NEIGHBOUR)
            alter(find(paths))
            refused = as_neighbour(partial(looked, paths))
            assert (why in refused) if why else not refused, f"{part}: {refused}"
            one = plan(target).record
            environment = {"PATH": os.environ["PATH"], "HOME": "/"}
            ran = subprocess.run(
                ["bash"], input=script(one, paths, Piece(), Waits()), capture_output=True, text=True, check=False,
                env=environment, cwd="/", user=NEIGHBOUR, group=NEIGHBOUR, extra_groups=[],
            )  # fmt: skip
            assert not ran.stderr
            if why:
                assert ran.returncode == 2, f"{part}: {ran.stdout}"
                assert ran.stdout.startswith("avsync: error: "), f"{part}: {ran.stdout}"
                assert ran.stdout.count("\n") == 1, f"{part}: {ran.stdout}"
                assert f"avsync resubmit '{target}'".replace("it's", "it'\"'\"'s") in ran.stdout
            else:
                assert ran.stdout == f"-m launch.job.supervise {paths.root}\n", f"{part}: {ran.stdout}"


def looked(paths: JobPaths) -> str:
    """What the code says."""
    try:
        check_own(paths)
    except InputError as error:
        return str(error)
    return ""


def test_the_batch_script_and_a_rank_end_with_two_before_anything_is_read(tmp_path: Path, umask: None) -> None:
    paths = laid_out(tmp_path / "run")
    paths.code.chmod(0o775)
    paths.record.write_text("nothing that could be read")
    for module in ("launch.job.supervise", "launch.job.rank"):
        ran = subprocess.run(
            [sys.executable, "-m", module, str(paths.root)], cwd=ROOT, capture_output=True, text=True, check=False
        )
        said = ran.stdout + ran.stderr
        assert ran.returncode == 2, said
        assert said.startswith(f"avsync: error: {paths.code} may be written by its group (mode 775): "), said
        assert said.count("\n") == 1


@root_only
def test_a_job_of_an_earlier_version_goes_on_closed_and_never_with_a_file_of_somebody_else(
    capsys: pytest.CaptureFixture[str], umask: None
) -> None:
    """It lies as the umask of 002 had it, in a folder of a project."""
    with open_folder() as folder:
        target = folder / "run"
        paths = laid_out(target)
        for path in (paths.root.parent, *paths.root.parent.rglob("*")):
            os.chown(path, 0, NEIGHBOUR)
            path.chmod(0o2775 if path.is_dir() else 0o664)
        inside = [paths.root, paths.record, paths.code, *paths.code.rglob("*")]
        assert intruded(inside, groups=[NEIGHBOUR])
        make_own(paths)
        assert "only you may from now on" in capsys.readouterr().err
        check_own(paths)
        assert not intruded(inside, groups=[NEIGHBOUR])
        assert paths.root.stat().st_mode & 0o2000, "its group stays who may read"
        make_own(paths)
        assert not capsys.readouterr().err
        own(paths.code / "launch" / "job" / "supervise.py", NEIGHBOUR)
        with pytest.raises(InputError, match=f"supervise.py belongs to user {NEIGHBOUR}"):
            make_own(paths)


def test_a_folder_of_jobs_that_is_a_link_is_refused_and_what_it_leads_to_keeps_its_mode(tmp_path: Path) -> None:
    elsewhere, run = tmp_path / "elsewhere", tmp_path / "run"
    elsewhere.mkdir()
    run.mkdir()
    elsewhere.chmod(0o2775)
    (run / "jobs").symlink_to(elsewhere)
    with pytest.raises(OSError, match="is a link"):
        make_own(JobPaths.of(run, "train"))
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o2775
    assert not list(elsewhere.iterdir())


def test_what_cannot_be_looked_at_is_nobodys_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = laid_out(tmp_path / "run")
    check_own(paths)

    def refuse(path: object) -> None:
        raise OSError(5, "Input/output error", str(path))

    monkeypatch.setattr("launch.job.own._below", refuse)
    with pytest.raises(InputError, match="cannot be looked at: Input/output error"):
        check_own(paths)

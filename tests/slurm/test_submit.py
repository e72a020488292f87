"""`avsync submit` on a real cluster: what it refuses, what it queues, and what the jobs then run."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from jobs import LIMIT_S
from person import ROOT, SITE, Person
from rich.console import Console

from launch.job.attempts import read_attempts
from launch.job.paths import JobPaths
from launch.job.record import End, JobRecord, Outcome, Queued
from launch.submit.snapshot import take_snapshot
from sharding.base.files import read_json
from sharding.config import PackConfig
from sharding.format.crop import BoxPath, Knot
from sharding.format.index import read_info
from sharding.format.records import ShardRecord
from sharding.pack.pack import pack
from sharding.sources.crops import write_boxes
from sharding.sources.curated import CuratedRow, Verdict, boxes_beside, write_curated
from slurm.cluster import Cluster, ClusterSettings
from tests.installed import install
from tests.media import Video, write_video

pytestmark = pytest.mark.slurm

HELD = '[sbatch]\nhold = ""\n'
VIDEOS = 7
FITS = (
    "--preset",
    "small",
    "--batch",
    "2",
    "--pairs.window-s",
    "1",
    "--pairs.min-shift-s",
    "0.5",
    "--validate-every",
    "0",
)
"""Settings with which a network can be trained on so few and small pictures."""


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media") / "videos"
    for number in range(VIDEOS):
        write_video(folder / "bell" / f"{number}.mp4", Video(seed=number))
    return folder


@pytest.fixture(scope="session")
def packed(videos: Path) -> Path:
    """Read only."""
    dataset = videos.parent / "packed"
    pack(videos, dataset, PackConfig(size=32, sources_per_shard=4, workers=1), Console(quiet=True))
    return dataset


@pytest.fixture
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def person(cluster: Cluster, tmp_path: Path, packed: Path) -> Person:
    shutil.copytree(packed, tmp_path / "data")
    return Person(cluster=cluster, folder=tmp_path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("train", "data", "run", "--partition", "hihg"),
            "no partition hihg; did you mean high? there are grace, high",
        ),
        (
            ("train", "data", "run", "--gpus-per-node", "3"),
            "3 GPUs on a node are wanted, and partition low has at most 2",
        ),
        (("train", "data", "run", "--memory", "1 TB"), "MiB of memory on a node are wanted"),
        (("train", "data", "run", "--nodes", "5"), "5 nodes are wanted"),
        (
            ("train", "data", "run", "--constraint", "gold"),
            "sbatch says no: Invalid feature specification; change what profile site",
        ),
        (("train", "nowhere", "run"), "DATASET nowhere does not exist"),
        (("train", "data", "run", "--stesp", "3"), "--stesp"),
        (("evaluate", "run", "data"), "RUN run does not exist"),
        (("train", "data", "run", "--after", "999999"), "SLURM does not know this job"),
        (("train", "data", "run", "--cluster", "lba"), "there is no profile of that name"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_run_is_refused_before_anything_is_queued(
    person: Person, words: tuple[str, ...], said: str
) -> None:
    assert said in person.is_refused("submit", "--cluster", person.profile(SITE), *words)
    assert person.queue() == []
    assert not (person.folder / "run" / "jobs" / "train" / "queued.json").exists()


def test_a_dry_run_shows_word_for_word_what_is_queued_and_leaves_nothing(person: Person) -> None:
    words = ("submit", "verify", "data", "--cluster", person.profile(SITE + HELD))
    before = sorted(person.folder.rglob("*"))
    shown = person.types(*words, "--dry-run")
    assert sorted(person.folder.rglob("*")) == before
    assert person.queue() == []
    person.types(*words)
    script = JobPaths.of(person.folder / "data", "verify").script(0, 1)
    assert script.read_text() in shown
    (job,) = person.queue()
    assert person.cluster.run("scontrol", "write", "batch_script", job, "-").strip() == script.read_text().strip()


def test_a_job_runs_the_code_that_it_was_submitted_with_and_says_where_it_was(person: Person) -> None:
    checkout = person.folder / "checkout"
    take_snapshot(checkout, ROOT)
    Person(cluster=person.cluster, folder=person.folder, code=checkout).types(
        "submit", "verify", "data", "--cluster", person.profile(SITE + HELD)
    )
    shutil.rmtree(checkout)
    person.cluster.run("scontrol", "release", *person.queue())
    paths = person.ends("data", "verify")
    assert "all as packed" in paths.log.read_text()
    assert read_json(paths.task(None).outcome, Outcome).end is End.DONE
    assert read_json(paths.record, JobRecord).words == ("verify", str(person.folder / "data"))
    assert "numpy==" in paths.environment.read_text()


def test_a_job_can_submit_another_one_that_asks_only_for_what_its_own_profile_says(person: Person) -> None:
    words = ["verify", "data", "--cluster", person.profile(SITE)]
    outer = f"cd {person.folder}; PYTHONPATH={ROOT} {sys.executable} -m launch submit {' '.join(words)}"
    output = person.folder / "outer.txt"
    job = person.cluster.submit("--nodes=2", "--cpus-per-task=3", f"--output={output}", f"--wrap={outer}")
    person.cluster.wait_for(job, ("COMPLETED", "FAILED"))
    assert "verify data: job " in output.read_text()
    paths = person.ends("data", "verify")
    fields = person.cluster.job(read_json(paths.queued, Queued).ids[0])
    assert (fields["NumNodes"], fields["NumCPUs"], fields["JobState"]) == ("1", "1", "COMPLETED")


def test_a_live_job_is_not_submitted_again_even_if_its_number_was_lost(person: Person) -> None:
    words = ("submit", "verify", "data", "--cluster", person.profile(SITE + HELD))
    person.types(*words)
    (job,) = person.queue()
    said = person.is_refused(*words)
    assert f"data has a verify job in SLURM already: {job} is PENDING (held by you" in said
    assert f"avsync cancel {person.folder / 'data'} ends it" in said
    queued = JobPaths.of(person.folder / "data", "verify").queued
    queued.unlink()  # as if killed between sbatch and this note
    assert f"job {job} was queued, but not noted" in person.is_refused(*words)
    assert read_json(queued, Queued).ids == (job,)
    assert person.queue() == [job]
    assert f"it would be refused: {person.folder / 'data'} has a verify job" in person.types(*words, "--dry-run")


def test_of_submissions_at_the_same_moment_one_is_queued(person: Person) -> None:
    words = ("submit", "verify", "data", "--cluster", person.profile(SITE + HELD))
    started = [person.start(*words) for _ in range(3)]
    codes = sorted(process.wait(timeout=LIMIT_S) for process in started)
    said = "".join(process.communicate()[1] for process in started)
    assert codes == [0, 1, 1], said
    assert len(person.queue()) == 1
    assert said.count("is in use by avsync submit") + said.count("has a verify job in SLURM already") == 2


def test_a_run_that_somebody_trains_by_hand_is_not_submitted(person: Person) -> None:
    from sharding.base.locks import folder_lock

    with folder_lock(person.folder / "run", "avsync train"):
        said = person.is_refused("submit", "train", "data", "run", *FITS, "--cluster", person.profile(SITE))
    assert "run is in use by avsync train" in said
    assert person.queue() == []


def test_a_chain_stops_at_a_failure_and_resubmit_takes_it_up_with_the_same_code(person: Person) -> None:
    (shard,) = (person.folder / "data" / "train").glob("000000.tar")
    whole = shard.read_bytes()
    shard.write_bytes(whole[:2000])
    shutil.copytree(person.folder / "data", person.folder / "other")
    said = person.types("submit", "verify", "data", "--then", "verify", "other", "--cluster", person.profile(SITE))
    first = person.ends("data", "verify", "FAILED")
    second = person.ends("other", "verify", "CANCELLED")
    depends_on = read_json(first.queued, Queued).ids
    assert read_json(second.queued, Queued).depends_on == depends_on
    assert f"begins when {depends_on[0]} ended well" in said
    assert read_attempts(second.task(None).attempts) == []
    outcome = read_json(first.task(None).outcome, Outcome)
    assert (outcome.end, "000000" in outcome.log_tail) == (End.FAILED, True)

    shard.write_bytes(whole)
    mark = first.code / "launch" / "mark.py"
    mark.touch()
    assert "verify data: job " in person.types("resubmit", "data")
    person.ends("data", "verify")
    assert read_json(first.task(None).outcome, Outcome).end is End.DONE
    assert len(read_attempts(first.task(None).attempts)) == 2
    assert mark.exists()
    person.types("resubmit", "data", "--new-code")
    person.ends("data", "verify")
    assert not mark.exists()


@pytest.fixture
def small_arrays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A site that allows three tasks in an array."""
    folder = tmp_path_factory.mktemp("c")
    with Cluster(ClusterSettings(folder=folder, accounting=False, max_array_size=3)) as running:
        yield running


def curated(folder: Path) -> Path:
    """A table of all videos: the first is in sync, the others' sound is late; of the second, one track is kept."""
    rows = [
        CuratedRow(
            path=f"bell/{number}.mp4",
            verdict=Verdict.KEEP_SHIFTED if number else Verdict.KEEP,
            offset_ms=Fraction(10 * number),
            confidence=1.0,
            track=1 if number == 1 else None,
        )
        for number in range(VIDEOS)
    ]
    write_curated(folder / "curated.csv", [*rows, CuratedRow(path="bell/gone.mp4", verdict=Verdict.DROP)])
    box = BoxPath(
        track=1, faces=1, width=Fraction(48), height=Fraction(48), knots=(Knot(Fraction(0), *[Fraction(4)] * 2),)
    )
    write_boxes(boxes_beside(folder / "curated.csv"), [("bell/1.mp4", (box,))])
    return folder / "curated.csv"


def test_an_array_larger_than_the_site_allows_is_queued_in_pieces_and_put_together(
    small_arrays: Cluster, tmp_path: Path, videos: Path
) -> None:
    person = Person(cluster=small_arrays, folder=tmp_path)
    site = person.profile(SITE + '[pack]\narray = 7\nmemory = "200 MiB"\n')
    sizes = ("--size", "32", "--sources-per-shard", "1", "--card")
    words = ("submit", "pack", curated(tmp_path), "new", "--root", videos, *sizes, "--cluster", site)
    assert f"pack new, an array of {VIDEOS} tasks in 3 jobs" in person.types(*words, "--dry-run")
    person.types(*words)
    arrays, merge = JobPaths.of(tmp_path / "new", "pack"), JobPaths.of(tmp_path / "new", "pack-merge")
    ids = read_json(arrays.queued, Queued).ids
    assert (len(ids), read_json(merge.queued, Queued).depends_on) == (3, ids)
    person.ends("new", "pack-merge")
    ends = [read_json(arrays.task(number).outcome, Outcome).end for number in range(VIDEOS)]
    assert ends == [End.DONE] * VIDEOS
    assert len(list((tmp_path / "new").glob("*/*.tar"))) == VIDEOS
    sides = [read_json(path, ShardRecord).sources[0] for path in (tmp_path / "new").glob("*/*.json")]
    assert {(one.source, bool(one.moved_sound), bool(one.tracks)) for one in sides} == {
        (f"bell/{number}.mp4", number > 0, number == 1) for number in range(VIDEOS)
    }
    assert (tmp_path / "new" / "README.md").exists()
    assert "all as packed" in person.types("verify", "new")
    said = person.types(*words)
    assert "pack new: done already, nothing to do" in said
    assert "pack-merge new: done already, nothing to do" in said
    assert person.queue() == []


def test_after_a_failure_only_what_is_missing_is_packed_again(person: Person, videos: Path) -> None:
    words = ("submit", "pack", videos, "data", "--size", "32", "--sources-per-shard", "4", "--cluster")
    site = person.profile(SITE + '[pack]\nmemory = "200 MiB"\n')
    lost, *kept = sorted((person.folder / "data").glob("*/*.tar"))
    times = [shard.stat().st_mtime_ns for shard in kept]
    lost.unlink()
    (person.folder / "data" / "dataset.json").unlink()
    assert "pack data, an array of 1 task:" in person.types(*words, site, "--dry-run")
    person.types(*words, site)
    person.ends("data", "pack-merge")
    assert lost.exists()
    assert [shard.stat().st_mtime_ns for shard in kept] == times
    assert "all as packed" in person.types("verify", "data")


def test_where_jobs_cannot_requeue_the_next_link_waits_for_the_last_in_line(person: Person) -> None:
    shutil.copytree(person.folder / "data", person.folder / "other")
    site = person.profile("successors = 2\n" + SITE)
    person.types("submit", "verify", "data", "--then", "verify", "other", "--cluster", site)
    paths = JobPaths.of(person.folder / "data", "verify")
    line, other = read_json(paths.queued, Queued).ids, JobPaths.of(person.folder / "other", "verify")
    assert len(line) == 3
    assert read_json(other.queued, Queued).depends_on == line[-1:]
    person.ends("other", "verify")
    assert {person.cluster.job(job)["JobState"] for job in line} == {"COMPLETED"}
    assert len(read_attempts(paths.task(None).attempts)) == 1
    assert paths.log.read_text().count("nothing to do: done before") == 2


def test_when_slurm_takes_only_a_part_of_a_chain_nothing_of_it_stays(person: Person) -> None:
    shutil.copytree(person.folder / "data", person.folder / "other")
    real = shutil.which("sbatch", path=person.cluster.environment["PATH"])
    bin_folder = person.folder / "bin"
    bin_folder.mkdir()
    # the real sbatch, until the site's limit of one job is reached
    (bin_folder / "sbatch").write_text(
        f'#!/bin/sh\ncase "$*" in *--test-only*) exec {real} "$@";; esac\n'
        f'if mkdir {bin_folder}/full 2>/dev/null; then exec {real} "$@"; fi\n'
        'echo "sbatch: error: QOSMaxSubmitJobPerUserLimit" >&2; exit 1\n'
    )
    (bin_folder / "sbatch").chmod(0o755)
    environment = person.cluster.environment | {"PYTHONPATH": str(ROOT)}
    environment["PATH"] = f"{bin_folder}{os.pathsep}{environment['PATH']}"
    words = ("submit", "verify", "data", "--then", "verify", "other", "--cluster", person.profile(SITE + HELD))
    run = subprocess.run(
        [sys.executable, "-m", "launch", *words], cwd=person.folder, env=environment, capture_output=True, text=True
    )
    assert (run.returncode, "sbatch says no: QOSMaxSubmitJobPerUserLimit" in run.stderr) == (1, True), run.stderr
    assert person.queue() == []
    assert not JobPaths.of(person.folder / "data", "verify").queued.exists()
    assert len(person.types(*words).split("job ")) > 2


@pytest.mark.parametrize("name", ["a b'c\"d", "50%j", "ü #1", "$(x);&"])
def test_a_folder_of_any_name_can_be_submitted(person: Person, name: str) -> None:
    (person.folder / "data").rename(person.folder / name)
    person.types("submit", "verify", name, "--cluster", person.profile(SITE))
    assert "all as packed" in person.ends(name, "verify").log.read_text()


def test_the_profile_of_the_test_cluster_trains_on_two_of_its_nodes(person: Person) -> None:
    person.types("submit", "train", "data", "run", *FITS, "--cluster", "test", "--name", "mine")
    (job,) = person.queue()
    fields = person.cluster.job(job)
    assert (fields["NumNodes"].split("-")[0], fields["JobName"], fields["Partition"]) == ("2", "mine", "low")


def test_what_a_profile_keeps_secret_no_other_user_can_read(person: Person, usual_umask: None) -> None:
    site = person.profile(
        f'setup = ["export HUSH_A=1"]\n{SITE}{HELD}[environment]\nAPI = "HUSH_B"\n[notify]\nwebhook = "http://x/HUSH_C"\n'
    )
    shown = person.types("submit", "train", "data", "run", *FITS, "--cluster", site, "--dry-run")
    assert "HUSH_B" in shown, "who typed it may see it"
    person.types("submit", "train", "data", "run", *FITS, "--cluster", site)
    folder = person.folder / "run" / "jobs" / "train"
    files = [path for path in folder.rglob("*") if path.is_file()]
    telling = {path.name for path in files if b"HUSH_" in path.read_bytes()}
    assert telling == {"job.json", "script.sh"}
    closed = {path.name for path in files if not path.stat().st_mode & 0o077}
    assert closed >= telling | {"environment.txt"}
    assert folder.stat().st_mode & 0o555 == 0o555, "others may still look in"
    assert (folder / "queued.json").stat().st_mode & 0o044 == 0o044


def test_the_wheel_alone_submits_a_job_and_the_job_runs(
    cluster: Cluster, videos: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    installed = install(tmp_path_factory.mktemp("installed"))
    (tmp_path / "site.toml").write_text(SITE + '[pack]\nmemory = "200 MiB"\n')
    words = ("pack", videos, "out", "--size", "32", "--cluster", "./site.toml")
    done = installed.run("avsync", "submit", *words, cwd=tmp_path, **cluster.environment)
    assert done.returncode == 0, done.stdout + done.stderr
    paths = JobPaths.of(tmp_path / "out", "pack-merge")
    cluster.wait_for(read_json(paths.queued, Queued).ids[-1], {"COMPLETED"}, timeout=LIMIT_S)
    assert sum(read_info(tmp_path / "out").clips.values()) == VIDEOS
    assert (paths.code / "sharding" / "pack" / "pack.py").is_file(), "a snapshot of what was installed"
    assert Path(read_json(paths.record, JobRecord).argv[0]).parent == installed.bin

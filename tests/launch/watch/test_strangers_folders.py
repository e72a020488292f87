"""A job folder or run may be anybody's: whatever its files hold, it costs its own row, a line, and no time."""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import made
import pytest
from made import ran

from avsync.run.info import RunInfo, choose_step, read_run
from avsync.run.paths import RunPaths
from avsync.run.receipt import Receipt, keep_receipt, read_receipts
from avsync.run.state import Best, State
from launch.job.attempts import What
from launch.job.paths import JobPaths
from launch.job.record import MOST_TASKS, End, JobRecord
from sharding.base.files import read_json
from sharding.errors import AvsyncError

pytestmark = pytest.mark.usefixtures("laptop")
BEFORE = Path(__file__).parents[2] / "fixtures" / "before"
STEERS = "\x1b]52;c;aGk=\x07\x9b2J\u202e\n\x7f"
LIES: dict[type, tuple[Any, ...]] = {
    int: (10**18, -1, 2**53, 10**400, MOST_TASKS),
    float: (1e300, -1e308, -1.0, 1e15, 10**400, 253_402_300_799),
    str: (STEERS, "x" * 10**6, "/dev/zero", "../" * 2000, "a\0b", "--me", "9" * 5000, "9" * 400 + " s", ""),
    list: ([], [STEERS] * 10**5, ["/nowhere"] * 10**5, ["--me"], [[]], [1e300]),
    dict: ({}, {STEERS: STEERS}, {str(number): "" for number in range(10**5)}),
    bool: (True, False),
    type(None): (STEERS, -1e308, {}, 10**18),
}
"""Of the kind that stands there, and so believed at first sight."""
FILES = (
    "jobs/train/job.json", "jobs/train/queued.json", "jobs/train/outcome.json", "jobs/train/attempts.jsonl",
    "progress.json", "run.json", "best.json", "checkpoints/00000008/state.json", "receipts.jsonl",
)  # fmt: skip
COMMANDS = (
    ("status", "RUN"), ("status", "RUN", "--json"), ("logs", "RUN"), ("logs", "RUN", "--errors"), ("show", "RUN"),
    ("cancel", "RUN"),
)  # fmt: skip
PATIENCE_S = 20.0
"""Against what does not end, on a machine that does much else; a command takes some milliseconds."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Texts of all files of a run that a job has trained, as an avsync of before wrote them."""
    texts = {path: (BEFORE / "run" / path).read_text() for path in FILES if not path.startswith("jobs/")}
    job = BEFORE / "job-train" / "done" / "run" / "submitted" / "train"
    texts |= {path: (job / Path(path).name).read_text() for path in FILES if path.startswith("jobs/")}
    return texts | {"jobs/train/log.txt": "avsync: attempt 1 of job 7 begins on n1\nstep 1\n"}


def laid_out(folder: Path, texts: dict[str, str]) -> Path:
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text.replace("@ROOT@/run", str(folder)).replace("@ROOT@", str(folder.parent)))
    return folder


def places(value: Any) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """All values in a JSON value, and where they stand: the whole first."""
    yield (), value
    inner = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    yield from (((key, *place), leaf) for key, one in inner for place, leaf in places(one))


def put(value: Any, place: tuple[str | int, ...], new: Any) -> Any:
    if not place:
        return new
    inner: dict[Any, Any] = dict(enumerate(value)) if isinstance(value, list) else dict(value)
    inner[place[0]] = put(inner[place[0]], place[1:], new)
    return list(inner.values()) if isinstance(value, list) else inner


def lies(texts: dict[str, str]) -> Iterator[tuple[str, str]]:
    """(file, text): each place of each file has another lie of its kind, and now and then one of another kind."""
    turn = 0
    for name in FILES:
        first, *rest = texts[name].splitlines() if name.endswith("l") else [texts[name]]
        for place, value in places(json.loads(first)):
            turn += 1
            lies = LIES[(*LIES, type(value))[turn % 50 if turn % 50 < len(LIES) else -1]]
            lie = json.dumps(put(json.loads(first), place, lies[turn % len(lies)]))
            yield name, "\n".join([lie, *rest])


def check(words: tuple[str, ...], capsys: pytest.CaptureFixture[str], about: object) -> str:
    """It ends soon, with a code that is no bug; what it says is in lines that anybody can read, an error in one."""
    begun = time.monotonic()
    code = ran(*words)
    told = capsys.readouterr()
    assert time.monotonic() - begun < PATIENCE_S, (words, about)
    assert code in (0, 1, 2), (words, about, told.err[-2000:])
    assert all(line.isprintable() for line in (told.out + told.err).split("\n")), (words, about)
    assert len(told.out) < (2**23 if "--json" in words else 2**19 if words[0] == "logs" else 2**16), (words, about)
    errors = [line for line in told.err.splitlines() if "error:" in line]
    assert len(errors) == (code != 0), (words, about, told.err)
    assert len(told.err) < 10_000, (words, about)
    return told.out


def test_whatever_a_file_says_it_costs_its_own_row_and_no_time(
    tmp_path: Path, whole: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    cases = list(lies(whole))
    assert len(cases) > 200
    for number, (name, text) in enumerate(cases):
        folder = laid_out(tmp_path / "runs" / f"run-{number:03d}", whole)
        (folder / name).write_text(text)
        words = COMMANDS[number % len(COMMANDS)]
        check((words[0], str(folder), *words[2:]), capsys, (name, text[:3000]))
    laid_out(tmp_path / "runs" / "good", whole)
    os.chdir(tmp_path / "runs")
    assert ran("status") == 0
    shown = capsys.readouterr().out.split("\n")
    assert all(map(str.isprintable, shown))
    assert any(line.split()[:1] == ["good"] and "done" in line for line in shown)
    of_others = [line for line in shown if line.startswith(" run-") and " done " in line]
    assert len(of_others) > len(cases) / 2, "a lie in a run's own files changes nothing of its job"


def is_read(read: Callable[[], object]) -> bool:
    """Whether it can be used; raises nothing but what a person is told in a line."""
    try:
        read()
    except AvsyncError:
        return False
    return True


def test_what_a_run_says_of_itself_is_checked_before_it_goes_on(tmp_path: Path, whole: dict[str, str]) -> None:
    used = list[bool]()
    for number, (name, text) in enumerate(lies(whole)):
        if name.startswith("jobs/"):
            continue
        run = laid_out(tmp_path / str(number), whole)
        (run / name).write_text(text)
        paths = RunPaths(run)
        used += [
            is_read(lambda paths=paths: read_run(paths)),
            is_read(lambda paths=paths: choose_step(paths, "best")),
            is_read(lambda paths=paths: read_json(paths.checkpoint(8) / "state.json", State)),
            is_read(lambda paths=paths: read_receipts(paths)),
        ]
    assert used.count(False) > 50
    assert used.count(True) > 50


def no_files(path: Path) -> Iterator[Callable[[], object]]:
    """What may lie in a file's place, each after the other."""
    yield lambda: path.write_bytes(b"")
    yield lambda: path.write_bytes(b"\0" * 1000)
    yield lambda: path.write_text("[" * 10**5)
    yield lambda: path.write_text('{"words": ' * 10**5)
    yield lambda: path.write_text(json.dumps(STEERS * 1000))
    yield lambda: os.truncate(path, 3 * 10**9)
    yield lambda: (path.unlink(), os.mkfifo(path))
    yield lambda: (path.unlink(), path.symlink_to("/dev/zero"))
    yield lambda: (path.unlink(), path.symlink_to(path))
    yield lambda: (path.unlink(), path.mkdir())


@pytest.mark.parametrize("name", [*FILES, "jobs/train/log.txt", "jobs/train/script.sh"])
def test_whatever_lies_in_a_files_place_is_not_waited_for_nor_held_in_memory(
    tmp_path: Path, whole: dict[str, str], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = laid_out(tmp_path / "run", whole)
    for number, lay in enumerate(no_files(run / name)):
        (run / name).touch()
        lay()
        for words in COMMANDS:
            check((words[0], "run", *words[2:]), capsys, (name, number))
        if (run / name).is_dir() and not (run / name).is_symlink():
            shutil.rmtree(run / name)
        else:
            (run / name).unlink()


@pytest.mark.parametrize("tasks", [MOST_TASKS, 100_000])
def test_an_array_of_any_size_is_looked_at_by_what_its_tasks_have_left(
    tmp_path: Path, tasks: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = made.job(tmp_path / "data", "pack", array=tasks)
    for number, end in ((3, End.DONE), (70, End.FAILED), (99_999, End.DONE)):
        made.began(paths, 1, share=number)
        made.over(paths, end, "no room", share=number)
    made.ended(paths, What.CRASHED, 1, share=70)
    (paths.tasks / "99999999999").mkdir()
    (paths.tasks / "x").touch()
    looks = list[object]()
    look = os.stat
    monkeypatch.setattr("os.stat", lambda *words, **more: (looks.append(words), look(*words, **more))[1])
    assert ran("status", "data") == 0
    assert f"2/{tasks} tasks, 1 failed" in capsys.readouterr().out
    assert ran("status") == 0
    assert "task 70: crashed" in capsys.readouterr().out
    assert ran("logs", "data") == 0
    assert len(looks) < 1000


def test_more_tasks_than_any_site_knows_are_damage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = made.job(tmp_path / "data", "pack", array=MOST_TASKS + 1)
    assert ran("status", "data") == 1
    assert f"{paths.record} is damaged" in capsys.readouterr().err


def test_a_chain_that_names_itself_and_strangers_in_a_circle_is_gone_through_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = [made.job(tmp_path / f"run-{number}", ids=(str(number + 1),)) for number in range(40)]
    folders = [str(paths.root) for paths in jobs]
    for number, paths in enumerate(jobs):
        record = json.loads(paths.record.read_text())
        circle = folders[number:] + folders[:number]
        more = ["/dev/zero", "/proc/self/mem", "../" * 1000, str(tmp_path / ("x" * 300)), *circle]
        paths.record.write_text(json.dumps(record | {"chain": [*circle, *more]}))
        if number % 7 == 3:
            made.over(paths, End.FAILED)
    for words in (("status", "run-0"), ("cancel", "run-0"), ("logs", "run-0"), ("status",)):
        check(words, capsys, words)


def test_the_numbers_that_go_to_slurm_are_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = made.job(tmp_path / "run")
    for strange in ("--me", "7,8", "7 8", "-1", "", "7\n", "$(id)", "٧", "1" * 21):
        paths.queued.write_text(json.dumps({"ids": [strange]}))
        for words in (("status", "run"), ("cancel", "run")):
            assert ran(*words) == 1
            assert "queued.json is damaged" in capsys.readouterr().err


def test_a_folder_that_a_job_names_is_not_looked_into(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = made.job(tmp_path / "mine")
    made.progress(mine, step=333)
    theirs = made.job(tmp_path / "theirs")
    record = json.loads(theirs.record.read_text())
    words = ["train", str(theirs.target), str(mine.target)]
    theirs.record.write_text(json.dumps(record | {"run": str(mine.target), "words": words}))
    assert ran("status", "theirs") == 0
    assert "333" not in capsys.readouterr().out


def test_a_folder_of_very_many_folders_is_not_searched_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("MOST_FOLDERS", "MOST_ENTRIES"):
        monkeypatch.setattr(f"launch.watch.jobs.{name}", 30)
    for number in range(100):
        made.job(tmp_path / f"run-{number}")
    assert ran("status") == 0
    told = capsys.readouterr().out
    assert "holds too many folders to search them all" in told
    assert 20 <= told.count("run-") <= 40
    monkeypatch.setattr("launch.watch.jobs.MOST_KINDS", 5)
    for number in range(20):
        shutil.copytree(tmp_path / "run-1/jobs/train", tmp_path / f"run-1/jobs/kind-{number}")
    assert ran("logs", "run-1") == 0
    capsys.readouterr()


def test_a_run_that_trains_on_keeps_on_beside_receipts_that_cannot_be_read(
    tmp_path: Path, whole: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    paths = RunPaths(laid_out(tmp_path / "run", whole))
    (receipt, *_) = read_receipts(paths)
    for lay in list(no_files(paths.receipts))[5:]:
        lay()
        keep_receipt(paths, receipt)
        if paths.receipts.is_dir():
            paths.receipts.rmdir()
        else:
            paths.receipts.unlink(missing_ok=True)
        paths.receipts.touch()
    capsys.readouterr()


KINDS = (JobRecord, RunInfo, State, Best, Receipt)


def test_every_kind_that_is_read_of_a_folder_says_how_large_its_file_may_be_or_is_small(
    tmp_path: Path, whole: dict[str, str]
) -> None:
    run = laid_out(tmp_path / "run", whole)
    job = JobPaths.of(run, "train")
    for path, kind in ((job.record, JobRecord), (run / "run.json", RunInfo), (run / "best.json", Best)):
        assert read_json(path, kind)
        os.truncate(path, 2**27)
        with pytest.raises(AvsyncError, match="such a file has at most"):
            read_json(path, kind)


MOMENTS = (
    ("jobs/train/job.json", "submitted"), ("jobs/train/outcome.json", "at"), ("jobs/train/attempts.jsonl", "at"),
    ("progress.json", "updated"),
)  # fmt: skip


@pytest.mark.parametrize("moment", [1e300, -1e308, 1.8e308, 1e15, 253_402_300_799, -1.0, 0])
@pytest.mark.parametrize(("name", "key"), MOMENTS)
def test_a_time_that_no_calendar_holds_is_damage_or_not_known(
    tmp_path: Path, whole: dict[str, str], name: str, key: str, moment: float, capsys: pytest.CaptureFixture[str]
) -> None:
    run = laid_out(tmp_path / "run", whole)
    if name != "jobs/train/outcome.json":
        (run / "jobs/train/outcome.json").unlink()
    lines = [json.loads(line) for line in (run / name).read_text().splitlines()] if name.endswith("l") else []
    values = [one | {key: moment} for one in lines or [json.loads((run / name).read_text())]]
    (run / name).write_text("\n".join(json.dumps(one).replace("Infinity", "1e309") for one in values))
    for words in (("status", "run"), ("status",), ("status", "run", "--json"), ("logs", "run")):
        check(words, capsys, moment)


@pytest.mark.parametrize(
    "path", ["a\0b", "/a\0b", "/" + "x" * 5000, "/" + "x" * 300, "/" + "../" * 2000, "/dev/zero", "fifo"]
)
@pytest.mark.parametrize("key", ["run", "dataset", "directory", "words", "argv", "chain"])
def test_a_path_that_cannot_be_is_not_a_bug(
    tmp_path: Path, whole: dict[str, str], key: str, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = laid_out(tmp_path / "run", whole)
    os.mkfifo(tmp_path / "fifo")
    record = {"chain": []} | json.loads((run / "jobs/train/job.json").read_text())
    lie = ["train", path, path] if isinstance(record[key], list) else path
    (run / "jobs/train/job.json").write_text(json.dumps(record | {key: lie}))
    (run / "jobs/train/outcome.json").unlink()
    for words in (("status", "run"), ("logs", "run"), ("cancel", "run"), ("resubmit", "run", "--dry-run")):
        check(words, capsys, (key, path))

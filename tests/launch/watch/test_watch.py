"""How a job stands, told from its folder and from what SLURM's commands print; and its log, as it grows."""

import json
import os
import time
from dataclasses import replace
from io import StringIO
from pathlib import Path

import made
import pytest
from made import ran
from rich.console import Console

from avsync.run.alarm import Alarm
from avsync.run.progress import ValidationScore
from launch.job.attempts import What
from launch.job.progress_on_disk import saved
from launch.job.record import End, JobRecord, Outcome
from launch.queue.sacct import BookRow
from launch.queue.squeue import HELD_AS, OVER, PLAIN, QueueRow, indices, plainly, read_rows
from launch.watch import cells
from launch.watch.board import named_apart, tunnel
from launch.watch.on_disk import TELLING
from launch.watch.page import show_page
from launch.watch.status import ENDING, STATES, Queue, QueueObservation, Standing, ask_queue, read_status, stands
from sharding.base.files import read_json, write_json
from sharding.base.share_progress import ShareProgress, ShareTeller, WorkProgress
from sharding.errors import FormatError

pytestmark = pytest.mark.usefixtures("laptop")


def row(state: str = "RUNNING", job: str = "7", **told: object) -> QueueRow:
    words = {
        "tasks": "", "reason": "", "nodes": "", "start": None, "partition": "low", "name": "x", "dependency": "",
        "comment": "",
    }  # fmt: skip
    return QueueRow(**{**words, "job": job, "state": state, **told})  # type: ignore[arg-type]


def seen(**told: object) -> QueueObservation:
    return QueueObservation(**{"ids": ("7",), "outcome": None, "rows": (), **told})  # type: ignore[arg-type]


# ---- what the queue prints


def test_a_row_of_the_queue_is_read_field_by_field_whatever_its_name_holds() -> None:
    line = "\x1f".join(
        ("7", "N/A", "PENDING", "Priority", "", "N/A", "low", "my | run", "afterok:3(unfulfilled)", "avsync:/a b/c")
    )
    (got,) = read_rows("mark" + line + "\nslurm_load_jobs error: a line that is no row\n", "mark")
    assert (got.job, got.tasks, got.waiting, got.live, got.count) == ("7", "", True, True, 1)
    assert (got.name, got.dependency, got.folder, got.start) == (
        "my | run",
        "afterok:3(unfulfilled)",
        Path("/a b/c"),
        None,
    )


def test_a_job_that_is_called_like_another_row_makes_none() -> None:
    fields = ("7", "N/A", "RUNNING", "None", "n1", "N/A", "low", "run", "(null)", "avsync:/a")
    forged = "\x1f".join(("8", *fields[1:]))
    honest = "mark" + "\x1f".join(fields)
    for name in (f"x\n{forged}", f"x\n{forged}\n", f"x\x1f{forged}", f"x\x1f(null)\x1f\n{forged}", "\n", "\x1f"):
        named = "mark" + "\x1f".join(("9", *fields[1:7], name, *fields[8:]))
        found = read_rows(f"{named}\n{honest}\n", "mark")
        assert {row.job for row in found} - {"9"} == {"7"}, name


@pytest.mark.parametrize(
    ("tasks", "numbers"),
    [("4", [4]), ("0-3", [0, 1, 2, 3]), ("1,5-9:2%4", [1, 5, 7, 9]), ("0-200:2%3", list(range(0, 201, 2)))],
)
def test_the_tasks_that_a_row_stands_for_are_counted(tasks: str, numbers: list[int]) -> None:
    assert indices(tasks) == numbers
    assert row(tasks=tasks).count == len(numbers)


@pytest.mark.parametrize("reason", PLAIN)
def test_a_known_reason_is_told_in_more_than_one_word(reason: str) -> None:
    assert " " in plainly(reason)
    assert reason not in plainly(reason)


def test_a_limit_of_the_site_is_told_with_slurms_own_word_and_what_is_unknown_stays() -> None:
    assert "under this qos (QOSMaxJobsPerUserLimit)" in plainly("QOSMaxJobsPerUserLimit")
    assert "under this account (AssocGrpCpuLimit)" in plainly("AssocGrpCpuLimit")
    assert plainly("ReqNodeNotAvail, UnavailableNodes:n[1-4]") == PLAIN["ReqNodeNotAvail"]
    assert plainly("SomethingNew") == "SomethingNew"
    assert plainly("") == ""


# ---- how a job stands


def test_what_the_job_has_written_at_its_end_is_believed_before_the_queue() -> None:
    done = Outcome(end=End.DONE, reason="all steps", at=0)
    for rows in ((), (row("RUNNING"),), (row("COMPLETING"),), None):
        assert stands(seen(outcome=done, rows=rows)) == (Standing.DONE, "all steps")


@pytest.mark.parametrize(
    ("state", "standing"),
    [
        ("RUNNING", Standing.RUNNING), ("CONFIGURING", Standing.RUNNING), ("SUSPENDED", Standing.RUNNING),
        ("PENDING", Standing.WAITING), ("REQUEUE_HOLD", Standing.WAITING), ("COMPLETING", Standing.ENDING),
    ],
)  # fmt: skip
def test_a_job_in_the_queue_stands_as_the_queue_says(state: str, standing: Standing) -> None:
    assert stands(seen(rows=(row(state),)))[0] is standing
    assert stands(seen(rows=(row("FAILED"), row(state, job="8")), ids=("7", "8")))[0] is standing


@pytest.mark.parametrize("state", ["UPDATE_DB", "LAUNCH_FAILED", "SOMETHING_NEW"])
def test_a_state_that_is_not_known_here_is_of_a_job_that_lives_and_is_told(state: str) -> None:
    """Newer versions of SLURM have more of them: a second submission must not be let in beside such a job."""
    standing, why = stands(seen(rows=(row(state),)))
    assert standing is Standing.RUNNING
    assert f"SLURM says {state}" in why
    assert "not known here" in why


@pytest.mark.parametrize("state", sorted({*STATES, *ENDING} - {"RUNNING"}))
def test_a_known_state_is_told_in_plain_words(state: str) -> None:
    standing, why = stands(seen(rows=(row(state),)))
    assert standing in (Standing.RUNNING, Standing.ENDING)
    assert " " in why
    assert state not in why


HOLDS = (
    "JobHeldUser", "JobLaunchFailure", "launch failed requeued held", "launch_failed_requeued_held",
    "job requeued in held state", "job_requeued_in_held_state", "job requeued in special exit state",
    "user env retrieval failed requeued held", "JobHoldMaxRequeue", "held by something new",
)  # fmt: skip


@pytest.mark.parametrize("state", ["PENDING", *HELD_AS])
@pytest.mark.parametrize("reason", [*HOLDS, "", "Priority"])
def test_every_hold_is_told_with_what_lets_the_job_go(reason: str, state: str) -> None:
    standing, why = stands(seen(rows=(row(state, reason=reason, start=1005.0),)), now=1000.0)
    assert standing is Standing.WAITING
    assert ("start in" in why) != ("scontrol release" in why), "one that is held does not start"
    assert ("scontrol release" in why) == (reason in HOLDS or state != "PENDING")


def test_a_job_that_waits_in_vain_is_told_so_also_while_it_is_held() -> None:
    for needs in ("afterok:3(failed)", "afterok:2(unfulfilled),afterok:3_*(failed)"):
        held = row("PENDING", reason="JobHeldUser", dependency=needs)
        assert "never starts" in stands(seen(rows=(held,)))[1]
        assert held.needs[-1] == "3"
    waits = row("PENDING", reason="Dependency", dependency="afterok:3(unfulfilled),afterany:9(failed)")
    assert (waits.in_vain, waits.needs) == (False, ("3",))


def test_what_only_sounds_like_a_hold_is_none() -> None:
    assert "release" not in plainly("QOSUsageThreshold")
    assert "ask why" in plainly("JobHeldAdmin"), "its user cannot release it"
    assert plainly("job requeued due to failure of node n3") == PLAIN["NodeFailure"]


@pytest.mark.parametrize("state", sorted(OVER))
def test_a_state_that_is_over_is_not_alive(state: str) -> None:
    assert stands(seen(rows=(row(state),)))[0] in (Standing.SILENT, Standing.CANCELLED)


def test_a_requeued_job_says_when_it_starts() -> None:
    rows = (row("PENDING", reason="BeginTime", start=1005.0),)
    assert stands(seen(rows=rows), now=1000.0) == (Standing.WAITING, "requeued, starts in 5.0 s")


@pytest.mark.parametrize(
    ("rows", "books", "standing", "said"),
    [
        ((), (), Standing.SILENT, "job 7 is not in SLURM's queue any more"),
        ((row("NODE_FAIL"),), (), Standing.SILENT, "SLURM says NODE_FAIL"),
        ((row("CANCELLED"),), (), Standing.CANCELLED, "scancel"),
        ((row("CANCELLED", reason="DependencyNeverSatisfied"),), (), Standing.CANCELLED, "the job it waited for"),
        ((), (("CANCELLED by 1000", "0:0"),), Standing.CANCELLED, "scancel"),
        ((), (("PREEMPTED", "0:0"), ("OUT_OF_MEMORY", "0:125")), Standing.SILENT, "OUT_OF_MEMORY, exit code 0:125"),
    ],
)
def test_a_job_that_left_the_queue_without_a_word_is_told_with_what_slurm_knows(
    rows: tuple[QueueRow, ...], books: tuple[tuple[str, str], ...], standing: Standing, said: str
) -> None:
    kept = [BookRow(job="7", state=state, exit_code=code, nodes="", start="", end="") for state, code in books]
    got, why = stands(seen(rows=rows, books=kept))
    assert got is standing
    assert said in why


def test_a_job_queued_after_the_question_is_not_taken_for_lost() -> None:
    assert stands(seen(fresh=True))[0] is Standing.WAITING
    assert stands(seen(ids=()))[0] is Standing.UNSENT
    assert stands(seen(rows=None))[0] is Standing.UNKNOWN


def test_a_folder_is_read_by_the_numbers_it_was_queued_under(tmp_path: Path) -> None:
    paths = made.job(tmp_path / "run", ids=("7", "9"))
    os.utime(paths.queued, (0, 0))
    others = [row("RUNNING", job="70"), row("PENDING", job="8")]
    assert (
        read_status(paths, Queue(rows=others, problem="", asked=time.time()), books=False).standing is Standing.SILENT
    )
    mine = Queue(rows=[*others, row("RUNNING", job="9", nodes="n3")], problem="", asked=time.time())
    got = read_status(paths, mine)
    assert (got.standing, got.nodes, [one.job for one in got.rows]) == (Standing.RUNNING, "n3", ["9"])


@pytest.mark.parametrize(
    ("ends", "standing"),
    [
        ([End.DONE] * 3, Standing.DONE),
        ([End.DONE, End.FAILED, End.DONE], Standing.FAILED),
        ([End.DONE, End.CANCELLED, End.DONE], Standing.CANCELLED),
        ([End.DONE, End.DONE], Standing.UNKNOWN),
    ],
)
def test_an_array_is_over_when_each_of_its_tasks_is(tmp_path: Path, ends: list[End], standing: Standing) -> None:
    paths = made.job(tmp_path / "data", kind="pack", array=3)
    for share, end in enumerate(ends):
        made.over(paths, end, share=share)
    got = read_status(paths, ask_queue())
    assert got.standing is standing
    assert got.tasks
    assert (got.tasks.done, got.tasks.failed) == (ends.count(End.DONE), len(ends) - ends.count(End.DONE))


def test_a_damaged_or_half_written_file_hides_no_job(tmp_path: Path) -> None:
    paths = made.job(tmp_path / "run")
    made.began(paths, 1)
    (paths.target / "progress.json").write_text('{"step": 1')
    paths.task(None).outcome.write_text("")
    with paths.task(None).attempts.open("a") as file:
        file.write('{"what": "pree')
    got = read_status(paths, ask_queue())
    assert (got.progress, got.outcome, len(got.attempts)) == (None, None, 1)


def test_of_a_range_of_nodes_those_that_it_got_are_shown_and_what_was_asked_for(tmp_path: Path) -> None:
    paths = made.job(tmp_path / "run")
    record = read_json(paths.record, JobRecord)
    queue = Queue(rows=[row("RUNNING", nodes="n[1-3]")], problem="", asked=time.time())
    for most, asked in ((0, ""), (4, " (2-4 were asked for)")):
        write_json(paths.record, replace(record, resources=replace(record.resources, most_nodes=most)))
        console = Console(file=StringIO(), width=120)
        show_page(console, read_status(paths, queue))
        assert f"running on n[1-3]{asked}\n" in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_range_of_nodes_with_its_ends_the_wrong_way_round_is_a_damaged_record(tmp_path: Path) -> None:
    paths = made.job(tmp_path / "run")
    text = paths.record.read_text()
    assert '"most_nodes": 0' in text or '"most_nodes":0' in text
    paths.record.write_text(
        text.replace('"most_nodes": 0', '"most_nodes": 1').replace('"most_nodes":0', '"most_nodes":1')
    )
    with pytest.raises(FormatError, match="at least 2 nodes and at most 1"):
        read_json(paths.record, JobRecord)


# ---- avsync status


def test_without_slurm_the_folders_are_shown_and_it_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = made.job(tmp_path / "deep" / "er" / "my run")
    made.progress(paths, clips_per_s=212.4, data_wait=0.04, gpu_busy=0.91, eta_s=3600)
    made.over(made.job(tmp_path / "other", kind="pack", array=0), End.FAILED, "no room on the disk")
    assert ran("status") == 0
    shown = capsys.readouterr().out
    for word in ("deep/er/my run", "250/1,000 25 %", "212", "4 %", "91 %", "1.0 h", "failed: no room on the disk"):
        assert word in shown
    assert "From the folders alone: squeue is not found" in shown
    assert "2 jobs: 1 failed, 1 not known" in shown


def test_a_page_tells_each_attempt_the_failure_and_what_to_type(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = made.job(tmp_path / "run")
    made.began(paths, 1)
    made.ended(paths, What.PREEMPTED, 1, 40, "another job needs the nodes")
    made.began(paths, 2, 40)
    made.ended(paths, What.CRASHED, 2, 40, "exit code 1")
    made.over(paths, End.FAILED, "exit code 1; 3 attempts in a row", "Traceback\nValueError: [/boom]")
    assert ran("status", "run") == 0
    shown = capsys.readouterr().out
    for word in (
        "failed: exit code 1; 3 attempts", "preempted: another job needs the nodes", "requeued",
        "ValueError: [/boom]", "avsync logs run --errors", "avsync resubmit run",
    ):  # fmt: skip
        assert word in shown


@pytest.mark.parametrize("words", [("status",), ("status", "data"), ("status", "data/jobs/pack")])
@pytest.mark.parametrize("end", [End.FAILED, End.CANCELLED])
def test_of_an_array_with_one_task_lost_that_task_is_told_of_and_what_takes_it_up(
    tmp_path: Path, end: End, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    pack, merge = made.job(tmp_path / "data", "pack", array=4), made.job(tmp_path / "data", "pack-merge", ids=("8",))
    for number in range(4):
        made.began(pack, 1, share=number)
        made.over(pack, end if number == 2 else End.DONE, "scancel", share=number)
    made.ended(pack, What.CRASHED, 1, detail="it was so", share=2)
    made.over(merge, End.CANCELLED, "the job it waited for did not end well")
    assert ran(*words) == 0
    shown = capsys.readouterr().out
    for word in ("3/4 tasks, 1 failed", "task 2", "crashed", "avsync resubmit data"):
        assert word in shown.replace("Task", "task")
    assert "1 of 4 tasks; the first: scancel (task 2)" in shown


def test_an_array_that_runs_tells_of_the_tasks_that_it_has_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from launch.watch.overview import remarks

    pack = made.job(tmp_path / "data", "pack", array=4)
    rows = [row("RUNNING", tasks="0"), row("CANCELLED", tasks="1-2"), row("COMPLETED", tasks="3")]
    got = read_status(pack, Queue(rows=rows, problem="", asked=time.time() + 60))
    assert got.standing is Standing.RUNNING
    assert got.lost_tasks == ["1", "2"]
    (line,) = remarks(got)
    assert "tasks 1, 2 did not end well" in str(line)
    assert "avsync resubmit data" in str(line)


@pytest.mark.parametrize("kind", ["pack", "curate"])
def test_work_in_shares_is_told_by_its_sources_of_all_tasks_with_the_time_left(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = made.job(tmp_path / "t.answers", kind, array=3)
    merge = made.job(tmp_path / "t.answers", f"{kind}-merge", ids=("8",))
    progress = tmp_path / "t.answers" / TELLING[kind]
    queue = Queue(rows=[row("RUNNING", tasks="0-1"), row("PENDING", tasks="2")], problem="", asked=time.time() + 60)
    assert (read_status(tasks, queue).work, read_status(merge, queue).work) == (None, None)
    begun = ShareProgress(asked="x", shares=3, all_sources=30, sources=10)
    for share in range(2):
        ShareTeller(progress, share, replace(begun, done=4, source_s=9.0, left_s=60.0))
    got = read_status(tasks, queue)
    assert got.work == WorkProgress(sources=30, done=8, left_s=105.0)
    assert (cells.moved(got), cells.eta(got)) == ("8/30 sources 27 %, 0/3 tasks, 2 running", "1.8 min")
    assert read_status(merge, queue).work is None
    if kind == "curate":
        assert (saved(read_json(tasks.record, JobRecord), 1), saved(read_json(tasks.record, JobRecord), 2)) == (4, 0)
    before = saved(read_json(merge.record, JobRecord))
    ShareTeller(progress, None, replace(begun, shares=1, sources=30, done=29))
    assert saved(read_json(merge.record, JobRecord)) == before, (
        "what only tells how far it is, is nothing that is saved"
    )
    assert read_status(merge, queue).work == WorkProgress(sources=30, done=29)
    assert ran("status", f"t.answers/jobs/{kind}") == 0
    assert "8/30 sources 27 %, 0/3 tasks" in capsys.readouterr().out


def test_a_run_that_its_user_has_cancelled_is_not_proposed_in_an_overview(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made.over(made.job(tmp_path / "run"), End.CANCELLED)
    ran("status")
    assert "resubmit" not in capsys.readouterr().out
    ran("status", "run")
    assert "avsync resubmit run" in capsys.readouterr().out


ALARM = Alarm(since=100, step=200, stream="sound", accuracy=0.93, low=0.81, told=0.9, honest=80)


@pytest.mark.parametrize("words", [("status",), ("status", "run")])
@pytest.mark.parametrize("over", [False, True])
def test_a_network_that_cheats_is_told_of_as_long_as_it_does_also_when_its_job_is_over(
    tmp_path: Path, words: tuple[str, ...], over: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = made.job(tmp_path / "run")
    if over:
        made.over(paths, End.DONE)
    made.progress(paths, validation=ValidationScore(200, 0.95, 0.1, 0.52), best=ValidationScore(80, 0.7, 0.6, 0.69))
    ran(*words)
    shown = capsys.readouterr().out
    assert "CHEATING" not in shown
    assert "95.0 %, audited 52.0 % at 200" in shown
    assert ("; best 69.0 % at 80" in shown) == (words == ("status", "run"))
    made.progress(paths, alarm=ALARM)
    ran(*words)
    shown = capsys.readouterr().out
    for said in (
        "run: CHEATING since step 100: the sound alone tells the network the label",
        "With another clip's picture it is still right in 93.0 %", "Step 80 is honest and kept as best",
        "avsync audit DATASET",
    ):  # fmt: skip
        assert said in shown
    ran("status", "run", "--json")
    assert json.loads(capsys.readouterr().out)[0]["progress"]["alarm"]["stream"] == "sound"


def test_an_old_heartbeat_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made.progress(made.job(tmp_path / "run"), age_s=900)
    ran("status", "run")
    assert "no sign of life for 15.0 min; after 30.0 min it is ended and requeued" in capsys.readouterr().out


@pytest.mark.parametrize("over", [False, True])
def test_the_rank_that_the_others_wait_for_is_told_also_when_the_job_is_over(
    tmp_path: Path, over: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = made.job(tmp_path / "run")
    if over:
        made.over(paths, End.DONE)
    made.progress(paths)
    ran("status", "run")
    assert "rank 5" not in capsys.readouterr().out
    made.progress(paths, slow="rank 5 on n3 waits 4.0x as long for its data: --exclude=n3\x1b[31m")
    ran("status", "run")
    shown = capsys.readouterr().out
    assert "run: rank 5 on n3 waits 4.0x as long for its data: --exclude=n3" in shown
    assert "\x1b[31m" not in shown


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 120])
def test_in_a_narrow_terminal_no_line_of_the_table_breaks(
    tmp_path: Path, columns: int, capsys: pytest.CaptureFixture[str]
) -> None:
    from launch.watch.overview import show_table
    from launch.watch.watch import look
    from sharding.base.console import open_console

    for name in ("one", "two"):
        paths = made.job(tmp_path / name)
        made.progress(paths, clips_per_s=212.4, data_wait=0.04, gpu_busy=0.91, eta_s=3600)
    console = open_console()
    console.width = columns
    show_table(console, look(()).statuses)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= columns
    assert sum("250/1,000" in line for line in lines) == 2 or columns == 40
    assert len([line for line in lines if line.strip()]) == 4, "a title, a line under it, and one for each job"


def test_two_jobs_of_one_folder_can_be_told_apart_in_any_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from launch.watch.overview import show_table
    from launch.watch.watch import look
    from sharding.base.console import open_console

    for kind in ("train", "evaluate"):
        made.progress(made.job(tmp_path / "run", kind), eta_s=3600, clips_per_s=212.4)
    console = open_console()
    console.width = 40
    show_table(console, look(()).statuses)
    shown = capsys.readouterr().out
    assert "train" in shown
    assert "evaluate" in shown


@pytest.mark.parametrize("name", ["job.json", "queued.json"])
def test_a_named_job_whose_file_is_damaged_is_an_error_with_the_remedy(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = made.job(tmp_path / "run")
    (paths.root / name).write_text('{"ids"')
    assert ran("status", "run") == 1
    told = capsys.readouterr()
    assert not told.out, "not that there are no jobs"
    assert f"{name} is damaged" in told.err
    assert "the same avsync submit train ... again writes it anew" in told.err


def test_json_holds_what_the_table_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = made.job(tmp_path / "run")
    made.progress(paths)
    assert ran("status", "run", "--json") == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["folder"], told["standing"], told["progress"]["step"]) == (str(paths.root), "not known", 250)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("status", "nowhere"), "nowhere is no folder"),
        (("status", "empty"), "empty was not submitted"),
        (("status", "--watch", "--json"), "--watch and --json do not go together"),
        (("status", "--watch", "-3"), "--watch -3 must be"),
        (("logs", "run", "--kind", "pack"), "--kind pack: run has no such job; it has train"),
        (("logs", "run", "--task", "3"), "--task 3: run is no array"),
        (("cancel", "run"), "is over already: done"),
        (("board", "empty"), "empty is no run"),
        (("board", "run", "--port", "99999"), "--port 99999 must be"),
        (("doctor", "--cluster", "x", "--nodes", "0"), "--nodes 0 must be"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    tmp_path: Path, words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    paths = made.job(tmp_path / "run")
    made.over(paths, End.DONE)
    paths.log.write_text("hello\n")
    assert ran(*words) in (1, 2)
    assert said in capsys.readouterr().err


def test_a_search_leaves_out_what_holds_no_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in (".hidden", "run/checkpoints", "run/tensorboard"):
        made.job(tmp_path / name / "inside")
    made.job(tmp_path / "run", kind="evaluate")
    (tmp_path / "loop").symlink_to(tmp_path)
    ran("status", "--json")
    assert [job["kind"] for job in json.loads(capsys.readouterr().out)] == ["evaluate"]


# ---- avsync board


def test_runs_get_the_shortest_names_that_tell_them_apart() -> None:
    assert list(named_apart([Path("/a/x"), Path("/a/y")])) == ["x", "y"]
    assert list(named_apart([Path("/a/b/run"), Path("/a/c/run"), Path("/a/b/run")])) == ["b/run", "c/run"]
    assert list(named_apart([Path("/run"), Path("/a/run")])) == ["run", "a/run"]


def test_the_tunnel_leads_through_the_login_node_only_into_a_job() -> None:
    assert tunnel(6006, "me", "login1", {}) == "ssh -N -L 6006:localhost:6006 me@login1"
    inside = {"SLURM_JOB_ID": "7", "SLURM_SUBMIT_HOST": "login1"}
    assert tunnel(6006, "me", "n3", inside) == "ssh -N -L 6006:localhost:6006 -J me@login1 me@n3"

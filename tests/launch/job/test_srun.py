"""What is read from the output of tasks, one or a thousand, and what a site or a shell cannot change about them."""

import random
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avsync.run.limits import HangRecord, Section, hang_text
from avsync.train.watchdog import ALL_ALIKE
from launch.job.attempt import ThisAttempt
from launch.job.attempts import Action, Event, What
from launch.job.paths import JobPaths
from launch.job.progress_on_disk import Past
from launch.job.requeue import Decision, Do, JobObservation, Wish, decide
from launch.job.srun import NOT_OBEYED, StepOutput, export_values, obeyed, srun_words, unlabelled
from launch.watch.logs import errors_in
from tests.slurm.jobs import asked, profile, record

WIDTHS = (1, 2, 9, 10, 11, 99, 100, 101, 999, 1000, 1001)
"""Numbers of tasks, around those where srun's label grows."""
TRACEBACK = 'Traceback (most recent call last):\n  File "x.py", line 1, in step\n    loss.backward()\n\nRuntimeError: '


def printed(tasks: int, task: int, text: str) -> list[str]:
    """Lines of a task as srun prints them: labelled where there are several, as wide as the highest label."""
    label = f"{task:{len(str(tasks - 1))}d}: " if tasks > 1 else ""
    return [label + line for line in text.split("\n")]


def interleaved(parts: Sequence[Sequence[str]], seed: int) -> list[str]:
    """Each in its own order, and mixed with the others."""
    chance, left = random.Random(seed), [list(part) for part in parts if part]
    mixed = list[str]()
    while left:
        part = chance.choice(left)
        mixed.append(part.pop(0))
        left = [part for part in left if part]
    return mixed


def test_a_label_is_as_wide_as_the_highest_number():
    assert printed(11, 3, "x") == [" 3: x"]
    for tasks in WIDTHS[1:]:
        for task in {0, tasks // 2, tasks - 1}:
            assert unlabelled(printed(tasks, task, "  File 7: x")[0]) == (task, "  File 7: x")
    assert unlabelled("  File 7: x") == (None, "  File 7: x")


@given(st.sampled_from(WIDTHS), st.integers(0, 1000), st.integers(0, 10), st.integers(0, 2**32), st.sampled_from("ecs"))
def test_what_the_task_that_failed_first_complained_of_is_the_reason(
    tasks: int, number: int, others: int, seed: int, how: str
):
    """The others say that they miss it: by an error of the network, by a complaint, or by nothing."""
    first = number % tasks
    words = {
        "e": TRACEBACK + "[gloo] Connection closed by peer",
        "c": "avsync: error: the other processes do not answer any more",
        "s": "step 7",
    }
    rest = [task for task in random.Random(seed).sample(range(tasks), min(others, tasks)) if task != first]
    own = printed(tasks, first, "step 7\navsync: error: --batch 3: [12] is wrong;\n  give 7: another one")
    said = interleaved([own, *(printed(tasks, task, words[how]) for task in rest)], seed)
    ends = [f"srun: error: n{first % 4}: task {first}: Exited with exit code 1"]
    ends += [f"srun: error: n{task % 4}: task {task}: Exited with exit code 70" for task in rest]
    output = StepOutput("\n".join([*said, *ends, ""]))
    assert output.complaint == "--batch 3: [12] is wrong;"
    assert output.why == output.complaint
    assert output.fault is not None
    assert output.fault.numbers == {first}
    assert not output.out_of_memory
    assert not output.node_failed
    assert not output.unseen


def test_a_task_that_left_without_a_word_left_for_the_one_that_has_said_why():
    lines = [
        *printed(12, 11, TRACEBACK + "Connection reset by peer"),
        *printed(12, 3, "avsync: error: out of memory; use fewer --workers"),
        "srun: error: n3: task 11: Exited with exit code 70",
        "srun: error: n1: tasks 0-3: Exited with exit code 1",
    ]
    assert StepOutput("\n".join(lines)).complaint == "out of memory; use fewer --workers"


@pytest.mark.parametrize(
    "how", ["Killed", "Segmentation fault (core dumped)", "Bus error", "User defined signal 1", "Out Of Memory"]
)
def test_one_that_was_killed_is_the_reason_whatever_the_others_complain_of(how: str):
    lines = [
        f"srun: error: n2: task 5: {how}",
        *printed(12, 0, "avsync: error: no batch came for 60 s"),
        "srun: error: n1: task 0: Exited with exit code 1",
    ]
    output = StepOutput("\n".join(lines))
    assert (output.complaint, output.why) == ("", f"task 5 on n2: {how}")
    assert output.fault is not None
    assert output.fault.one_node == "n2"


@pytest.mark.parametrize(
    ("node", "tasks", "one", "numbers"),
    [
        ("n1", "0", "n1", {0}),
        ("gpu-a.site", "4,11-12", "gpu-a.site", {4, 11, 12}),
        ("n[1-3]", "0-2,5", "", {0, 1, 2, 5}),
        ("a1,b7", "0,999", "", {0, 999}),
    ],
)
def test_nodes_and_tasks_are_read_as_srun_lists_them(node: str, tasks: str, one: str, numbers: set[int]):
    word = "task" if tasks.isdecimal() else "tasks"
    text = f"x\nsrun: error: {node}: {word} {tasks}: Exited with exit code 1\nsrun: error: n9: task 9: Killed\n"
    fault = StepOutput(text).fault
    assert fault is not None
    assert (fault.node, fault.one_node, fault.numbers) == (node, one, numbers)
    assert StepOutput(text).why == f"{word} {tasks} on {node}: Exited with exit code 1"


@pytest.mark.parametrize(
    "how", ["Terminated", "Force Terminated", "Exited with exit code 143", "Exited with exit code 130"]
)
def test_those_that_were_asked_to_end_are_no_fault(how: str):
    text = f"srun: error: n[1-3]: tasks 0-1,3: {how}\n"
    assert StepOutput(text).fault is None
    assert StepOutput(text).why == ""
    assert str(StepOutput(text + "srun: error: n2: task 2: Killed").fault) == "task 2 on n2: Killed"


@pytest.mark.parametrize(
    "line",
    [
        "slurmstepd-n1: error: Detected 1 oom_kill event in StepId=3.0. Some of the step tasks have been OOM Killed.",
        "slurmstepd: error: Detected 2 oom-kill events in StepId=3.0 cgroup.",
        "slurmstepd-n1: error: StepId=3.0 exceeded memory limit (500 > 400), being killed",
        "srun: error: n1: task 0: Out Of Memory",
        "srun: error: n[1-2]: tasks 0-9,11: Out Of Memory",
    ],
)  # fmt: skip
@pytest.mark.parametrize("tasks", WIDTHS)
def test_slurms_word_of_too_little_memory_is_heard_from_any_task(line: str, tasks: int):
    lines = [line] if line.startswith("srun") else printed(tasks, tasks // 2, line)
    assert StepOutput("\n".join(["step 1", *lines, ""])).out_of_memory
    assert not StepOutput(f"{tasks}: avsync: error: CUDA out of memory").out_of_memory


@given(st.sampled_from(WIDTHS[1:]), st.integers(0, 2**32))
def test_tracebacks_of_tasks_that_print_at_once_are_all_shown_whole(tasks: int, seed: int):
    some = random.Random(seed).sample(range(tasks), min(4, tasks))
    parts = [printed(tasks, task, TRACEBACK + "gone\nall is well") for task in some]
    mixed = interleaved(parts, seed)
    assert list(errors_in(mixed)) == [line for line in mixed if "all is well" not in line]


def test_no_variable_and_no_option_changes_what_tasks_get_and_where_they_print():
    """srun(1): a word on the command line goes before a variable, and the last of two words before the first."""
    words = srun_words(["--cpus-per-task=2", "--kill-on-bad-exit=0"], label=True)
    assert words[0] == "srun"
    assert export_values(words) == ["ALL"]
    assert [word for word in words if word.startswith("--kill-on-bad-exit")][-1].endswith("=0"), "that is a profile's"
    assert "--label" in words
    assert "--label" not in srun_words()
    facts = {
        "SLURM_JOB_ID": "7",
        "SLURM_NTASKS": "2",
        "SLURM_CPU_BIND": "none",
        "SLURM_HINT": "nomultithread",
        "PATH": "/",
    }
    assert obeyed(facts | dict.fromkeys(NOT_OBEYED, "1")) == facts
    assert all(re.fullmatch("(SLURM|SRUN)_[A-Z0-9_]+", name) for name in NOT_OBEYED)


SECTIONS = [section for section in Section if section is not Section.NONE]


@given(st.sampled_from(SECTIONS), st.sampled_from(WIDTHS), st.integers(0, 1000), st.booleans(), st.integers(0, 2**32))
def test_a_rank_that_hangs_is_known_by_its_line_whoever_speaks_and_whoever_leaves_first(
    section: Section, tasks: int, number: int, killed_first: bool, seed: int
):
    """The line is the real one; those that miss the rank complain, too, and may end before it does."""
    task, node = number % tasks, f"gpu-{number % 7}.site"
    hang = HangRecord(
        rank=task, node=node, section=section, step=7, shard="/d/000003.tar", seconds=71, limit_s=60, at=1
    )
    line = hang_text(hang, basis="learnt: x", how="stopped by a signal", shard="its clips came from")
    others = [printed(tasks, other, "avsync: error: Connection closed by peer") for other in {0, tasks - 1} - {task}]
    said = interleaved([printed(tasks, task, f"avsync: error: {line}"), *others], seed)
    ends = [f"srun: error: {node}: task {task}: Killed", "srun: error: n9: task 0: Exited with exit code 1"]
    output = StepOutput("\n".join([*said, *(ends if killed_first else ends[::-1]), ""]))
    assert (output.hang, output.hung_node) == (line, node)
    alike = hang_text(hang, basis="learnt: x", how=f"{ALL_ALIKE}, no sign of life", shard="")
    assert StepOutput(f"avsync: error: {alike}").hung_node == "", "no node is to blame when all are alike"
    assert not StepOutput("avsync: error: no clip came in for 60 s\n").hang
    observed = JobObservation(
        exit=137, fault=output.why, wish=Wish.NONE, cancelled=False, terminated=False, facts=None, restart=0, gained=0,
        failures=0, retries=3, hang=output.hang,
    )  # fmt: skip
    assert decide(observed) == Decision(what=What.HUNG, do=Do.REQUEUE, why=line)


def ended(folder: Path, log: str, what: What) -> Event:
    """What is noted of an attempt that printed this."""
    paths = JobPaths.of(folder, "train")
    paths.root.mkdir(parents=True)
    paths.log.write_text(log)
    this = ThisAttempt(
        paths=paths, record=record(folder, (), profile(), asked()), share=None, job="7", restart=0, nodes="n[1-2]",
        past=Past([]), had=0, log=paths.log, log_begins=0,
    )  # fmt: skip
    return this.end(Decision(what=what, do=Do.REQUEUE, why="x"), Action.REQUEUED, 1)


@pytest.mark.parametrize(
    ("what", "lines", "node"),
    [
        (What.CRASHED, ["srun: error: n2: task 5: Killed"], "n2"),
        (What.CRASHED, [" 5: avsync: error: no shards", "srun: error: n2: task 5: Exited with exit code 1"], ""),
        (What.CRASHED, ["srun: error: n[1-2]: tasks 5,7: Killed", "srun: error: n3: task 8: Killed"], ""),
        (What.OUT_OF_MEMORY, ["srun: error: n2: task 5: Out Of Memory"], ""),
        (What.PREEMPTED, ["srun: error: n2: task 5: Killed"], ""),
        (What.CRASHED, ["srun: error: n2: task 5: Terminated"], ""),
        (What.HUNG, [" 5: avsync: error: rank 5 on n3 hangs in its step: x", "srun: error: n3: task 5: Killed"], "n3"),
        (What.HUNG, [" 0: avsync: error: rank 5 on n3 hangs in its step: x", "srun: error: n1: task 0: Killed"], "n3"),
    ],
)
def test_a_node_is_blamed_for_what_may_be_its_fault_and_never_for_the_settings(
    tmp_path: Path, what: What, lines: list[str], node: str
):
    assert ended(tmp_path / "run", "\n".join(lines), what).failed_node == node


def test_the_first_of_a_thousand_ranks_is_heard_however_much_the_others_print_after_it(tmp_path: Path):
    flood = [line for task in range(1000) for line in printed(1000, task, TRACEBACK + "gone " * 400)]
    log = ["  3: avsync: error: --batch 3 is wrong", *flood, "srun: error: n1: task 3: Exited with exit code 1"]
    log += [f"srun: error: n{task}: task {task}: Exited with exit code 70" for task in range(4, 1000)]
    assert ended(tmp_path / "run", "\n".join(log), What.CRASHED).failed_node == ""
    assert StepOutput("\n".join(log)).why == "--batch 3 is wrong"


@pytest.mark.parametrize(
    "line", ["srun: error: Timed out waiting for job step to complete", "srun: error: Node failure on n3"]
)
@pytest.mark.parametrize("tasks", [1, 12])
def test_a_zero_of_tasks_that_srun_has_not_seen_end_is_not_believed(line: str, tasks: int):
    """As 22.05 prints it at a time limit, when its nodes are slow to say that the tasks are gone."""
    printed_before = [one for task in range(tasks) for one in printed(tasks, task, "step 7")]
    forced = [
        "srun: Job step aborted: Waiting up to 7 seconds for job step to finish.",
        "srun: forcing job termination",
    ]
    assert StepOutput("\n".join([*printed_before, *forced, line, ""])).unseen
    assert not StepOutput("\n".join([*printed_before, *forced, ""])).unseen
    assert not StepOutput(f"0: {line}\n").unseen, "a task has printed it"
